//! Replaces `schedule.rs` in builds without the feature `schedule`. Only the journal of a job with this feature can contain a
//! schedule there.

use crate::error::Error;

/// # Errors
/// `is_config`, always.
pub(crate) fn nth_after(
    _expression: &str,
    _timezone: &str,
    _unix_seconds: f64,
    _count: u32,
) -> Result<Option<f64>, Error> {
    Err(Error::config("schedules are not supported by this build")
        .remedy("enable the feature \"schedule\" of metrics-push"))
}
