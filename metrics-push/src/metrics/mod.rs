//! Metrics that a `prometheus` registry gathers, and snapshots of the gathered families.
//!
//! Except for the re-export of the crate, only this folder names the `prometheus` crate.

mod call_site;
mod counter;
mod default_registry;
mod factory;
mod family;
mod gather;
mod gauge;
mod histogram;
mod label_values;
mod proto_compat;
mod registry_index;
mod series;
mod snapshot;
mod spec;
mod striped;
mod text_encoder;
mod text_family;
mod tsc_clock;
mod validate;

pub(crate) use call_site::CallSite;
pub use counter::Counter;
pub(crate) use counter::CounterArray;
pub(crate) use default_registry::DEFAULT_FACTORY;
pub use default_registry::{
    counter, counter_vec, gauge, gauge_vec, histogram, histogram_vec, histogram_vec_with_buckets,
    histogram_with_buckets,
};
pub use factory::MetricFactory;
pub use family::MetricVec;
pub(crate) use family::{Family, MetricKind};
pub(crate) use gather::{RegistrySource, is_gathering};
pub use gauge::Gauge;
pub(crate) use histogram::{BucketBounds, are_valid_buckets};
pub use histogram::{DEFAULT_BUCKETS, Histogram};
pub(crate) use label_values::{ValueIter, words};
pub(crate) use prometheus::Registry;
pub(crate) use prometheus::core::Collector;
pub(crate) use series::SeriesTable;
pub(crate) use snapshot::{Snapshot, gauge_text};
pub(crate) use spec::MetricSpec;
#[cfg(feature = "remote-write")]
pub(crate) use text_encoder::push_label_value;
pub(crate) use text_encoder::push_number;
pub(crate) use tsc_clock::{CallStart, TickCopy, disable_tsc_clock};
pub(crate) use validate::log_rendering;
