//! `State`: the most urgent state that applies to a job.
//!
//! The alert rules detect the same states: an open run without an end, failures in a row, an old last success, a missed
//! start, a rejected push.

use super::facts::Facts;
use super::run_summary::{RunMark, RunSummary, count_failures, last_streak};

/// The number of runs that a strip shows.
pub(crate) const STRIP_LENGTH: usize = 20;

/// The number of failures among the last [`STRIP_LENGTH`] runs from which a job is flapping.
const MIN_FLAPPING_FAILURES: usize = 5;

/// The states from the most urgent to the least urgent. The first state that applies to a job is its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The open run has exceeded its maximum runtime.
    Vanished,
    /// As many runs in a row have failed as the job's threshold. Lasts until the next success, also while a run is open.
    Failing,
    /// The job has never succeeded, and its first run is older than its deadline.
    NoSuccess,
    /// The last success is older than the deadline, or a scheduled run did not start.
    Overdue,
    /// The gateway rejected the last push.
    Refused,
    /// A run is open.
    Running,
    /// Runs fail again and again, fewer in a row than the threshold.
    Flapping,
    /// The last run was skipped.
    Skipped,
    /// The last run succeeded.
    Success,
    /// The group has no runs.
    NoRuns,
}

impl State {
    /// Returns the state and since when it lasts, if that is known. `missed` has the times of the missed runs.
    pub(super) fn new(
        facts: &Facts,
        runs: &[RunSummary],
        missed: &[f64],
        now: f64,
    ) -> (Self, Option<f64>) {
        if facts.is_open() && is_past(facts.start, facts.run_limit(), now) {
            return (Self::Vanished, add(facts.start, facts.run_limit()));
        }
        if facts.is_failing && facts.failures() >= facts.threshold() {
            return (Self::Failing, failing_since(facts, runs));
        }
        if let Some(first_start) = never_succeeded(facts, runs, now) {
            return (Self::NoSuccess, Some(first_start));
        }
        if let Some(since) = overdue_since(facts, missed, now) {
            return (Self::Overdue, Some(since));
        }
        if facts.is_refused {
            return (Self::Refused, None);
        }
        if facts.is_open() {
            return (Self::Running, facts.start);
        }
        if facts.is_failing || has_many_failures(runs) {
            return (Self::Flapping, facts.failing_since);
        }
        match facts.outcome.as_deref() {
            Some("skipped") => (Self::Skipped, facts.completion),
            Some(_) => (Self::Success, facts.completion),
            None => (Self::NoRuns, None),
        }
    }

    pub(crate) fn needs_attention(self) -> bool {
        matches!(
            self,
            Self::Vanished | Self::Failing | Self::NoSuccess | Self::Overdue | Self::Refused
        )
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Vanished => "vanished",
            Self::Failing => "failing",
            Self::NoSuccess => "no success",
            Self::Overdue => "overdue",
            Self::Refused => "refused",
            Self::Running => "running",
            Self::Flapping => "flapping",
            Self::Skipped => "skipped",
            Self::Success => "success",
            Self::NoRuns => "no runs",
        }
    }
}

pub(super) fn is_success_too_old(facts: &Facts, now: f64) -> bool {
    facts.deadline.is_some_and(|deadline| is_past(facts.success, deadline, now))
}

fn overdue_since(facts: &Facts, missed: &[f64], now: f64) -> Option<f64> {
    if is_success_too_old(facts, now) {
        return add(facts.success, facts.deadline?);
    }
    missed.first().map(|due| due + facts.grace.unwrap_or_default())
}

/// Returns the first known start of a job without a success, if it is longer ago than the limit for the first success.
fn never_succeeded(facts: &Facts, runs: &[RunSummary], now: f64) -> Option<f64> {
    if facts.success.is_some() || runs.iter().any(|run| run.mark() == RunMark::Success) {
        return None;
    }
    let first = runs.first().map_or(facts.start, |run| Some(run.start))?;
    is_past(Some(first), facts.first_success_limit()?, now).then_some(first)
}

/// Returns the start of the first failure of the current streak.
fn failing_since(facts: &Facts, runs: &[RunSummary]) -> Option<f64> {
    let first = last_streak(runs).first().map(|run| run.start);
    facts.failing_since.or(first).or(facts.failure)
}

fn has_many_failures(runs: &[RunSummary]) -> bool {
    count_failures(runs, STRIP_LENGTH) >= MIN_FLAPPING_FAILURES
}

fn is_past(instant: Option<f64>, duration: f64, now: f64) -> bool {
    instant.is_some_and(|instant| now - instant > duration)
}

fn add(instant: Option<f64>, duration: f64) -> Option<f64> {
    instant.map(|instant| instant + duration)
}
