//! `wait_until`: polls what another process does.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// Each rebalance of the mock brokers takes nine seconds, and an error can cause several.
const WAIT_TIMEOUT: Duration = Duration::from_secs(180);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Calls `probe` until it succeeds, and returns its value. Panics with the last error after a timeout.
#[track_caller]
pub(crate) fn wait_until<T, E: Debug>(mut probe: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    loop {
        match probe() {
            Ok(value) => return value,
            Err(state) => assert!(Instant::now() < deadline, "{state:?}"),
        }
        thread::sleep(POLL_INTERVAL);
    }
}
