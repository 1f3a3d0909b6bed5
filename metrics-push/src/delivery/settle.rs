//! `Settlement`: the last phase of a delivery. It updates the disk, logs the result and returns the receipt.

use std::fmt;

use super::backlog::Backlog;
use super::log_limiter::{self, Undelivered};
use super::receipt::{DeliveryClass, Receipt};
use super::route::Route;
use crate::error::Error;
use crate::labels::GroupingKey;
use crate::log;
use crate::push_request::PushRequest;
use crate::sink::Acceptance;
use crate::spool::Spool;

/// A delivery after its last attempt.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(super) route: Route,
    pub(super) key: GroupingKey,
    pub(super) class: DeliveryClass,
    pub(super) request: Option<PushRequest>,
    pub(super) backlog: Backlog,
    pub(super) attempts: u32,
    /// The reason why the outcome was sent without the program's own metrics.
    pub(super) refused: Option<Error>,
    /// The request may have been applied, and the gateway would count it twice if it was sent again.
    pub(super) must_not_resend: bool,
    pub(super) result: Result<Acceptance, Error>,
}

impl Settlement {
    /// Removes or stores the request on disk, and logs the result. Blocks if the route has a spool.
    pub(crate) fn settle(mut self) -> Receipt {
        let receipt = match self.result.clone() {
            Ok(acceptance) => {
                self.backlog.remove_spooled(&self.route);
                self.backlog.store_retained(&self.route, &self.key);
                let refused = self.refused.take();
                Receipt::Delivered { acceptance, attempts: self.attempts, refused }
            }
            Err(error) => self.settle_failure(error),
        };
        self.log(&receipt);
        receipt
    }

    fn settle_failure(&self, error: Error) -> Receipt {
        let attempts = self.attempts;
        if self.must_not_resend {
            self.backlog.remove_spooled(&self.route);
            return Receipt::Unsure { error, attempts };
        }
        if is_rejection(&error) {
            return self.settle_rejection(error);
        }
        let Some(spool) = self.route.spool() else { return Receipt::Dropped { error, attempts } };
        let Some(request) = &self.request else {
            // The backlog stays on disk.
            return Receipt::Spooled { error, attempts, folder: spool.folder() };
        };
        if self.class == DeliveryClass::BestEffort {
            return Receipt::Dropped { error, attempts };
        }
        self.store(spool, request, error)
    }

    /// Stores the outcome without the program's own metrics, and drops these: the sink would reject them again, and every
    /// later request that is merged with them. The cause of a rejected outcome is usually outside of it, such as a proxy
    /// or a clash with another group, and may be gone when the next run sends it.
    fn settle_rejection(&self, error: Error) -> Receipt {
        let attempts = self.attempts;
        let remaining = self.backlog.remaining();
        if remaining.is_some_and(|request| !request.has_outcome()) {
            self.backlog.remove_spooled(&self.route);
        }
        let Some(spool) = self.route.spool() else { return Receipt::Dropped { error, attempts } };
        let request = self.request.as_ref().filter(|_| self.class > DeliveryClass::BestEffort);
        match request.and_then(PushRequest::outcome) {
            Some(outcome) => self.store(spool, &outcome, error),
            None if remaining.is_some_and(PushRequest::has_outcome) => {
                Receipt::Spooled { error, attempts, folder: spool.folder() }
            }
            None => Receipt::Dropped { error, attempts },
        }
    }

    fn store(&self, spool: &Spool, request: &PushRequest, error: Error) -> Receipt {
        let attempts = self.attempts;
        self.route.request_drain();
        match spool.store(request) {
            Ok(folder) => Receipt::Spooled { error, attempts, folder },
            Err(disk) => {
                spool.warn(&format_args!("{disk:?}"));
                Receipt::Dropped { error, attempts }
            }
        }
    }

    fn log(&self, receipt: &Receipt) {
        let key = &self.key;
        if let Some(refused) = &self.refused {
            self.log_undelivered(
                Undelivered::Reduced,
                format_args!(
                    "{refused:?}; the outcome of {key} is pushed without the program's own metrics"
                ),
            );
        }
        match receipt {
            Receipt::Delivered { refused: Some(error), .. } => log_limiter::warn(
                Undelivered::Reduced,
                format_args!("{error:?}; the outcome of {key} was pushed without the program's own metrics"),
            ),
            Receipt::Delivered { attempts, .. } => log::debug(format_args!(
                "delivered {key} after {} ({})",
                AttemptCount(*attempts),
                self.route
            )),
            Receipt::Spooled { error, attempts, folder } if is_rejection(error) => self.log_undelivered(
                Undelivered::Spooled,
                format_args!(
                    "the gateway rejected the outcome of {key} after {}: {error:?}; the outcome is stored in {} without \
                     the program's own metrics, and the next run sends it again",
                    AttemptCount(*attempts),
                    folder.display()
                ),
            ),
            Receipt::Spooled { error, attempts, folder } => self.log_undelivered(
                Undelivered::Spooled,
                format_args!(
                    "the outcome of {key} is not delivered yet after {}: {error:?}; it is stored in {}, and the next \
                     run delivers it",
                    AttemptCount(*attempts),
                    folder.display()
                ),
            ),
            Receipt::Unsure { error, attempts } => self.log_undelivered(
                Undelivered::Lost,
                format_args!(
                    "the outcome of {key} may not have arrived after {}: {error:?}; it is not sent again, because an \
                     aggregating gateway would count it twice",
                    AttemptCount(*attempts)
                ),
            ),
            Receipt::Dropped { error, attempts } => self.log_undelivered(
                Undelivered::Lost,
                format_args!(
                    "the outcome of {key} is lost after {}: {error:?}{}",
                    AttemptCount(*attempts),
                    self.spool_hint(error)
                ),
            ),
        }
    }

    fn spool_hint(&self, error: &Error) -> &'static str {
        let has_outcome = self.request.as_ref().is_some_and(PushRequest::has_outcome);
        if self.route.spool().is_some() || (is_rejection(error) && !has_outcome) {
            ""
        } else {
            "; set METRICS_PUSH_STATE_DIR to store undelivered outcomes on disk"
        }
    }

    /// Logs a warning if a person should act. Lines about best-effort requests are details. So are lines about outcomes
    /// of tasks without an attempt, because an earlier line has the cause.
    fn log_undelivered(&self, kind: Undelivered, line: fmt::Arguments<'_>) {
        let has_attempt = self.attempts > 0 || self.class == DeliveryClass::Final;
        if self.class > DeliveryClass::BestEffort && has_attempt {
            log_limiter::warn(kind, line);
        } else {
            log::debug(line);
        }
    }
}

/// Returns true if the sink or the encoder would reject the same request again.
fn is_rejection(error: &Error) -> bool {
    error.is_rejected() || error.is_metric()
}

struct AttemptCount(u32);

impl fmt::Display for AttemptCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("no attempt"),
            1 => f.write_str("1 attempt"),
            many => write!(f, "{many} attempts"),
        }
    }
}
