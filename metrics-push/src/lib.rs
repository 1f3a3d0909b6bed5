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
//! If `METRICS_PUSH_URL` is the URL of a [Pushgateway](https://github.com/prometheus/pushgateway), the program pushes the
//! start, the outcome and the duration of the run and the time of its last success. Without the variable, the program runs
//! as if it had no attribute.
//!
//! | task | items |
//! | --- | --- |
//! | report the runs of a function | [`push_job`], and the handle [`Run`] inside it |
//! | count and time functions | [`counted`], [`timed`] |
//! | report runs without an attribute, as a scheduler does | [`Job`], [`Run`], [`Outcome`] |
//! | push, add and delete metrics | [`Pusher`], [`GroupingKey`] |
//! | push text in the exposition format | [`Gateway`], [`Exposition`] |
//! | list or delete the groups of a gateway | [`Gateway`], [`StoredGroup`] |
//! | create metrics anywhere in a program | [`counter()`], [`gauge()`], [`histogram()`], [`MetricFactory`] |
//! | configure from code, or for a test | [`Config`], [`init`], [`Scope`] |
//! | test a job against a gateway | `testing`, with the feature of that name |
//! | list and deliver undelivered requests | [`spooled_requests`], [`recover`] |
//! | read more | [`guide`] |
//!
//! A job never fails, hangs or changes its result because of its metrics. If a push cannot be delivered, the library logs
//! one line on stderr with the gateway, the grouping key, the response, the likely cause and the remedy.

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
#[cfg(any(feature = "testing", doc))] // The guide links to it.
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

/// The items that expansions of the attributes use. They are not part of the public API and change in any version.
#[doc(hidden)]
pub mod __private {
    pub use crate::macro_support::*;
}

/// The examples of this package's README as doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
