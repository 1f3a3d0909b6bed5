//! `JobSpec`: the settings of a job, which its runs share.

use std::borrow::Cow;
use std::time::Duration;

use super::timing::Timing;
use crate::metrics::Registry;
use crate::outcome::Outcome;
use crate::push_request::Verb;

/// The minimum interval between heartbeats. A shorter one would burden the gateway more than it informs.
pub(super) const MIN_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(super) struct JobSpec {
    pub(super) name: Cow<'static, str>,
    pub(super) every: Option<Duration>,
    /// A cron expression.
    pub(super) schedule: Option<&'static str>,
    /// The time zone of the schedule. If it is empty, that of the machine.
    pub(super) timezone: &'static str,
    /// How late a run may start.
    pub(super) grace: Option<Duration>,
    /// The number of failures in a row after which an alert fires.
    pub(super) failure_threshold: Option<u32>,
    /// The number of successes in a row after which the alert ends.
    pub(super) recovery_threshold: Option<u32>,
    pub(super) max_runtime: Option<Duration>,
    pub(super) heartbeat: Option<Duration>,
    pub(super) on_success: Verb,
    pub(super) version: Option<&'static str>,
    pub(super) registry: Option<fn() -> &'static Registry>,
    pub(super) extent: Extent,
    pub(super) signal_hooks: SignalHooks,
    pub(super) durability: Durability,
    pub(super) supervision: Supervision,
    pub(super) enforcement: Enforcement,
    pub(super) exit_codes: ExitCodes,
    /// The number of lines of the output of a failed process that the history stores.
    pub(super) output_lines: usize,
    /// The counters and histograms of the runs add up.
    pub(super) is_cumulative: bool,
}

/// The exit codes of a whole process that are not failures, besides 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ExitCodes {
    pub(super) ok: Vec<i32>,
    /// They take precedence.
    pub(super) skip: Vec<i32>,
}

impl ExitCodes {
    /// Returns the outcome of a whole process that exited with this code.
    pub(super) fn outcome(&self, code: i32) -> Outcome {
        if self.skip.contains(&code) {
            Outcome::Skipped
        } else if code == 0 || self.ok.contains(&code) {
            Outcome::Success
        } else {
            Outcome::ExitCode
        }
    }
}

/// Whether a run is a part of its process or the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// One of many runs of the process.
    Task,
    /// The process ends when the run does.
    Process,
}

/// Whether the library handles signals that end a whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignalHooks {
    Enabled,
    Disabled,
}

/// The failure that a line of the journal survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Durability {
    /// The death of the process.
    #[default]
    Process,
    /// A power loss as well.
    Machine,
}

/// Whether a whole process runs under a supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Supervision {
    None,
    /// The process has a supervisor as its parent.
    Parent,
    /// Like `Parent`, and the process is a copy of its parent if that has one thread. It may only execute a command.
    Copy,
}

/// What happens to a run that exceeds its maximum runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enforcement {
    /// An alert rule fires.
    Alert,
    /// The supervisor ends the run.
    Kill,
}

impl JobSpec {
    pub(super) const fn new(name: Cow<'static, str>) -> Self {
        Self {
            name,
            every: None,
            schedule: None,
            timezone: "",
            grace: None,
            failure_threshold: None,
            recovery_threshold: None,
            max_runtime: None,
            heartbeat: None,
            on_success: Verb::Push,
            version: None,
            registry: None,
            extent: Extent::Task,
            signal_hooks: SignalHooks::Enabled,
            durability: Durability::Process,
            supervision: Supervision::None,
            enforcement: Enforcement::Alert,
            exit_codes: ExitCodes { ok: Vec::new(), skip: Vec::new() },
            output_lines: 0,
            is_cumulative: false,
        }
    }

    pub(super) fn is_process(&self) -> bool {
        self.extent == Extent::Process
    }

    /// Returns when the runs are due.
    pub(super) fn timing(&self) -> Option<Timing<'static>> {
        let schedule = |expression: &'static str| Timing::Schedule {
            expression: expression.into(),
            timezone: self.timezone.into(),
        };
        self.schedule.map(schedule).or_else(|| self.every.map(Timing::Every))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_exit_codes_are_not_failures() {
        let codes = ExitCodes { ok: vec![1, 2], skip: vec![75, 2] };
        for (code, outcome) in [
            (0, Outcome::Success),
            (1, Outcome::Success),
            (2, Outcome::Skipped),
            (75, Outcome::Skipped),
            (3, Outcome::ExitCode),
        ] {
            assert_eq!(codes.outcome(code), outcome, "{code}");
        }
        assert_eq!(ExitCodes { ok: Vec::new(), skip: vec![0] }.outcome(0), Outcome::Skipped);
    }
}
