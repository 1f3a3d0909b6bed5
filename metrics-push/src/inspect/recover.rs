//! `recover`: on demand, delivers spooled requests and reports the runs of dead processes.
//!
//! A process that starts runs does both without this function, which is for a command or a timer.

use std::time::Duration;

use super::replay::replay_all;
use crate::clock::Moment;
use crate::delivery::Receipt;
use crate::job::recovery;
use crate::pipeline::Pipeline;

/// The result of [`recover`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// The number of groups whose stored request was delivered.
    pub delivered: usize,
    /// The number of groups whose stored request was not delivered, and of runs of dead processes that were not
    /// reported.
    pub left: usize,
    /// The number of runs of dead processes that were reported, with their outcome or as abandoned.
    pub abandoned: usize,
}

/// Delivers the stored requests for the configured gateways and reports the runs of dead processes. `timeout` limits the
/// whole call. If a gateway does not respond to the first request, the others for it stay on the disk.
///
/// Newer values on a gateway are not replaced. Several processes may call this at the same time, also while jobs run.
/// Blocks the thread: inside a runtime, call it where blocking is allowed.
///
/// ```
/// let recovery = metrics_push::recover(std::time::Duration::from_secs(10));
/// println!("{} delivered, {} left", recovery.delivered, recovery.left);
/// ```
pub fn recover(timeout: Duration) -> Recovery {
    let deadline = Moment::now().after(timeout);
    let pipeline = Pipeline::current();
    let journal = recovery::recover(&pipeline.with_timeout(timeout));
    let mut recovery =
        Recovery { abandoned: journal.reported, left: journal.left, ..Recovery::default() };
    for receipt in replay_all(&pipeline.routes, deadline) {
        match receipt {
            Some(Receipt::Delivered { .. }) => recovery.delivered += 1,
            // The request may have arrived. It is removed from the disk and not sent again.
            Some(Receipt::Unsure { .. }) => {}
            _ => recovery.left += 1,
        }
    }
    recovery
}
