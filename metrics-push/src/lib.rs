//! One attribute on a batch function, and its outcome reaches Prometheus whatever happens to the process.

mod clock;
mod config;
mod courier;
mod delivery;
mod error;
mod gateway;
mod http;
mod job;
mod labels;
mod macro_support;
mod metrics;
mod notice;
mod parcel;
mod pusher;
mod sink;
mod state_dir;
#[cfg(feature = "testing")]
pub mod testing;
mod ticket;

pub use config::{Config, DEFAULT_TIMEOUT, Scope, Variable, init};
pub use courier::flush;
pub use error::Error;
pub use gateway::Gateway;
pub use job::{Job, Outcome, Run, Stage};
pub use labels::GroupingKey;
pub use metrics::{
    Catalog, Counter, DEFAULT_BUCKETS, Gauge, Histogram, Labelled, counter, counter_with, gauge,
    gauge_with, histogram, histogram_in, histogram_in_with, histogram_with,
};
pub use metrics_push_macros::{counted, push_job, timed};
pub use parcel::Verb;
pub use prometheus;
pub use pusher::Pusher;
pub use sink::Acceptance;
pub use sink::listing::{StoredFamily, StoredGroup, StoredMetric, StoredValue};

/// What expansions of the attributes call. Not for people: it changes with any version.
#[doc(hidden)]
pub mod __private {
    pub use crate::macro_support::*;
}
