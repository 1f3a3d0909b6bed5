//! `flush`, which submits the buffered requests of all tests of this process and waits for the requests of all tests.

use std::sync::{PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

/// Longer than the requests of other tests take.
const TIMEOUT: Duration = Duration::from_secs(90);

static FLUSHES: RwLock<()> = RwLock::new(());

/// Flushes, and fails if requests remain.
#[track_caller]
pub(crate) fn flush() {
    let _flush = FLUSHES.read().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(metrics_push::flush(TIMEOUT), 0, "requests are pending");
}

/// Delays the flushes of other tests, so that they do not submit the buffered requests of this one.
pub(crate) fn delay_flushes() -> RwLockWriteGuard<'static, ()> {
    FLUSHES.write().unwrap_or_else(PoisonError::into_inner)
}
