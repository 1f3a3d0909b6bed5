//! `Outcome`: how a run, or a call of an instrumented function, ended.

use std::fmt;

/// How a run ended. It is exported as a state set: one series per outcome, of which one has the value 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The run succeeded.
    Success,
    /// The run returned an error.
    Error,
    /// The run panicked.
    Panic,
    /// The run exceeded its maximum runtime and was ended.
    Timeout,
    /// A signal ended the process.
    Signal,
    /// The kernel killed the process because it was out of memory.
    Oom,
    /// The process exited during the run.
    ExitCode,
    /// The process died without a report, and a later process found the run.
    Abandoned,
    /// The future of the run was dropped before it completed.
    Cancelled,
    /// The run had nothing to do.
    Skipped,
}

impl Outcome {
    /// All outcomes, sorted by [label value](Self::as_str), as the series of each family are.
    pub const ALL: [Self; 10] = [
        Self::Abandoned,
        Self::Cancelled,
        Self::Error,
        Self::ExitCode,
        Self::Oom,
        Self::Panic,
        Self::Signal,
        Self::Skipped,
        Self::Success,
        Self::Timeout,
    ];

    /// Returns the outcome as a label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Timeout => "timeout",
            Self::Signal => "signal",
            Self::Oom => "oom",
            Self::ExitCode => "exit_code",
            Self::Abandoned => "abandoned",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }

    /// Returns true unless the run succeeded or had nothing to do.
    pub(crate) const fn is_failure(self) -> bool {
        !matches!(self, Self::Success | Self::Skipped)
    }

    /// Returns the outcome with this label value.
    pub(crate) fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == label)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The outcome of a call according to its return value, and whether it is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) standing: Standing,
}

/// Whether an outcome is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Final,
    /// The return value does not show the outcome. If `main` returned the value, the exit code decides.
    Presumed,
}

impl From<Outcome> for Verdict {
    #[inline]
    fn from(outcome: Outcome) -> Self {
        Self::certain(outcome)
    }
}

impl Verdict {
    #[inline]
    pub(crate) const fn certain(outcome: Outcome) -> Self {
        Self { outcome, standing: Standing::Final }
    }

    #[inline]
    pub(crate) const fn presumed(outcome: Outcome) -> Self {
        Self { outcome, standing: Standing::Presumed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The series of a family that are sorted already are encoded without sorting them again.
    #[test]
    fn outcomes_are_sorted_by_label() {
        assert!(Outcome::ALL.map(Outcome::as_str).is_sorted());
    }
}
