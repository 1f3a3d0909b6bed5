//! Delivering one request to one sink: load its backlog from disk, attempt until an attempt decides, settle.
//!
//! Each phase is a type: [`Backlog`], [`Delivery`], [`Settlement`], [`Receipt`]. None of them sleeps or starts threads;
//! the dispatcher does, which owns the runtime.

mod attempt;
mod backlog;
mod backoff;
mod breaker;
mod fallback;
pub(crate) mod log_limiter;
pub(crate) mod policy;
mod receipt;
mod reconcile;
mod retained;
mod route;
mod self_metrics;
mod settle;

pub(crate) use attempt::{Delivery, Step};
pub(crate) use backlog::Backlog;
pub use breaker::BreakerState;
pub(crate) use receipt::{DeliveryClass, Receipt};
pub(crate) use route::Route;
