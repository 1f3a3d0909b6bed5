//! What is measured: metrics that any `prometheus` registry gathers, and what was gathered at one moment.
//!
//! This folder alone names the `prometheus` crate, and this file alone imports it; another metrics crate
//! would move nothing outside.

mod cells;
mod counter;
mod family;
mod fit;
mod gauge;
mod histogram;
mod key;
mod marker;
mod model;
mod near;
mod origin;
mod process_wide;
mod registry;
mod request;
mod series;
mod snapshot;
mod text;
mod ticks;

pub(crate) use cells::Seat;
pub use counter::Counter;
pub use family::Labelled;
pub(crate) use family::{Family, Sealed};
pub use gauge::Gauge;
pub(crate) use histogram::{Bounds, are_bounds};
pub use histogram::{DEFAULT_BUCKETS, Histogram};
pub(crate) use key::Values;
pub(crate) use marker::is_gathering;
pub(crate) use origin::Origin;
pub use process_wide::{
    counter, counter_with, gauge, gauge_with, histogram, histogram_in, histogram_in_with,
    histogram_with,
};
pub use registry::Catalog;
pub(crate) use request::Request;
pub(crate) use series::SeriesTable;
pub(crate) use snapshot::Snapshot;
pub(crate) use text::write_family;
pub(crate) use ticks::{Start, keep_to_the_system_clock};

pub(crate) use prometheus::core::Collector;
pub(crate) use prometheus::{Registry, default_registry};

use prometheus::core::Desc;
use prometheus::proto;
