//! Makes deliveries of tests panic. The name of the job is the place of the panic.

use crate::labels::GroupingKey;

/// Panics if the job has the name of this place.
pub(crate) fn reach(key: &GroupingKey, place: &str) {
    assert_ne!(key.job(), place, "failpoint");
}
