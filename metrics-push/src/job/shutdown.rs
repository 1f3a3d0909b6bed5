//! Finishes all active runs because their process ends.
//!
//! User code must not delay this: metrics are gathered with a deadline, and the outcome is sent without them if
//! necessary.

use std::sync::Arc;
use std::time::Duration;

use super::active_run::{self, ActiveRun};
use super::completion::Cause;
use super::process_state::{EndingRun, PROCESS, Shutdown};
use super::waiting::{log_unfinished, wait_with_notice};
use crate::clock::Moment;
use crate::delivery::policy::RECEIPT_GRACE;
use crate::dispatcher::dispatcher;
use crate::oneshot::Receiver;

/// The time that the collectors of all runs share when the process is about to end: a registry whose collectors do not
/// finish takes a quarter of it. Collectors take microseconds, unless they wait for a lock that the ending thread holds.
const GATHER_TIMEOUT: Duration = Duration::from_secs(4);

/// Runs that were finished together, and the receivers of their acknowledgements.
struct FinishedRuns {
    runs: Vec<(Arc<ActiveRun>, Receiver<()>)>,
    deadline: Moment,
}

/// Finishes all active runs, because the process is about to end. Another thread may finish the same runs at the same time;
/// the first completion of a run counts.
pub(super) fn finish_all(
    cause: &dyn Fn(EndingRun) -> Cause,
    deadline: Moment,
) -> Box<dyn Shutdown> {
    let now = Moment::now();
    let active = active_run::all();
    let gather_until = now.after(GATHER_TIMEOUT.min(deadline.remaining() / 2));
    let finish = |run: Arc<ActiveRun>| {
        let gathered = run.gather(gather_until.remaining());
        let acknowledged = run.finish_with_process(cause(run.ending()), now, gathered, deadline)?;
        Some((run, acknowledged))
    };
    let runs = active.into_iter().filter_map(finish).collect();
    Box::new(FinishedRuns { runs, deadline })
}

impl Shutdown for FinishedRuns {
    fn wait(&self) {
        // The dispatcher ends all deliveries at the deadline, and its receipts follow.
        let until = self.deadline.after(RECEIPT_GRACE);
        PROCESS.unsent.wait_until_none(until.remaining());
        // Flushes first: completions of tasks may be buffered until the end of a batch interval.
        wait_with_notice(until, |timeout| dispatcher().flush(timeout) == 0);
        PROCESS.unacknowledged.wait_until_none(until.remaining());
        for (_, acknowledged) in &self.runs {
            acknowledged.wait_closed(until.remaining());
        }
        log_unfinished();
    }

    fn reopen(&self) {
        for (run, _) in &self.runs {
            run.reopen();
        }
    }
}
