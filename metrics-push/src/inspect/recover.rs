//! Delivers what earlier processes could not deliver, on demand.
//!
//! Every run does this once its gateway is reachable. This function is for a command or a timer.

use std::time::Duration;

use crate::clock::Moment;
use crate::delivery::Receipt;
use crate::dispatcher::dispatcher;
use crate::job::recovery;
use crate::pipeline::Pipeline;
use crate::spool::Spool;

/// The result of [`recover`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// The number of groups whose stored request was delivered.
    pub delivered: usize,
    /// The number of groups whose stored request is still on disk.
    pub left: usize,
    /// The number of runs of dead processes that were reported as abandoned.
    pub abandoned: usize,
}

/// Delivers the stored requests for the configured gateways and reports the runs of dead processes, within `timeout`.
///
/// Newer values of a gateway stay. Several processes may call this at once, and while jobs run. Blocks; inside a runtime,
/// call it where blocking is allowed.
///
/// ```
/// let recovery = metrics_push::recover(std::time::Duration::from_secs(10));
/// println!("{} delivered, {} left", recovery.delivered, recovery.left);
/// ```
pub fn recover(timeout: Duration) -> Recovery {
    let deadline = Moment::now().after(timeout);
    let pipeline = Pipeline::current();
    let journal = recovery::recover(&pipeline, timeout);
    let mut recovery =
        Recovery { abandoned: journal.reported, left: journal.left, ..Recovery::default() };
    let mut receipts = Vec::new();
    for route in &pipeline.routes {
        let keys = route.spool().map(Spool::keys).unwrap_or_default();
        receipts.extend(keys.into_iter().map(|key| dispatcher().replay(route, key, timeout)));
    }
    for receipt in receipts {
        match receipt.wait(deadline.remaining()) {
            Some(Receipt::Delivered { .. }) => recovery.delivered += 1,
            // It is not sent again.
            Some(Receipt::Unsure { .. }) => {}
            _ => recovery.left += 1,
        }
    }
    recovery
}
