//! The runs of a job with their start times: those of its history, the open one, and those that did not start.

use super::strip::MarkedRun;
use crate::jobs::{Job, LocalClock, RunMark, RunSummary};

/// Returns at most `max` runs with their marks, oldest first; empty without a history.
pub(super) fn marked_runs(job: &Job, clock: &LocalClock, max: usize) -> Vec<MarkedRun> {
    let ended = ended_runs(job);
    let mut runs: Vec<_> = ended[ended.len().saturating_sub(max)..].iter().map(recorded).collect();
    if runs.is_empty() {
        return runs;
    }
    let marks = job.strip();
    if let Some(start) = job.facts.start.filter(|_| job.facts.is_open()) {
        let is_open = |mark: &RunMark| matches!(mark, RunMark::Running | RunMark::NoEnd);
        let mark = marks.iter().rev().copied().find(is_open).unwrap_or(RunMark::Running);
        let duration = (mark == RunMark::Running).then(|| clock.now() - start);
        runs.push(unrecorded(mark, start, duration));
    }
    let missed = &job.missed_runs[..job.missed_runs.len().min(max)];
    runs.extend(missed.iter().map(|due| unrecorded(RunMark::NotStarted, *due, None)));
    runs.split_off(runs.len().saturating_sub(max))
}

/// The recorded runs without the open one.
fn ended_runs(job: &Job) -> &[RunSummary] {
    match &job.runs[..] {
        [ended @ .., last] if job.facts.is_open() && last.outcome.is_none() => ended,
        runs => runs,
    }
}

fn recorded(run: &RunSummary) -> MarkedRun {
    MarkedRun {
        mark: run.mark(),
        start: run.start,
        duration: run.duration,
        outcome: run.outcome_text(),
        reason: run.reason.clone(),
    }
}

fn unrecorded(mark: RunMark, start: f64, duration: Option<f64>) -> MarkedRun {
    MarkedRun { mark, start, duration, outcome: mark.as_str().to_owned(), reason: None }
}
