//! One attribute on a batch function, and its outcome reaches Prometheus whatever happens to the process.

mod error;
mod labels;
#[cfg(feature = "testing")]
pub mod testing;

pub use error::Error;
pub use labels::GroupingKey;
pub use prometheus;
