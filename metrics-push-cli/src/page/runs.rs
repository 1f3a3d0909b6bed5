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
    let missed = &job.missed_runs[job.missed_runs.len().saturating_sub(max)..];
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
        failure: run.failure(),
    }
}

fn unrecorded(mark: RunMark, start: f64, duration: Option<f64>) -> MarkedRun {
    MarkedRun { mark, start, duration, outcome: mark.as_str().to_owned(), failure: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{Delivery, Group, Metric, Overview};
    use metrics_push::StoredValue;

    const HOUR: f64 = 3_600.0;
    const NOW: f64 = 1_795_671_738.0;

    /// An hourly job whose last run started this many hours ago.
    fn late_job(hours: f64) -> Group {
        let start = NOW - hours * HOUR;
        let times = [
            ("last_start", start),
            ("last_completion", start + 1.0),
            ("last_success", start + 1.0),
            ("next_run", start + HOUR),
        ];
        let families = times.map(|(name, at)| {
            let metric = Metric { labels: [].into(), value: StoredValue::Single(at) };
            (format!("batch_job_{name}_timestamp_seconds"), vec![metric])
        });
        let labels = [("job".to_owned(), "late".to_owned())].into();
        Group { labels, families: families.into(), ..Group::default() }
    }

    #[test]
    fn missed_runs_are_the_newest_ones() {
        let clock = LocalClock::at(NOW, "UTC");
        let recorded = RunSummary {
            start: NOW - 31.0 * HOUR,
            outcome: Some("success".to_owned()),
            ..RunSummary::default()
        };
        let overview = Overview::new(
            [late_job(31.0)],
            |_| vec![recorded.clone()],
            Delivery::default(),
            &clock,
        );
        let runs = marked_runs(&overview.jobs[0], &clock, 20);
        let hours_ago: Vec<_> = runs.iter().map(|run| (NOW - run.start) / HOUR).collect();
        assert_eq!(hours_ago, (0..20).rev().map(f64::from).collect::<Vec<_>>());
        assert!(runs.iter().all(|run| run.mark == RunMark::NotStarted), "{runs:?}");
    }
}
