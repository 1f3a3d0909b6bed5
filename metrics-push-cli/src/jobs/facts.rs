//! `Facts`: the values of a group that determine the state of its job.

use std::collections::BTreeMap;

use super::group::Group;

/// The maximum rounding error of a timestamp, in seconds: a run may seem to end this much before its start.
const ROUNDING: f64 = 1e-3;

/// The maximum duration of a run without `max_runtime`, in seconds, as in the alert rules.
const DEFAULT_MAX_RUNTIME: f64 = 86_400.0;

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

/// The records of one run by result.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Records {
    pub(crate) processed: Option<f64>,
    pub(crate) failed: Option<f64>,
    pub(crate) skipped: Option<f64>,
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
        Self {
            start: value("last_start_timestamp_seconds"),
            completion: value("last_completion_timestamp_seconds"),
            success: value("last_success_timestamp_seconds"),
            failure: value("last_failure_timestamp_seconds"),
            outcome,
            is_failing: value("last_run_success") == Some(0.0),
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

/// Describes an outcome with the exit code or the signal of the run.
pub(super) fn describe_outcome(
    outcome: &str,
    exit_code: Option<f64>,
    signal: Option<f64>,
) -> String {
    match (outcome, exit_code, signal) {
        ("exit_code", Some(code), _) if code != 0.0 => format!("exit code {code}"),
        ("signal", _, Some(number)) if number != 0.0 => match signal_name(number) {
            Some(name) => format!("signal {number}, {name}"),
            None => format!("signal {number}"),
        },
        ("oom", ..) => "out of memory".to_owned(),
        _ => outcome.to_owned(),
    }
}

/// Returns the name of a signal that has the same number on every platform.
fn signal_name(number: f64) -> Option<&'static str> {
    const NAMES: [(f64, &str); 11] = [
        (1.0, "HUP"),
        (2.0, "INT"),
        (3.0, "QUIT"),
        (4.0, "ILL"),
        (6.0, "ABRT"),
        (8.0, "FPE"),
        (9.0, "KILL"),
        (11.0, "SEGV"),
        (13.0, "PIPE"),
        (14.0, "ALRM"),
        (15.0, "TERM"),
    ];
    NAMES.iter().find(|(other, _)| *other == number).map(|(_, name)| *name)
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
