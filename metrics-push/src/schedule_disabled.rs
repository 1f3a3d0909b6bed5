//! Replaces `schedule.rs` in builds without the feature `schedule`. Only the journal of a job with this feature can contain a
//! schedule there.

use crate::error::Error;

/// There are no schedules.
pub(crate) enum Schedule {}

impl Schedule {
    /// # Errors
    /// `is_config`, always.
    pub(crate) fn parse(_expression: &str, _timezone: &str) -> Result<Self, Error> {
        Err(Error::config("schedules are not supported by this build")
            .remedy("enable the feature \"schedule\" of metrics-push"))
    }

    pub(crate) fn next_after(&self, _unix_seconds: f64) -> Option<f64> {
        match *self {}
    }
}
