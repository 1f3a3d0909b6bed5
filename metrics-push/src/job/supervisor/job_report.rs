//! `JobReport`: the completions of the runs that were active when their process died.
//!
//! They are also written to the journal of the job, if it has one. If this process dies as well, a later process reports
//! them.

use std::sync::Arc;
use std::time::Duration;

use super::active_runs::ReceivedRun;
use crate::clock::Moment;
use crate::delivery::policy::RECEIPT_GRACE;
use crate::delivery::{DeliveryClass, Receipt};
use crate::dispatcher::dispatcher;
use crate::job::completion::{Cause, Completion, finish_time};
use crate::job::failure_reason;
use crate::job::journal::ended_runs::record_end;
use crate::job::journal::line::{Finished, RunIdentity, Started};
use crate::job::journal::orphaned_journal::OrphanedJournal;
use crate::job::resource_usage::ResourceUsage;
use crate::job::run_ending::run_ending;
use crate::job::run_metrics::completion_metrics;
use crate::job::spec::Extent;
use crate::job::waiting::{log_unfinished, wait_with_notice};
use crate::oneshot::Receiver;
use crate::pipeline::Pipeline;
use crate::push_request::PushRequest;

/// How and when a job ended.
pub(super) struct JobEnd<'a> {
    pub(super) at: Moment,
    pub(super) usage: ResourceUsage,
    /// The last lines that the job has written to stderr, if they are stored.
    pub(super) output: Option<String>,
    pub(super) cause_of: &'a dyn Fn(Extent) -> Cause,
}

/// Submitted completions.
pub(super) struct JobReport {
    journal: Option<OrphanedJournal>,
    receipts: Vec<(RunIdentity, Vec<Receiver<Receipt>>)>,
}

impl JobReport {
    /// Submits the completions of all runs to all sinks.
    pub(super) fn submit(
        runs: impl Iterator<Item = ReceivedRun>,
        end: &JobEnd<'_>,
        journal: Option<OrphanedJournal>,
        pipeline: &Pipeline,
    ) -> Self {
        let runs: Vec<_> = runs.map(|run| (finish(&run, end), run.started)).collect();
        if let Some(journal) = &journal {
            let finished = runs.iter().map(|(finished, run)| (run.identity(), finished.clone()));
            journal.record_finished(&finished.collect());
        }
        let submit = |(finished, run): (Finished, Started)| {
            let request = report(&run, finished, end.usage);
            let class = match run.extent {
                Extent::Process => DeliveryClass::Final,
                Extent::Task => DeliveryClass::Spooled,
            };
            record_end(&run.key, run.at);
            let submit = |route| {
                dispatcher().submit_for_receipt(route, request.clone(), pipeline.timeout, class)
            };
            (run.identity(), pipeline.routes_for(&run.key).map(submit).collect())
        };
        Self { receipts: runs.into_iter().map(submit).collect(), journal }
    }

    /// Waits for the receipts and acknowledges the settled runs in the journal.
    pub(super) fn settle(self, timeout: Duration) {
        let deadline = Moment::now().after(timeout.saturating_add(RECEIPT_GRACE));
        wait_with_notice(deadline, |timeout| dispatcher().flush(timeout) == 0);
        log_unfinished();
        let is_settled = |receipt: Receiver<Receipt>| {
            let receipt = receipt.wait(deadline.remaining());
            receipt.is_some_and(|receipt| !receipt.is_dropped())
        };
        let runs = self.receipts.into_iter().filter_map(|(run, receipts)| {
            let receipts: Vec<_> = receipts.into_iter().map(is_settled).collect();
            receipts.into_iter().all(|is_settled| is_settled).then_some(run)
        });
        let settled = runs.collect();
        if let Some(journal) = self.journal {
            journal.acknowledge_all(&settled);
        }
    }
}

/// Returns how a run ended: as the job has reported, otherwise as its process did.
fn finish(run: &ReceivedRun, end: &JobEnd<'_>) -> Finished {
    let extent = run.started.extent;
    let mut finished = run.finished.clone().unwrap_or_else(|| {
        let duration = end.at.since(run.received);
        let at = finish_time(run.started.at, duration, end.at);
        Finished::new((end.cause_of)(extent), at, Some(duration))
    });
    let is_failed_process = finished.cause.outcome.is_failure() && extent == Extent::Process;
    if finished.reason.is_none() && is_failed_process {
        finished.reason = end.output.as_deref().and_then(failure_reason::of_output);
    }
    finished
}

fn report(run: &Started, finished: Finished, usage: ResourceUsage) -> PushRequest {
    let usage = match run.extent {
        Extent::Process => usage,
        Extent::Task => ResourceUsage::default(),
    };
    let completion = Completion { usage, ..finished.completion(run.at) };
    let progress = finished.progress();
    let families = completion_metrics(&run.expected, &progress, &completion).encode();
    let ending = run_ending(&run.run, &completion, &progress, finished.reason);
    PushRequest::add(run.key.clone(), families).reporting(Arc::new(ending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::run_metrics::Expectations;
    use crate::job::spec::JobSpec;
    use crate::labels::GroupingKey;
    use crate::outcome::Outcome;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// A run of one process that started at this moment.
    fn run_started_at(received: Moment) -> ReceivedRun {
        let started = Started {
            run: String::new(),
            key: GroupingKey::new("job").unwrap(),
            sinks: Vec::new(),
            at: received.unix_seconds(),
            extent: Extent::Process,
            expected: Expectations::from(&JobSpec::new("job".into())),
        };
        ReceivedRun::new(started, received)
    }

    fn finish_at(run: &ReceivedRun, at: Moment) -> Finished {
        finish(
            run,
            &JobEnd {
                at,
                usage: ResourceUsage::default(),
                output: None,
                cause_of: &|_| Outcome::Oom.into(),
            },
        )
    }

    #[test]
    fn supervised_run_ends_after_its_start_if_the_clock_goes_back() {
        let started = Moment::now();
        let ended = started.after(Duration::from_secs(2)).with_wall_clock_back(HOUR);
        let run = run_started_at(started);
        let wall_duration = finish_at(&run, ended).at - run.started.at;
        assert!((wall_duration - 2.0).abs() < 1e-3, "{wall_duration}");
    }

    #[test]
    fn duration_of_a_supervised_run_is_monotonic() {
        let started = Moment::now();
        let ended = started.after(Duration::from_secs(2));
        let moved = HOUR.as_secs_f64();
        for (started_at, ended) in [
            (0.0, ended),
            (0.0, ended.with_wall_clock_back(HOUR)),
            // The clock was set between the start and its receipt.
            (moved, ended),
            (-moved, ended),
        ] {
            let mut run = run_started_at(started);
            run.started.at += started_at;
            let finished = finish_at(&run, ended);
            assert_eq!(finished.duration, Some(Duration::from_secs(2)), "{started_at}");
            assert!(finished.at >= run.started.at + 2.0 - 1e-3, "{finished:?}");
        }
    }
}
