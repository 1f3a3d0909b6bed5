//! One attribute on a batch function, and its outcome reaches Prometheus whatever happens to the process.
//!
//! ```no_run
//! use metrics_push::push_job;
//!
//! #[push_job(name = "nightly_import", every = "24h")]
//! fn main() -> Result<(), std::io::Error> {
//!     let orders = std::fs::read_to_string("orders.csv")?;
//!     println!("{} orders", orders.lines().count());
//!     Ok(())
//! }
//! ```
//!
//! With `METRICS_PUSH_URL` set to a [Pushgateway](https://github.com/prometheus/pushgateway), the run's start, its outcome, its
//! duration and the time of the last success are there to alert on; without it, the program runs as if it had no attribute.
//!
//! | to | there is |
//! | --- | --- |
//! | report the runs of a function | [`push_job`], and the handle [`Run`] inside it |
//! | count and time functions | [`counted`], [`timed`] |
//! | report runs by hand, as a scheduler does | [`Job`], [`Run`], [`Outcome`] |
//! | push, add and delete by hand | [`Pusher`], [`GroupingKey`] |
//! | push an exposition that was written elsewhere | [`Gateway`], [`Exposition`] |
//! | read what a gateway holds, or remove it | [`Gateway`], [`StoredGroup`] |
//! | have a metric wherever it is needed | [`counter()`], [`gauge()`], [`histogram()`], [`MetricFactory`] |
//! | configure from code, or for a test | [`Config`], [`init`] |
//! | test jobs against a gateway | [`testing`] |
//! | see and deliver what waits on disk | [`spooled_requests`], [`recover`] |
//! | read on | [`guide`] |
//!
//! A job never fails, hangs or changes its result because of its metrics: what can't be delivered is told on stderr, in one
//! line that names the gateway, the group, what the server said, the likely cause and the remedy.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod attributes;
mod batcher;
mod clock;
mod config;
mod delivery;
mod dispatcher;
mod error;
mod exposition;
mod gateway;
pub mod guarantees;
pub mod guide;
mod http;
mod inspect;
mod job;
mod labels;
mod log;
mod macro_support;
mod metrics;
mod oneshot;
mod pipeline;
mod push_request;
mod pusher;
mod sink;
mod spool;
mod state_dir;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;

pub use attributes::{counted, push_job, timed};
pub use batcher::Batcher;
pub use config::{Config, DEFAULT_TIMEOUT, Variable, parse_duration};
pub use delivery::BreakerState;
pub use dispatcher::flush;
pub use error::Error;
pub use exposition::Exposition;
pub use gateway::{Gateway, Removal};
pub use inspect::{
    CircuitBreaker, Recovery, SpooledRequest, circuit_breakers, recover, spooled_requests,
};
pub use job::{Job, Outcome, Run, Stage};
pub use labels::GroupingKey;
pub use metrics::{
    Counter, DEFAULT_BUCKETS, Gauge, Histogram, MetricFactory, MetricVec, counter, counter_vec,
    gauge, gauge_vec, histogram, histogram_vec, histogram_vec_with_buckets, histogram_with_buckets,
};
pub use pipeline::{Scope, init};
pub use prometheus;
pub use push_request::Verb;
pub use pusher::Pusher;
pub use sink::pushgateway::{StoredFamily, StoredGroup, StoredMetric, StoredValue};
pub use sink::{Acceptance, GatewayKind};

/// What expansions of the attributes call. Not for people: it changes with any version.
#[doc(hidden)]
pub mod __private {
    pub use crate::macro_support::*;
}

/// The examples of this package's README as doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
