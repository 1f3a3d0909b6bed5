//! One attribute on a batch function, and its outcome reaches Prometheus whatever happens to the process.

mod error;
mod labels;
mod metrics;

pub use error::Error;
pub use labels::GroupingKey;
pub use metrics::{
    Catalog, Counter, DEFAULT_BUCKETS, Gauge, Histogram, Labelled, counter, counter_with, gauge,
    gauge_with, histogram, histogram_in, histogram_in_with, histogram_with,
};
pub use prometheus;
