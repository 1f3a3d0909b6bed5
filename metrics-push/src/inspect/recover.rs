//! `recover`: on demand, delivers spooled requests and reports the runs of dead processes.
//!
//! A process that starts runs does both without this function, which is for a command or a timer.

use std::time::Duration;

use super::replay::replay_all;
use super::unreported::unreported_runs;
use crate::clock::Moment;
use crate::delivery::Receipt;
use crate::job::recovery::{self, RecoveredRuns};
use crate::pipeline::Pipeline;

/// The result of [`recover`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// The number of groups whose stored request was delivered, and of runs of dead processes whose outcome was known
    /// and was delivered.
    pub delivered: usize,
    /// The number of groups whose stored request is still on the disk, and of runs of dead processes that were not
    /// reported.
    pub left: usize,
    /// The number of runs that were reported as abandoned, because their process died during the run.
    pub abandoned: usize,
}

/// Delivers the stored requests for the configured gateways and reports the runs of dead processes. `timeout` limits the
/// whole call. If a gateway does not respond to the first request, the others for it stay on the disk.
///
/// Requests for another URL stay on the disk: [`spooled_requests`](crate::spooled_requests()) lists them, and
/// [`move_undelivered`](crate::move_undelivered) assigns them to a configured gateway.
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
    let is_delivered =
        |receipt: &Option<Receipt>| matches!(receipt, Some(Receipt::Delivered { .. }));
    // First, so that the spool has room for reports.
    let spooled = replay_all(&pipeline, deadline).iter().filter(|it| is_delivered(it)).count();
    let journal = recovery::recover(&pipeline, deadline);
    let RecoveredRuns { delivered, abandoned, left } = journal.unwrap_or_else(|| {
        let runs = unreported_runs();
        RecoveredRuns {
            left: runs.iter().filter(|run| run.is_configured()).count(),
            ..RecoveredRuns::default()
        }
    });
    let mut recovery = Recovery { delivered: delivered + spooled, left, abandoned };
    // A request that was rejected, or that may have arrived and must not be sent again, is removed from the disk.
    recovery.left += pipeline.spooled_keys().map(|(_, keys)| keys.len()).sum::<usize>();
    recovery
}
