//! `Report`: the state of a job at one moment, computed from the metrics of its group, and its problems.
//!
//! The alert rules in `monitoring/` detect the same problems: an old last success, a failed run, a start without an end, a
//! rejected push, a clock that is ahead.

use std::collections::BTreeMap;

use metrics_push::{StoredGroup, StoredValue};

use crate::humanize::duration;

/// How far a clock may be ahead of the local clock, in seconds.
const CLOCK_TOLERANCE: f64 = 300.0;

/// The maximum rounding error of a timestamp, in seconds: a run may seem to end this much before its start.
const ROUNDING: f64 = 1e-3;

/// The maximum duration of a run without `max_runtime`, in seconds, as in the alert rules.
const DEFAULT_MAX_RUNTIME: f64 = 86_400.0;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    /// The grouping labels, including `job`.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) state: State,
    /// One sentence each, without capital letter and full stop.
    pub(crate) problems: Vec<String>,
    pub(crate) facts: Facts,
    /// The time of the report.
    now: f64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The last run ended with this outcome.
    Ended(String),
    /// A run is active; its progress in percent, if the job reports it.
    Running(Option<u8>),
    /// The last run has exceeded its maximum runtime without an end.
    Vanished,
    /// The last run succeeded, and the deadline of the next success has passed.
    Overdue,
    /// The gateway rejected every push.
    Refused,
    /// The group has metrics and no run.
    NoRuns,
}

/// The metrics of a group. Timestamps are Unix time in seconds; durations are seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Facts {
    pub(crate) start: Option<f64>,
    pub(crate) completion: Option<f64>,
    pub(crate) success: Option<f64>,
    failure: Option<f64>,
    /// Whether the last run that ended has failed. Skipped runs do not count.
    is_failing: bool,
    pub(crate) deadline: Option<f64>,
    pub(crate) max_runtime: Option<f64>,
    pub(crate) took: Option<f64>,
    pub(crate) processed: Option<f64>,
    pub(crate) failed: Option<f64>,
    pub(crate) skipped: Option<f64>,
    pub(crate) exit_code: Option<f64>,
    pub(crate) signal: Option<f64>,
    /// The time of the last accepted push, by the gateway's clock.
    pub(crate) push: Option<f64>,
    outcome: Option<String>,
    progress: Option<f64>,
    pushed_at: Option<f64>,
    is_refused: bool,
}

impl Facts {
    fn new(group: &StoredGroup) -> Self {
        let value = |name: &str| group.value(&format!("batch_job_{name}"), &[]);
        let records =
            |result: &str| group.value("batch_job_last_run_records", &[("result", result)]);
        let outcome = outcome(group);
        // The duration of an abandoned run is unknown; the value belongs to an earlier run.
        let took =
            value("last_run_duration_seconds").filter(|_| outcome.as_deref() != Some("abandoned"));
        Self {
            start: value("last_start_timestamp_seconds"),
            completion: value("last_completion_timestamp_seconds"),
            success: value("last_success_timestamp_seconds"),
            failure: value("last_failure_timestamp_seconds"),
            is_failing: value("last_run_success") == Some(0.0),
            deadline: value("success_deadline_seconds"),
            max_runtime: value("max_runtime_seconds"),
            took,
            processed: records("processed"),
            failed: records("failed"),
            skipped: records("skipped"),
            exit_code: value("last_run_exit_code"),
            signal: value("last_run_signal"),
            push: group.value("push_time_seconds", &[]),
            outcome,
            progress: value("progress_ratio"),
            pushed_at: value("pushed_at_timestamp_seconds"),
            is_refused: !group.last_push_successful,
        }
    }

    fn is_open(&self) -> bool {
        match (self.start, self.completion) {
            (Some(start), Some(completion)) => start > completion + ROUNDING,
            (start, None) => start.is_some(),
            (None, Some(_)) => false,
        }
    }

    /// The maximum duration of a run: `max_runtime`, else the deadline, at most one day.
    fn run_limit(&self) -> f64 {
        let default = self.deadline.map_or(DEFAULT_MAX_RUNTIME, |it| it.min(DEFAULT_MAX_RUNTIME));
        self.max_runtime.unwrap_or(default)
    }

    /// The progress of the active run. Ignores the progress of earlier runs.
    fn percent(&self) -> Option<u8> {
        let (ratio, pushed_at, start) = (self.progress?, self.pushed_at?, self.start?);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 100"
        )]
        (pushed_at > start + ROUNDING).then_some((ratio.clamp(0.0, 1.0) * 100.0) as u8)
    }

    /// Describes the outcome of the last run, with its exit code or signal.
    fn describe(&self, outcome: &str) -> String {
        match (outcome, self.exit_code, self.signal) {
            ("exit_code", Some(code), _) if code != 0.0 => format!("exit code {code}"),
            ("signal", _, Some(number)) if number != 0.0 => match signal_name(number) {
                Some(name) => format!("signal {number}, {name}"),
                None => format!("signal {number}"),
            },
            ("oom", ..) => "out of memory".to_owned(),
            _ => outcome.to_owned(),
        }
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
fn outcome(group: &StoredGroup) -> Option<String> {
    let states = &group.families.get("batch_job_last_run_outcome")?.metrics;
    let active = states.iter().find(|state| state.value == StoredValue::Single(1.0))?;
    active.labels.get("outcome").cloned()
}

impl Report {
    pub(crate) fn new(group: &StoredGroup, now: f64) -> Self {
        let facts = Facts::new(group);
        let state = state(&facts, now);
        let problems = problems(&facts, &state, now);
        Self { labels: group.labels.clone(), state, problems, facts, now }
    }

    /// Returns true if the group has a run or a rejected push.
    pub(crate) fn has_runs(&self) -> bool {
        self.state != State::NoRuns
    }

    pub(crate) fn is_well(&self) -> bool {
        self.problems.is_empty()
    }

    /// Returns true if a run is active and the run before it failed.
    pub(crate) fn is_retrying(&self) -> bool {
        matches!(self.state, State::Running(_)) && self.facts.is_failing
    }

    /// The age of the last failure in seconds.
    pub(crate) fn failure_age(&self) -> Option<f64> {
        self.facts.failure.map(|failure| self.now - failure)
    }

    /// The age of the last success in seconds.
    pub(crate) fn success_age(&self) -> Option<f64> {
        self.facts.success.map(|success| self.now - success)
    }

    /// Sorts reports with problems first, then by name.
    pub(crate) fn sort_key(&self) -> (u8, String) {
        let rank = match (self.is_well(), &self.state) {
            (false, _) => 0,
            (true, State::Running(_)) => 1,
            (true, State::NoRuns) => 3,
            (true, _) => 2,
        };
        (rank, self.name())
    }

    /// The job and the other grouping labels, in the syntax of `--grouping`.
    pub(crate) fn name(&self) -> String {
        let mut name = self.labels.get("job").map_or(String::new(), |job| quoted(job));
        for (label, value) in self.labels.iter().filter(|(label, _)| *label != "job") {
            name.extend([" ", label, "=", &quoted(value)]);
        }
        name
    }
}

/// Quotes a value that a shell would not read as one word.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-.:/@%+".contains(c);
    if value.chars().all(is_plain) { value.to_owned() } else { format!("{value:?}") }
}

fn state(facts: &Facts, now: f64) -> State {
    match &facts.outcome {
        _ if facts.is_open() && is_older(facts.start, Some(facts.run_limit()), now) => {
            State::Vanished
        }
        _ if facts.is_open() => State::Running(facts.percent()),
        Some(outcome) if is_good(outcome) && is_older(facts.success, facts.deadline, now) => {
            State::Overdue
        }
        Some(outcome) => State::Ended(outcome.clone()),
        None if facts.is_refused => State::Refused,
        None => State::NoRuns,
    }
}

fn is_older(instant: Option<f64>, limit: Option<f64>, now: f64) -> bool {
    instant.zip(limit).is_some_and(|(instant, limit)| now - instant > limit)
}

fn is_good(outcome: &str) -> bool {
    matches!(outcome, "success" | "skipped")
}

/// At most one sentence about the runs, then one about the clock and one about a rejected push.
fn problems(facts: &Facts, state: &State, now: f64) -> Vec<String> {
    let mut problems = Vec::from_iter(runs_problem(facts, state, now));
    if facts.success.is_some_and(|success| success - now > CLOCK_TOLERANCE) {
        problems.push(format!(
            "the last success is {} ahead of the local clock: synchronise the clocks",
            duration(facts.success.unwrap_or_default() - now),
        ));
    }
    if facts.is_refused {
        problems
            .push("the gateway rejected the last push: read the reason in the job's stderr".into());
    }
    problems
}

/// What is wrong with the runs, in one sentence: the last run, the last success, and the remedy.
fn runs_problem(facts: &Facts, state: &State, now: f64) -> Option<String> {
    let is_overdue = is_older(facts.success, facts.deadline, now);
    let started = || format!("a run started {}", ago(facts.start, now));
    let is_skipped = facts.outcome.as_deref() == Some("skipped");
    let (mut clauses, remedy) = match state {
        State::Ended(outcome) if !is_good(outcome) => {
            (vec![failure(facts, facts.completion, now)], None)
        }
        State::Running(_) if facts.is_failing => {
            (vec![started(), failure(facts, facts.failure, now)], None)
        }
        State::Running(_) if is_overdue => (vec![started()], None),
        State::Vanished => {
            let (limit, remedy) = vanished(facts);
            (vec![started() + " and has not ended", limit], Some(remedy))
        }
        State::Overdue if is_skipped && !is_older(facts.start, facts.deadline, now) => {
            let skipped = format!("the last run was skipped {}", ago(facts.completion, now));
            (vec![skipped], Some("check why its runs are skipped"))
        }
        State::Overdue => (vec![], Some("check whether the job is still scheduled")),
        _ => return None,
    };
    if let Some(deadline) = facts.deadline.filter(|_| is_overdue) {
        let (ago, deadline) = (ago(facts.success, now), duration(deadline));
        clauses.push(format!("the last success was {ago}; the deadline is {deadline}"));
    } else if facts.success.is_none() {
        clauses.push("it has never succeeded".to_owned());
    }
    let remedy = remedy.map_or(String::new(), |remedy| format!(": {remedy}"));
    Some(clauses.join("; ") + &remedy)
}

/// Describes the failure of the last run. The outcome is unknown while the next run is active.
fn failure(facts: &Facts, ended: Option<f64>, now: f64) -> String {
    let outcome = facts.outcome.as_deref().filter(|outcome| !is_good(outcome));
    let how = outcome.map_or(String::new(), |outcome| format!(" ({})", facts.describe(outcome)));
    format!("the last run failed {}{how}", ago(ended, now))
}

/// The limit that an open run has exceeded, and the remedy.
fn vanished(facts: &Facts) -> (String, &'static str) {
    let limit = duration(facts.run_limit());
    match facts.max_runtime {
        Some(_) => {
            (format!("its maximum runtime is {limit}"), "check whether it hangs or was killed")
        }
        None => (
            format!("without max_runtime, a run may take {limit}"),
            "check whether it hangs or was killed, or set max_runtime",
        ),
    }
}

fn ago(instant: Option<f64>, now: f64) -> String {
    instant.map_or("at an unknown time".into(), |then| format!("{} ago", duration(now - then)))
}

#[cfg(test)]
mod tests;
