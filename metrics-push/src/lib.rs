//! One attribute on a batch function, and its outcome reaches Prometheus whatever happens to the process.

mod error;
mod labels;

pub use error::Error;
pub use labels::GroupingKey;
pub use prometheus;
