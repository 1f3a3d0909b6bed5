//! `Facts`: the values of a group that determine the state of its job.

use std::collections::BTreeMap;

use super::group::Group;
use super::outcome::{describe_outcome, is_failure};
use super::run_summary::{Records, RunMark, RunSummary, last_streak};

/// The maximum rounding error of a timestamp, in seconds: a run may seem to end this much before its start.
const ROUNDING: f64 = 1e-3;

/// The maximum duration of a run without `max_runtime`, in seconds, as in the alert rules.
const DEFAULT_MAX_RUNTIME: f64 = 86_400.0;

/// The bounds of the time until the first success, in seconds, as in the alert rules.
const MIN_FIRST_SUCCESS_LIMIT: f64 = 3_600.0;
const MAX_FIRST_SUCCESS_LIMIT: f64 = 7.0 * 86_400.0;

/// The values of a group. Timestamps are Unix time in seconds; durations are seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Facts {
    pub(crate) start: Option<f64>,
    pub(crate) completion: Option<f64>,
    pub(crate) success: Option<f64>,
    pub(crate) failure: Option<f64>,
    /// The outcome of the last run that has ended.
    pub(crate) outcome: Option<String>,
    /// Whether the last run that has ended and was not skipped has failed.
    pub(crate) is_failing: bool,
    pub(crate) exit_code: Option<f64>,
    pub(crate) signal: Option<f64>,
    /// The duration of the last run.
    pub(crate) duration: Option<f64>,
    /// The age at which the last success is too old.
    pub(crate) deadline: Option<f64>,
    pub(crate) max_runtime: Option<f64>,
    pub(crate) next_run: Option<f64>,
    /// How late a run may start.
    pub(crate) grace: Option<f64>,
    pub(crate) failures_in_a_row: Option<f64>,
    pub(crate) successes_in_a_row: Option<f64>,
    pub(crate) failing_since: Option<f64>,
    pub(crate) failure_threshold: Option<f64>,
    pub(crate) recovery_threshold: Option<f64>,
    pub(crate) records: Records,
    /// The stages of the last run with their durations.
    pub(crate) stages: Vec<(String, f64)>,
    /// The completed fraction of the last run.
    pub(crate) progress: Option<f64>,
    pub(crate) heartbeat_interval: Option<f64>,
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) max_resident_memory_bytes: Option<f64>,
    pub(crate) push_attempts: Option<f64>,
    /// When the last push left the job, by its clock.
    pub(crate) pushed_at: Option<f64>,
    /// When the gateway accepted the last push, by its clock.
    pub(crate) push_time: Option<f64>,
    /// The labels of `batch_job_info`, such as `version`.
    pub(crate) info: BTreeMap<String, String>,
    /// Whether the gateway rejected the last push.
    pub(crate) is_refused: bool,
}

impl Facts {
    pub(super) fn new(group: &Group) -> Self {
        let value = |name: &str| group.value(&format!("batch_job_{name}"), &[]);
        let records =
            |result: &str| group.value("batch_job_last_run_records", &[("result", result)]);
        let outcome = outcome(group);
        // The duration of an abandoned run is unknown; the value belongs to an earlier run.
        let duration =
            value("last_run_duration_seconds").filter(|_| outcome.as_deref() != Some("abandoned"));
        let cpu_seconds = group.values_by("batch_job_last_run_cpu_seconds", "mode");
        let is_failing = match value("last_run_success") {
            Some(success) => success == 0.0,
            None => outcome.as_deref().is_some_and(is_failure),
        };
        Self {
            start: value("last_start_timestamp_seconds"),
            completion: value("last_completion_timestamp_seconds"),
            success: value("last_success_timestamp_seconds"),
            failure: value("last_failure_timestamp_seconds"),
            outcome,
            is_failing,
            exit_code: value("last_run_exit_code"),
            signal: value("last_run_signal"),
            duration,
            deadline: value("success_deadline_seconds"),
            max_runtime: value("max_runtime_seconds"),
            next_run: value("next_run_timestamp_seconds"),
            grace: value("start_grace_seconds"),
            failures_in_a_row: value("consecutive_failures"),
            successes_in_a_row: value("consecutive_successes"),
            failing_since: value("failing_since_timestamp_seconds"),
            failure_threshold: value("failure_threshold"),
            recovery_threshold: value("recovery_threshold"),
            records: Records {
                processed: records("processed"),
                failed: records("failed"),
                skipped: records("skipped"),
            },
            stages: group.values_by("batch_job_stage_duration_seconds", "stage"),
            progress: value("progress_ratio"),
            heartbeat_interval: value("heartbeat_interval_seconds"),
            cpu_seconds: (!cpu_seconds.is_empty())
                .then(|| cpu_seconds.iter().map(|(_, seconds)| seconds).sum()),
            max_resident_memory_bytes: value("last_run_max_resident_memory_bytes"),
            push_attempts: value("push_attempts"),
            pushed_at: value("pushed_at_timestamp_seconds"),
            push_time: group.pushed_at(),
            info: info(group),
            is_refused: group.is_refused,
        }
    }

    /// Replaces the values of the last run if the history of this machine has a newer one: the gateway has lost its groups,
    /// or the outcome is not delivered yet.
    pub(super) fn update(&mut self, runs: &[RunSummary]) {
        let Some(last) = runs.last().filter(|run| self.is_older_than(run)) else { return };
        self.start = Some(last.start);
        self.completion = last.end;
        self.outcome.clone_from(&last.outcome);
        (self.exit_code, self.signal) = (last.exit_code, last.signal);
        (self.duration, self.records) = (last.duration, last.records);
        self.stages.clone_from(&last.stages);
        self.success = last_end(runs, RunMark::Success).or(self.success);
        self.failure = last_end(runs, RunMark::Failure).or(self.failure);
        let streak = last_streak(runs);
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 runs")]
        let failures = streak.len() as f64;
        self.failures_in_a_row = Some(failures);
        self.failing_since = streak.first().map(|run| run.start);
        self.is_failing = !streak.is_empty();
    }

    fn is_older_than(&self, run: &RunSummary) -> bool {
        self.start.is_none_or(|start| run.start + ROUNDING >= start)
            && run.end.is_some_and(|end| self.completion.is_none_or(|it| end > it + ROUNDING))
    }

    /// The cron expression of the job and its time zone, which is empty for that of its machine.
    pub(crate) fn schedule(&self) -> Option<(&str, &str)> {
        let label = |name: &str| self.info.get(name).map(String::as_str);
        Some((label("schedule")?, label("timezone").unwrap_or_default()))
    }

    /// The time from the last start to the run that was due after it.
    pub(super) fn interval(&self) -> Option<f64> {
        let interval = self.next_run? - self.start?;
        (interval > 0.0).then_some(interval)
    }

    /// How long a job may be without its first success, as in the alert rules: its deadline, else two intervals.
    pub(crate) fn first_success_limit(&self) -> Option<f64> {
        let two_runs = || self.interval().map(|it| (2.0 * it).max(MIN_FIRST_SUCCESS_LIMIT));
        self.deadline.or_else(two_runs).map(|limit| limit.min(MAX_FIRST_SUCCESS_LIMIT))
    }

    /// Returns true if the last run that has ended was skipped.
    pub(crate) fn is_skipped(&self) -> bool {
        self.outcome.as_deref() == Some("skipped")
    }

    /// Returns true if a run has started and has not ended.
    pub(crate) fn is_open(&self) -> bool {
        match (self.start, self.completion) {
            (Some(start), Some(completion)) => start > completion + ROUNDING,
            (start, None) => start.is_some(),
            (None, Some(_)) => false,
        }
    }

    /// The maximum duration of a run: `max_runtime`, else the deadline, at most one day.
    pub(crate) fn run_limit(&self) -> f64 {
        let default = self.deadline.map_or(DEFAULT_MAX_RUNTIME, |it| it.min(DEFAULT_MAX_RUNTIME));
        self.max_runtime.unwrap_or(default)
    }

    /// When the open run sent its last heartbeat.
    pub(crate) fn last_heartbeat(&self) -> Option<f64> {
        let (pushed_at, start) = (self.pushed_at?, self.start?);
        (self.is_open() && pushed_at > start + ROUNDING).then_some(pushed_at)
    }

    /// The completed fraction of the open run, from 0 to 1. Ignores the progress of earlier runs.
    pub(crate) fn open_progress(&self) -> Option<f64> {
        self.last_heartbeat().and(self.progress).map(|ratio| ratio.clamp(0.0, 1.0))
    }

    /// The number of failures in a row. Without a history of its runs, a job that fails has failed once.
    pub(crate) fn failures(&self) -> f64 {
        match self.failures_in_a_row {
            Some(failures) => failures,
            None if self.is_failing => 1.0,
            None => 0.0,
        }
    }

    /// The number of failures in a row at which the job is failing.
    pub(crate) fn threshold(&self) -> f64 {
        self.failure_threshold.unwrap_or(1.0).max(1.0)
    }

    /// The outcome of the last run with its exit code or signal.
    pub(crate) fn outcome_text(&self) -> Option<String> {
        let outcome = self.outcome.as_deref()?;
        Some(describe_outcome(outcome, self.exit_code, self.signal))
    }
}

/// Returns the outcome with the value 1.
fn outcome(group: &Group) -> Option<String> {
    let states = group.values_by("batch_job_last_run_outcome", "outcome");
    states.into_iter().find(|(_, value)| *value == 1.0).map(|(outcome, _)| outcome)
}

fn info(group: &Group) -> BTreeMap<String, String> {
    let metric = group.families.get("batch_job_info").and_then(|metrics| metrics.last());
    metric.map(|metric| metric.labels.clone()).unwrap_or_default()
}

/// Returns when the last run with this result ended.
fn last_end(runs: &[RunSummary], mark: RunMark) -> Option<f64> {
    runs.iter().rev().find(|run| run.mark() == mark)?.end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(outcomes: &[&str]) -> Vec<RunSummary> {
        let run = |(at, outcome): (u32, &&str)| RunSummary {
            start: f64::from(at) * 100.0,
            end: Some(f64::from(at) * 100.0 + 10.0),
            outcome: Some((*outcome).to_owned()),
            ..RunSummary::default()
        };
        (1..).zip(outcomes).map(run).collect()
    }

    #[test]
    fn newer_run_of_the_history_replaces_the_last_run() {
        let stored = Facts { start: Some(300.0), completion: Some(110.0), ..Facts::default() };
        // The gateway has the start of the last run only.
        let mut facts = stored.clone();
        facts.update(&runs(&["success", "error", "panic"]));
        assert_eq!((facts.completion, facts.success), (Some(310.0), Some(110.0)));
        assert_eq!((facts.failures(), facts.failing_since), (2.0, Some(200.0)));
        assert!(facts.is_failing && !facts.is_open());
        // The gateway has the start of a newer run.
        let mut facts = stored.clone();
        facts.update(&runs(&["success", "error"]));
        assert_eq!(facts, stored);
        // The gateway has no group.
        let mut facts = Facts::default();
        facts.update(&runs(&["error", "success", "skipped"]));
        assert_eq!(facts.outcome.as_deref(), Some("skipped"));
        assert_eq!((facts.success, facts.failures_in_a_row), (Some(210.0), Some(0.0)));
    }

    #[test]
    fn skipped_runs_do_not_end_a_streak() {
        let mut facts = Facts::default();
        facts.update(&runs(&["error", "skipped", "error", "skipped"]));
        assert_eq!((facts.failures(), facts.failing_since), (2.0, Some(100.0)));
    }
}
