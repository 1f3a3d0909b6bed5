//! `Completion`: how and when a run ended. Values that the reporting process cannot determine are left out.

use std::time::Duration;

use super::outcome::Outcome;
use super::resource_usage::ResourceUsage;
use crate::clock::Moment;

/// The outcome of a run and what the system reported about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) outcome: Outcome,
    pub(super) exit_code: Option<i32>,
    pub(super) signal: Option<i32>,
    /// Whether the process dumped core. Only a supervisor can determine it, after a signal.
    pub(super) core_dumped: Option<bool>,
}

impl Cause {
    pub(super) const fn from_exit(outcome: Outcome, code: Option<i32>) -> Self {
        Self { outcome, exit_code: code, signal: None, core_dumped: None }
    }

    pub(super) const fn from_signal(outcome: Outcome, signal: i32) -> Self {
        Self { outcome, exit_code: None, signal: Some(signal), core_dumped: None }
    }
}

impl From<Outcome> for Cause {
    fn from(outcome: Outcome) -> Self {
        Self::from_exit(outcome, None)
    }
}

/// The cause and the times of a finished run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    pub(super) cause: Cause,
    /// Unix seconds.
    pub(super) started_at: f64,
    /// Unix seconds.
    pub(super) finished_at: f64,
    pub(super) duration: Option<Duration>,
    /// The usage of the process, if the run is the whole process.
    pub(super) usage: Option<ResourceUsage>,
    /// The panics in the process, if the run is the whole process.
    pub(super) panics: Option<u64>,
}

impl Completion {
    /// Returns a completion between two times in Unix seconds.
    pub(super) fn at(cause: Cause, started_at: f64, finished_at: f64) -> Self {
        Self { cause, started_at, finished_at, duration: None, usage: None, panics: None }
    }

    /// Returns the completion of a run of this process.
    pub(super) fn between(started: Moment, finished: Moment, cause: Cause) -> Self {
        let duration = Some(finished.since(started));
        Self { duration, ..Self::at(cause, started.unix_seconds(), finished.unix_seconds()) }
    }
}
