//! Farewell: all runs that are still open end, because their process does.
//!
//! Nothing of the user's may hold it up: metrics are gathered on a thread of ours, with a deadline, and the facts go
//! without them if need be.

use std::sync::Arc;
use std::time::Duration;

use super::ending::Cause;
use super::open::{self, Open};
use super::telling;
use crate::clock::Moment;
use crate::metrics::Snapshot;
use crate::oneshot::{Receiver, channel};

/// How long users' collectors may take when the process is about to end. They take microseconds, unless they wait
/// for a lock that the thread that ends the process holds.
const GATHERING: Duration = Duration::from_secs(1);

/// Runs that were ended all at once, on their way.
pub(super) struct Farewell {
    ended: Vec<(Arc<Open>, Vec<Receiver<()>>)>,
    deadline: Moment,
}

/// Ends all runs that are still open, because the process is about to end; `deadline` is for all of them. Others may
/// end the same runs at the same time: the first end counts.
pub(super) fn end_all(cause: impl Fn(&Open) -> Cause, deadline: Moment) -> Farewell {
    let now = Moment::now();
    let open = open::all();
    let until = now.after(GATHERING.min(deadline.remaining()));
    let gathered = gather_apart(&open);
    let end = |(open, gathered): (Arc<Open>, Receiver<Snapshot>)| {
        let gathered = || gathered.wait(until.remaining()).unwrap_or_default();
        let told = open.end_with_process(cause(&open), now, gathered, deadline)?;
        Some((open, told))
    };
    Farewell { ended: open.into_iter().zip(gathered).filter_map(end).collect(), deadline }
}

/// Gathers on a thread of ours: collectors may wait for locks that this thread holds, or panic.
fn gather_apart(runs: &[Arc<Open>]) -> Vec<Receiver<Snapshot>> {
    let (senders, receivers): (Vec<_>, Vec<_>) = runs.iter().map(|_| channel()).unzip();
    let work: Vec<_> = runs.iter().cloned().zip(senders).collect();
    if !work.is_empty() {
        // Without a thread nobody answers, and the facts go alone.
        let _ = std::thread::Builder::new().name("metrics-push-end".into()).spawn(move || {
            for (open, sender) in work {
                sender.send(open.gather());
            }
        });
    }
    receivers
}

impl Farewell {
    /// Waits until they and all that was over before are told, at most until the deadline. Returns them, and how many
    /// groups are left.
    pub(super) fn wait(self) -> (Vec<Arc<Open>>, usize) {
        let Self { ended, deadline } = self;
        let wait_for_one = |(open, told): (Arc<Open>, _)| {
            if let Some(key) = &open.address {
                telling::wait(key, told, deadline);
            }
            open
        };
        let ended = ended.into_iter().map(wait_for_one).collect();
        (ended, telling::wait_for_all(deadline))
    }
}
