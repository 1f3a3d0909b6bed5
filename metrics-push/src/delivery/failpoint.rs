//! Makes deliveries panic in tests. The name of the job selects the place of the panic.

use crate::labels::GroupingKey;

/// Panics if the name of the job is this place.
pub(crate) fn reach(key: &GroupingKey, place: &str) {
    assert_ne!(key.job(), place, "failpoint");
}
