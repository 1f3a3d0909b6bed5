//! Report: what a group tells of its job at one moment, and whether somebody has to look.
//!
//! The rules are those of the shipped alert rules: a last success that is too old, a run that failed, a start that no
//! end followed, a push that was refused, a clock that is ahead.

use std::collections::BTreeMap;

use metrics_push::{StoredGroup, StoredValue};

use crate::spelling::duration;

/// How far ahead of ours a clock may be, in seconds, before it is told.
const CLOCK_TOLERANCE: f64 = 300.0;

/// How long a run may seem to end before it starts, in seconds: instants are rounded on their way.
const ROUNDING: f64 = 1e-3;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    /// The grouping labels, `job` among them.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) state: State,
    /// What somebody has to look at, in sentences; none, if all is well.
    pub(crate) problems: Vec<String>,
    pub(crate) facts: Facts,
    /// When this was judged.
    now: f64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The last run has ended, and this was its outcome.
    Ended(String),
    /// A run is under way, with this much of it done, in per cent, where it tells.
    Running(Option<u8>),
    /// The last run has neither ended nor time left.
    Vanished,
    /// All runs went well, and the next is missing.
    Overdue,
    /// The gateway refused all that was pushed.
    Refused,
    /// Metrics, but none of a run.
    NoRuns,
}

/// What a group says of its job; instants are Unix seconds, lengths of time seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Facts {
    pub(crate) start: Option<f64>,
    pub(crate) completion: Option<f64>,
    pub(crate) success: Option<f64>,
    pub(crate) deadline: Option<f64>,
    pub(crate) max_runtime: Option<f64>,
    pub(crate) took: Option<f64>,
    pub(crate) processed: Option<f64>,
    pub(crate) failed: Option<f64>,
    pub(crate) skipped: Option<f64>,
    pub(crate) exit_code: Option<f64>,
    pub(crate) signal: Option<f64>,
    /// By the gateway's clock.
    pub(crate) push: Option<f64>,
    outcome: Option<String>,
    progress: Option<f64>,
    pushed_at: Option<f64>,
    is_refused: bool,
}

impl Facts {
    fn of(group: &StoredGroup) -> Self {
        let value = |name: &str| group.value(&format!("batch_job_{name}"), &[]);
        let records =
            |result: &str| group.value("batch_job_last_run_records", &[("result", result)]);
        let outcome = outcome(group);
        // Nobody knows how long an abandoned run took; what the group has is an earlier one's.
        let took =
            value("last_run_duration_seconds").filter(|_| outcome.as_deref() != Some("abandoned"));
        Self {
            start: value("last_start_timestamp_seconds"),
            completion: value("last_completion_timestamp_seconds"),
            success: value("last_success_timestamp_seconds"),
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

    /// How much of a run under way is done. What an earlier run left is not told.
    fn per_cent(&self) -> Option<u8> {
        let (ratio, pushed_at, start) = (self.progress?, self.pushed_at?, self.start?);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 100"
        )]
        (pushed_at > start + ROUNDING).then_some((ratio.clamp(0.0, 1.0) * 100.0) as u8)
    }

    /// How the last run ended, with what is known beyond the outcome's name.
    fn how(&self, outcome: &str) -> String {
        match (outcome, self.exit_code, self.signal) {
            ("exit_code", Some(code), _) => format!("exit code {code}"),
            ("signal", _, Some(number)) => match signal_name(number) {
                Some(name) => format!("signal {number}, {name}"),
                None => format!("signal {number}"),
            },
            ("oom", ..) => "out of memory".to_owned(),
            _ => outcome.to_owned(),
        }
    }
}

/// The names of signals that have one number everywhere.
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
    NAMES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

/// The outcome whose state is 1.
fn outcome(group: &StoredGroup) -> Option<String> {
    let states = &group.families.get("batch_job_last_run_outcome")?.metrics;
    let holds = states.iter().find(|state| state.value == StoredValue::Single(1.0))?;
    holds.labels.get("outcome").cloned()
}

impl Report {
    pub(crate) fn of(group: &StoredGroup, now: f64) -> Self {
        let facts = Facts::of(group);
        let state = state(&facts, now);
        let problems = problems(&facts, &state, now);
        Self { labels: group.labels.clone(), state, problems, facts, now }
    }

    /// Whether the group tells of runs at all, or of a push that was refused.
    pub(crate) fn is_job(&self) -> bool {
        self.state != State::NoRuns
    }

    pub(crate) fn is_well(&self) -> bool {
        self.problems.is_empty()
    }

    /// How old the last success is, if there was one.
    pub(crate) fn success_age(&self) -> Option<f64> {
        self.facts.success.map(|success| self.now - success)
    }

    /// What sorts first needs somebody first.
    pub(crate) fn urgency(&self) -> (u8, String) {
        let rank = match (self.is_well(), &self.state) {
            (false, _) => 0,
            (true, State::Running(_)) => 1,
            (true, State::NoRuns) => 3,
            (true, _) => 2,
        };
        (rank, self.name())
    }

    /// The job and its further grouping labels, in the form that `--grouping` takes.
    pub(crate) fn name(&self) -> String {
        let mut name = self.labels.get("job").map_or(String::new(), |job| quoted(job));
        for (label, value) in self.labels.iter().filter(|(label, _)| *label != "job") {
            name.extend([" ", label, "=", &quoted(value)]);
        }
        name
    }
}

/// As it is, where a shell would take it as one word.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-.:/@%+".contains(c);
    if value.chars().all(is_plain) { value.to_owned() } else { format!("{value:?}") }
}

fn state(facts: &Facts, now: f64) -> State {
    let is_older = |instant: Option<f64>, limit: Option<f64>| {
        instant.zip(limit).is_some_and(|(instant, limit)| now - instant > limit)
    };
    match &facts.outcome {
        _ if facts.is_open() && is_older(facts.start, facts.max_runtime) => State::Vanished,
        _ if facts.is_open() => State::Running(facts.per_cent()),
        Some(outcome) if is_good(outcome) && is_older(facts.success, facts.deadline) => {
            State::Overdue
        }
        Some(outcome) => State::Ended(outcome.clone()),
        None if facts.is_refused => State::Refused,
        None => State::NoRuns,
    }
}

fn is_good(outcome: &str) -> bool {
    matches!(outcome, "success" | "skipped")
}

fn problems(facts: &Facts, state: &State, now: f64) -> Vec<String> {
    let ago = |instant: Option<f64>| {
        instant.map_or("at an unknown time".into(), |then| format!("{} ago", duration(now - then)))
    };
    let mut problems = Vec::new();
    match state {
        State::Ended(outcome) if !is_good(outcome) => {
            let never = if facts.success.is_none() { "; it has never succeeded" } else { "" };
            let how = facts.how(outcome);
            problems.push(format!("the last run failed {} ({how}){never}", ago(facts.completion)));
        }
        State::Vanished => problems.push(format!(
            "a run started {} and has not ended, though it may take {} at most: look whether it hangs or was killed",
            ago(facts.start),
            duration(facts.max_runtime.unwrap_or_default()),
        )),
        _ => {}
    }
    if let Some((success, deadline)) = facts.success.zip(facts.deadline)
        && now - success > deadline
    {
        problems.push(format!(
            "the last success was {} and may be {} old: look whether the job is still started",
            ago(facts.success),
            duration(deadline),
        ));
    }
    if facts.success.is_some_and(|success| success - now > CLOCK_TOLERANCE) {
        problems.push(format!(
            "the last success is {} ahead of this machine's clock: set the clocks",
            duration(facts.success.unwrap_or_default() - now),
        ));
    }
    if facts.is_refused {
        problems
            .push("the gateway refused the last push: see the job's stderr for the reason".into());
    }
    problems
}

#[cfg(test)]
mod tests;
