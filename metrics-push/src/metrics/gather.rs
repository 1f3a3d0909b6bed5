//! Gathers a registry, and detects calls from its collectors.
//!
//! A registry is locked while its collectors run, so a collector that registers a metric would deadlock.

use std::cell::Cell;

use prometheus::Registry;
use prometheus::proto::MetricFamily;

thread_local! {
    static GATHERING: Cell<bool> = const { Cell::new(false) };
}

/// Gathers a registry. Until it returns, or a collector panics, [`is_gathering`] returns true on this thread.
pub(super) fn gather(registry: &Registry) -> Vec<MetricFamily> {
    struct RestoreOnDrop(bool);
    impl Drop for RestoreOnDrop {
        fn drop(&mut self) {
            GATHERING.set(self.0);
        }
    }
    let _restore = RestoreOnDrop(GATHERING.replace(true));
    registry.gather()
}

/// Returns true if this thread is inside [`gather`], where registering a metric would deadlock.
pub(crate) fn is_gathering() -> bool {
    GATHERING.get()
}
