//! Delivers one request to one sink: loads the backlog from disk, makes attempts within the timeout, settles the
//! result.
//!
//! Each phase is a type: [`Backlog`], [`Delivery`], [`Settlement`], [`Receipt`]. None of them sleeps or starts threads.
//! The dispatcher owns the runtime and does both.

mod attempt;
mod backlog;
mod backoff;
mod breaker;
mod confirmation;
#[cfg(test)]
pub(crate) mod failpoint;
mod fallback;
mod in_flight_limit;
pub(crate) mod log_limiter;
mod lost_times;
pub(crate) mod policy;
mod receipt;
mod reconcile;
mod relocation;
mod ring_spool;
mod route;
mod router;
mod run_ids;
mod samples;
mod self_metrics;
mod settle;
mod unsure;

pub(crate) use attempt::{Delivery, Step};
pub(crate) use backlog::Backlog;
pub use breaker::BreakerState;
pub(crate) use receipt::{DeliveryClass, Receipt};
pub(crate) use reconcile::past_timestamp;
pub(crate) use route::Route;
pub(crate) use router::Router;
pub(crate) use settle::Settlement;
