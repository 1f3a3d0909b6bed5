//! Outcome: the one word for how a run, or a call, came to its end.

use std::fmt;

/// How a run ended. On the wire it is a state set: one series per outcome, the one that holds at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It did what it was to do.
    Success,
    /// It returned an error.
    Error,
    /// It panicked.
    Panic,
    /// It took longer than it may.
    Timeout,
    /// A signal ended the process.
    Signal,
    /// The kernel ended the process for its memory.
    Oom,
    /// The process exited in the middle of it.
    ExitCode,
    /// The process was gone, and a later one found out.
    Abandoned,
    /// Its future was dropped before it was done.
    Cancelled,
    /// It decided that there was nothing to do.
    Skipped,
}

impl Outcome {
    /// All outcomes, in the order of their series.
    pub const ALL: [Self; 10] = [
        Self::Success,
        Self::Error,
        Self::Panic,
        Self::Timeout,
        Self::Signal,
        Self::Oom,
        Self::ExitCode,
        Self::Abandoned,
        Self::Cancelled,
        Self::Skipped,
    ];

    /// The outcome as a label value.
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
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An outcome, and whether it is the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) standing: Standing,
}

/// Whether anybody knows better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Final,
    /// If a `main` returned it, the process' exit code tells.
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
