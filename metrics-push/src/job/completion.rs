//! `Completion`: how and when a run ended. Values that the reporting process cannot determine are left out.

use std::time::Duration;

use super::resource_usage::ResourceUsage;
use crate::clock::Moment;
use crate::outcome::Outcome;

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
    pub(super) usage: ResourceUsage,
    /// The panics in the process, if the run is the whole process.
    pub(super) panics: Option<u64>,
}

impl Completion {
    /// Returns a completion between two times in Unix seconds.
    pub(super) fn at(cause: Cause, started_at: f64, finished_at: f64) -> Self {
        let usage = ResourceUsage::default();
        Self { cause, started_at, finished_at, duration: None, usage, panics: None }
    }

    /// Returns the completion of a run of this process. `ended` is earlier than `finished` if the run waited in between
    /// for the reports of earlier runs.
    pub(super) fn between(started: Moment, ended: Moment, finished: Moment, cause: Cause) -> Self {
        let duration = ended.since(started);
        let started_at = started.unix_seconds();
        let finished_at = finish_time(started_at, duration, finished);
        Self { duration: Some(duration), ..Self::at(cause, started_at, finished_at) }
    }
}

/// Returns when a run ended, in Unix seconds. If the wall clock went back during the run, it is the start plus the
/// duration, so that no run ends before its start.
pub(super) fn finish_time(started_at: f64, duration: Duration, finished: Moment) -> f64 {
    finished.unix_seconds().max(started_at + duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ends_after_its_start_if_the_clock_goes_back() {
        let started = Moment::now();
        let duration = Duration::from_millis(500);
        for step in [Duration::from_millis(100), Duration::from_secs(5)] {
            let finished = started.after(duration).with_wall_clock_back(step);
            let outcome = Outcome::Success.into();
            let completion = Completion::between(started, finished, finished, outcome);
            assert_eq!(completion.duration, Some(duration));
            let wall_duration = completion.finished_at - completion.started_at;
            assert!((wall_duration - 0.5).abs() < 1e-3, "{step:?}: {wall_duration}");
        }
    }

    #[test]
    fn duration_does_not_include_the_wait_for_earlier_reports() {
        let started = Moment::now();
        let ended = started.after(Duration::from_millis(500));
        let finished = ended.after(Duration::from_secs(3));
        let completion = Completion::between(started, ended, finished, Outcome::Success.into());
        assert_eq!(completion.duration, Some(Duration::from_millis(500)));
        assert_eq!(completion.finished_at, finished.unix_seconds());
    }
}
