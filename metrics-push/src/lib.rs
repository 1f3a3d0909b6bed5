//! One attribute on a batch function, and its outcome reaches Prometheus whatever happens to the process.

#[doc(hidden)]
#[path = "macro_support/mod.rs"]
pub mod __private;
mod clock;
mod config;
mod courier;
mod delivery;
mod error;
mod gateway;
mod http;
mod job;
mod labels;
mod metrics;
mod notice;
mod parcel;
mod pusher;
mod recover;
mod retry;
mod sink;
mod spool;
mod state_dir;
#[cfg(feature = "testing")]
pub mod testing;
mod ticket;

pub use config::{Config, DEFAULT_TIMEOUT, Scope, Variable, init};
pub use error::Error;
pub use gateway::Gateway;
pub use job::{Job, Outcome, Run, Stage};
pub use labels::GroupingKey;
pub use metrics::{
    Catalog, Counter, DEFAULT_BUCKETS, Gauge, Histogram, Labelled, counter, counter_with, gauge,
    gauge_with, histogram, histogram_in, histogram_in_with, histogram_with,
};
pub use parcel::Verb;
pub use prometheus;
pub use pusher::Pusher;
pub use recover::{Recovery, recover};
pub use sink::Acceptance;
pub use sink::listing::{StoredFamily, StoredGroup, StoredMetric, StoredValue};
