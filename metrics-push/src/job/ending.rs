//! Ending: how and when a run came to its end, as far as whoever reports it knows.

use std::time::Duration;

use super::Outcome;
use super::usage::Usage;
use crate::clock::Moment;

/// The outcome of a run, and what the system says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) outcome: Outcome,
    pub(super) exit_code: Option<i32>,
    pub(super) signal: Option<i32>,
    /// Known to whoever waited for the process, if a signal ended it.
    pub(super) core_dumped: Option<bool>,
}

impl Cause {
    pub(super) const fn of_exit(outcome: Outcome, code: Option<i32>) -> Self {
        Self { outcome, exit_code: code, signal: None, core_dumped: None }
    }

    pub(super) const fn of_signal(outcome: Outcome, signal: i32) -> Self {
        Self { outcome, exit_code: None, signal: Some(signal), core_dumped: None }
    }
}

impl From<Outcome> for Cause {
    fn from(outcome: Outcome) -> Self {
        Self::of_exit(outcome, None)
    }
}

/// An ending with its times. What is not known is left out, never guessed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) cause: Cause,
    /// Unix seconds.
    pub(super) started: f64,
    /// Unix seconds.
    pub(super) ended: f64,
    pub(super) duration: Option<Duration>,
    /// Of the process, where the run is all that it did.
    pub(super) usage: Option<Usage>,
    /// In the whole process, where the run is all that it did.
    pub(super) panics: Option<u64>,
}

impl Ending {
    /// An end at this time, in Unix seconds.
    pub(super) fn at(cause: Cause, started: f64, ended: f64) -> Self {
        Self { cause, started, ended, duration: None, usage: None, panics: None }
    }

    /// The end of a run of this process.
    pub(super) fn between(started: Moment, ended: Moment, cause: Cause) -> Self {
        let duration = Some(ended.since(started));
        Self { duration, ..Self::at(cause, started.unix_seconds(), ended.unix_seconds()) }
    }
}
