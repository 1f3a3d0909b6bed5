//! What is measured: metrics that any `prometheus` registry gathers, and what was gathered at one moment.
//!
//! This folder alone names the `prometheus` crate, and this file alone imports it; another metrics crate
//! would move nothing outside.

mod cells;
mod counter;
mod default_registry;
mod factory;
mod family;
mod fit;
mod gauge;
mod histogram;
mod key;
mod marker;
mod model;
mod near;
mod origin;
mod request;
mod series;
mod snapshot;
mod text;
mod ticks;

pub(crate) use cells::Seat;
pub use counter::Counter;
pub(crate) use default_registry::DEFAULT_FACTORY;
pub use default_registry::{
    counter, counter_vec, gauge, gauge_vec, histogram, histogram_vec, histogram_vec_with_buckets,
    histogram_with_buckets,
};
pub use factory::MetricFactory;
pub use family::MetricVec;
pub(crate) use family::{Family, Sealed};
pub use gauge::Gauge;
pub(crate) use histogram::{Bounds, are_bounds};
pub use histogram::{DEFAULT_BUCKETS, Histogram};
pub(crate) use key::Values;
pub(crate) use marker::is_gathering;
pub(crate) use origin::Origin;
pub(crate) use request::Request;
pub(crate) use series::SeriesTable;
pub(crate) use snapshot::Snapshot;
pub(crate) use text::write_family;
pub(crate) use ticks::{Start, keep_to_the_system_clock};

pub(crate) use prometheus::core::Collector;
pub(crate) use prometheus::{Registry, default_registry};

use prometheus::core::Desc;
use prometheus::proto;
