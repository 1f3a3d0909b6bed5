//! `Receipt`: the result of a delivery. `DeliveryClass`: whether a request is spooled if it cannot be delivered.

use std::fmt;
use std::path::PathBuf;

use crate::error::Error;
use crate::sink::Acceptance;

/// How hard the dispatcher tries to deliver a request, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DeliveryClass {
    /// Dropped if it cannot be delivered: a later request repeats it, or the caller handles the error.
    BestEffort,
    /// Spooled if it cannot be delivered. Without a spool, it is sent again: the topic still has its messages.
    Relayed,
    /// Spooled if it cannot be delivered.
    Spooled,
    /// Spooled as well, and attempted even if the circuit breaker is open, because the process ends after this request.
    Final,
}

/// The result of a delivery.
#[derive(Clone, Debug)]
pub(crate) enum Receipt {
    /// The sink accepted the request. If it refused metrics and accepted the outcome, `refused` is the reason.
    Delivered { acceptance: Acceptance, refused: Option<Error> },
    /// The request is stored on disk.
    Spooled { error: Error, folder: PathBuf },
    /// The request may have been applied, and sending it again would apply it twice.
    Unsure { error: Error },
    /// The request is lost.
    Dropped { error: Error },
}

/// The metrics that a sink has refused although it accepted the outcome. `Display` writes them in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RefusedPart {
    /// All metrics of the program, because the sink does not name the refused ones.
    #[default]
    OwnMetrics,
    SomeMetrics,
}

impl fmt::Display for RefusedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnMetrics => "the program's own metrics",
            Self::SomeMetrics => "some metrics",
        })
    }
}

impl Receipt {
    /// Returns the receipt of a request that was dropped before any attempt.
    pub(crate) fn unattempted(error: Error) -> Self {
        Self::Dropped { error }
    }

    /// Returns true if the request was neither delivered nor spooled. If it reports a run, the run stays in the journal.
    pub(crate) fn is_dropped(&self) -> bool {
        matches!(self, Self::Dropped { .. })
    }

    /// Converts the receipt to a result.
    ///
    /// # Errors
    /// The reason why the request was neither delivered nor stored, or was delivered only in part.
    pub(crate) fn into_result(self) -> Result<Acceptance, Error> {
        match self {
            Self::Delivered { acceptance, refused: None, .. } => Ok(acceptance),
            Self::Spooled { .. } => Ok(Acceptance::Spooled),
            Self::Delivered { refused: Some(error), .. }
            | Self::Unsure { error, .. }
            | Self::Dropped { error, .. } => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DeliveryClass::{BestEffort, Final, Spooled};

    #[test]
    fn delivery_classes_are_ordered_by_effort() {
        assert!(BestEffort < Spooled && Spooled < Final);
    }
}
