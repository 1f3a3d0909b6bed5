//! `JobSpec`: the settings of a job, which its runs share.

use std::borrow::Cow;
use std::time::Duration;

use crate::metrics::Registry;
use crate::push_request::Verb;

/// The deadline for the next success, as a multiple of the expected interval. Prometheus' practices recommend enough
/// time for two full runs, so that a person need not react to a single failure.
const DEADLINE_INTERVALS: u32 = 2;

#[derive(Clone, Debug)]
pub(super) struct JobSpec {
    pub(super) name: Cow<'static, str>,
    pub(super) every: Option<Duration>,
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
        }
    }

    pub(super) fn is_process(&self) -> bool {
        self.extent == Extent::Process
    }

    /// Returns the largest age that the last success may reach.
    pub(super) fn success_deadline(&self) -> Option<Duration> {
        self.every.map(|interval| interval.saturating_mul(DEADLINE_INTERVALS))
    }
}
