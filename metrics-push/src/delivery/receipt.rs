//! Receipt: what became of a parcel; and how much depended on it.

use std::path::PathBuf;

use crate::error::Error;
use crate::sink::Acceptance;

/// How much depends on a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// It is followed by one that says the same and more, or somebody is told if it is lost.
    Passing,
    /// It is kept on disk, if it can't be delivered.
    Outcome,
    /// So is this, and the process ends after it: it is attempted even if there is little hope.
    LastWord,
}

/// What became of a parcel.
#[derive(Clone, Debug)]
pub(crate) enum Receipt {
    /// The sink has taken it; with less in it, if this error says why.
    Delivered { acceptance: Acceptance, attempts: u32, refused: Option<Error> },
    /// It waits on disk, for this reason.
    Spooled { error: Error, attempts: u32, folder: PathBuf },
    /// It may have arrived, and must not arrive twice.
    Unsure { error: Error, attempts: u32 },
    /// It is gone, for this reason.
    Dropped { error: Error, attempts: u32 },
}

impl Receipt {
    /// Nobody has tried.
    pub(crate) fn undelivered(error: Error) -> Self {
        Self::Dropped { error, attempts: 0 }
    }

    /// The receipt as a result.
    ///
    /// # Errors
    /// Why the parcel was not delivered, or not all of it.
    pub(crate) fn into_result(self) -> Result<Acceptance, Error> {
        match self {
            Self::Delivered { acceptance, refused: None, .. } => Ok(acceptance),
            Self::Delivered { refused: Some(error), .. }
            | Self::Spooled { error, .. }
            | Self::Unsure { error, .. }
            | Self::Dropped { error, .. } => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_depends_on_an_outcome_than_on_a_heartbeat() {
        assert!(Urgency::Passing < Urgency::Outcome && Urgency::Outcome < Urgency::LastWord);
    }
}
