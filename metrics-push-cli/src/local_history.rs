//! The history of runs on this machine, in the types of the model.

use std::time::Duration;

use metrics_push::{FinishedRun, RunHistory};

use crate::context;
use crate::humanize::unix_seconds;
use crate::jobs::{Group, Records, RunSummary};

/// Returns the runs of a group that ended on this machine, oldest first.
pub(crate) fn runs(group: &Group) -> Vec<RunSummary> {
    let history = context::key_with(&group.labels).and_then(|key| metrics_push::history(&key));
    history.map(|history| history.runs().iter().map(summary).collect()).unwrap_or_default()
}

/// Returns a group without metrics. The model completes it from the runs of the history.
pub(crate) fn group(history: &RunHistory) -> Group {
    let key = history.key();
    let others = key.labels().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let labels = std::iter::once(("job".to_owned(), key.job().to_owned())).chain(others).collect();
    Group { labels, ..Group::default() }
}

fn summary(run: &FinishedRun) -> RunSummary {
    let records = run.records();
    RunSummary {
        id: run.id().to_owned(),
        start: unix_seconds(run.started_at()),
        end: Some(unix_seconds(run.ended_at())),
        duration: run.duration().as_ref().map(Duration::as_secs_f64),
        outcome: Some(run.outcome().as_str().to_owned()),
        exit_code: run.exit_code().map(f64::from),
        signal: run.signal().map(f64::from),
        records: Records {
            processed: records.map(|records| float(records.processed)),
            failed: records.map(|records| float(records.failed)),
            skipped: records.map(|records| float(records.skipped)),
        },
        stages: run.stages().iter().map(|(name, it)| (name.clone(), it.as_secs_f64())).collect(),
        attempts: Some(run.attempts()),
        failed_stage: run.failed_stage().map(str::to_owned),
        last_stage: run.last_stage().map(str::to_owned),
        reason: run.reason().map(str::to_owned),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of runs or records")]
fn float(count: u64) -> f64 {
    count as f64
}
