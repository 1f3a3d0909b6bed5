//! What a finished run adds to the history of its group, and the counters that add up over runs.

use super::completion::Completion;
use super::progress::Progress;
use super::run_metrics::record_samples;
use crate::finished_run::{FinishedRun, RecordCounts};
use crate::history::is_summable;
use crate::metrics::Snapshot;
use crate::outcome::Outcome;
use crate::push_request::{Families, RunEnding, is_outcome_family};

/// The maximum number of stages that the history stores for one run.
const MAX_STAGES: usize = 32;

/// Returns the ending of the run with this id, for a history.
pub(super) fn run_ending(
    id: &str,
    completion: &Completion,
    progress: &Progress,
    reason: Option<String>,
) -> RunEnding {
    let counted = totals(completion.cause.outcome, progress.records).encode();
    RunEnding { counted, ..uncounted_ending(id, completion, progress, reason) }
}

/// Returns the ending of the run with this id without what the run has counted, which only a history adds up.
pub(super) fn uncounted_ending(
    id: &str,
    completion: &Completion,
    progress: &Progress,
    reason: Option<String>,
) -> RunEnding {
    let cause = completion.cause;
    let stages = progress.stages.iter().take(MAX_STAGES);
    let run = FinishedRun {
        id: id.to_owned(),
        started_at: completion.started_at,
        ended_at: completion.finished_at,
        duration: completion.duration,
        outcome: cause.outcome,
        exit_code: cause.exit_code,
        signal: cause.signal,
        records: progress.records,
        stages: stages.cloned().collect(),
        attempts: None,
        failed_stage: progress.failed_stage(cause.outcome),
        reason,
    };
    RunEnding { counted: Families::new(), run }
}

/// Adds the program's own counters and histograms, which add up over runs.
pub(super) fn add_summable(counted: &mut Families, families: &Families) {
    let is_own = |name: &str, text: &str| !is_outcome_family(name) && is_summable(text);
    let own = families.iter().filter(|(name, text)| is_own(name, text));
    counted.extend(own.map(|(name, text)| (name.clone(), text.clone())));
}

/// Returns what one run adds to the totals of its group.
fn totals(outcome: Outcome, records: Option<RecordCounts>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let labels = Outcome::ALL.map(|outcome| [("outcome", outcome.as_str())]);
    let runs: Vec<_> = Outcome::ALL
        .iter()
        .zip(&labels)
        .map(|(known, labels)| (labels.as_slice(), f64::from(*known == outcome)))
        .collect();
    snapshot.counter("batch_job_runs_total", "Number of runs, by outcome.", &runs);
    if let Some(records) = records {
        snapshot.counter(
            "batch_job_records_total",
            "Number of records of all runs, by result.",
            &record_samples(records),
        );
    }
    snapshot
}
