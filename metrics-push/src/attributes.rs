//! The attributes.
pub use metrics_push_macros::{counted, push_job, timed};
