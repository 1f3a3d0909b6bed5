//! `Settlement`: the last phase of a delivery. It updates the disk, logs the result and returns the receipt.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::backlog::Backlog;
use super::log_limiter::{self, Undelivered};
use super::policy::REPLAY_INTERVAL;
use super::receipt::{DeliveryClass, Receipt, RefusedPart};
use super::route::Route;
use super::run_ids::RunIds;
use crate::clock::Moment;
use crate::error::Error;
use crate::labels::GroupingKey;
use crate::log;
use crate::push_request::{PushRequest, Verb};
use crate::sink::{Acceptance, OnFailure};
use crate::spool::{Spool, SpoolEntry, SpoolReason};

/// A delivery after its last attempt.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(super) route: Route,
    pub(super) key: GroupingKey,
    pub(super) class: DeliveryClass,
    pub(super) request: Option<PushRequest>,
    pub(super) backlog: Backlog,
    pub(super) attempts: u32,
    /// The reason why the sink has refused a part of the metrics.
    pub(super) refused: Option<Error>,
    pub(super) refused_part: RefusedPart,
    /// The request may have been applied, and the gateway would count it twice if it was sent again.
    pub(super) must_not_resend: bool,
    /// The record that was written before the end of the delivery.
    pub(super) stored: Option<SpoolEntry>,
    /// The record contains the whole request.
    pub(super) is_stored: bool,
    /// What the sink has accepted, if a request that arrives late may replace it.
    pub(super) unconfirmed: Option<PushRequest>,
    /// When the gateway was asked for the timestamps of the group.
    pub(super) checked_at: Option<Moment>,
    pub(super) result: Result<Acceptance, Error>,
}

impl Settlement {
    pub(crate) fn class(&self) -> DeliveryClass {
        self.class
    }

    /// Removes or stores the request on disk, and logs the result. Blocks if the route has a spool. The request is stored
    /// even after a panic.
    pub(crate) fn settle(mut self) -> Receipt {
        let receipt = catch_unwind(AssertUnwindSafe(|| self.settle_result()))
            .unwrap_or_else(|panic| self.settle_after_panic(Error::panicked(panic.as_ref())));
        self.log(&receipt);
        receipt
    }

    fn settle_result(&mut self) -> Receipt {
        #[cfg(test)]
        super::failpoint::reach(&self.key, "panic in settlement");
        self.route.store_state();
        self.record_delivery();
        match self.result.clone() {
            Ok(acceptance) => {
                self.remove_from_disk();
                self.backlog.store_placement(&self.route, &self.key);
                let verb = self.request.as_ref().map_or(Verb::Add, PushRequest::verb);
                self.route.store_series(&self.key, verb);
                let refused = self.refused.take();
                Receipt::Delivered { acceptance, refused }
            }
            Err(error) => self.settle_failure(error),
        }
    }

    /// Records the number of attempts in the history, and that the gateway has the timestamps of the group.
    fn record_delivery(&self) {
        let endings = self.request.as_ref().map_or(&[][..], PushRequest::endings);
        let checked_at = self.checked_at.filter(|_| self.result.is_ok());
        self.route.record_delivery(&self.key, endings, self.attempts, checked_at);
    }

    /// Stores a request that was not delivered, after a panic has interrupted the settlement.
    fn settle_after_panic(&self, error: Error) -> Receipt {
        if let Ok(acceptance) = self.result {
            log::debug(format_args!("{}: {error:?}", self.key));
            return Receipt::Delivered { acceptance, refused: self.refused.clone() };
        }
        if self.must_not_resend {
            return Receipt::Unsure { error };
        }
        let lost = || Receipt::Dropped { error: error.clone() };
        let storable = self.request.as_ref().filter(|_| self.class > DeliveryClass::BestEffort);
        let (Some(spool), Some(request)) = (self.route.spool(), storable) else { return lost() };
        let store = || self.store(spool, SpoolReason::Undelivered, request, error.clone());
        catch_unwind(AssertUnwindSafe(store)).unwrap_or_else(|_| lost())
    }

    fn settle_failure(&self, error: Error) -> Receipt {
        if self.must_not_resend {
            self.remove_from_disk();
            return Receipt::Unsure { error };
        }
        if is_rejection(&error) {
            return self.settle_rejection(error);
        }
        let Some(spool) = self.route.spool() else { return Receipt::Dropped { error } };
        if let Some(accepted) = &self.unconfirmed {
            // The sink has accepted the backlog as well.
            self.remove_from_disk();
            return self.store(spool, SpoolReason::Unconfirmed, accepted, error);
        }
        let Some(request) = &self.request else {
            // The backlog stays on disk, and a later delivery continues with the drain.
            if self.attempts == 0 {
                self.route.request_drain();
            } else if error.is_retryable() {
                self.route.request_drain_at(Moment::now().after(REPLAY_INTERVAL));
            }
            return Receipt::Spooled { error, folder: spool.folder() };
        };
        if self.class == DeliveryClass::BestEffort {
            return Receipt::Dropped { error };
        }
        if self.is_stored {
            self.route.request_drain();
            return Receipt::Spooled { error, folder: spool.folder() };
        }
        self.store(spool, SpoolReason::Undelivered, request, error)
    }

    /// Removes what the sink has accepted.
    fn remove_from_disk(&self) {
        match (&self.stored, self.route.spool()) {
            (Some(stored), Some(spool)) => spool.remove(stored),
            _ => self.backlog.remove_spooled(&self.route),
        }
    }

    /// Stores the outcome without the program's own metrics, and drops these: the sink would reject them again, and every
    /// later request that is merged with them. The cause of a rejected outcome is usually outside of it, such as a proxy
    /// or a clash with another group, and may be gone when the next run sends it.
    fn settle_rejection(&self, error: Error) -> Receipt {
        let remaining = self.backlog.remaining();
        let backlog_has_outcome = remaining.is_some_and(PushRequest::has_outcome);
        if let (Some(stored), Some(spool)) = (&self.stored, self.route.spool()) {
            // The record contains the rejected metrics as well.
            spool.remove(stored);
            if let Some(backlog) = remaining.filter(|_| backlog_has_outcome) {
                self.store(spool, SpoolReason::Undelivered, backlog, error.clone());
            }
        } else if remaining.is_some() && !backlog_has_outcome {
            self.backlog.remove_spooled(&self.route);
        }
        let Some(spool) = self.route.spool() else { return Receipt::Dropped { error } };
        let request = self.request.as_ref().filter(|_| self.class > DeliveryClass::BestEffort);
        match request.and_then(PushRequest::outcome) {
            Some(outcome) => self.store(spool, SpoolReason::Undelivered, &outcome, error),
            None if backlog_has_outcome => Receipt::Spooled { error, folder: spool.folder() },
            None => Receipt::Dropped { error },
        }
    }

    fn store(
        &self,
        spool: &Spool,
        reason: SpoolReason,
        request: &PushRequest,
        error: Error,
    ) -> Receipt {
        let stored = spool.store_because(reason, request);
        // Afterwards, so that a drain that is in progress does not miss it.
        self.route.request_drain();
        match stored {
            Ok(folder) => Receipt::Spooled { error, folder },
            Err(disk) => {
                spool.warn(&format_args!("{disk:?}"));
                Receipt::Dropped { error }
            }
        }
    }

    /// Logs the result in one line.
    fn log(&self, receipt: &Receipt) {
        let (key, attempts) = (&self.key, AttemptCount(self.attempts));
        let subject = self.subject();
        let dropped = DroppedMetrics(self.refused.as_ref());
        let runs = RunIds::new(self.request.as_ref());
        match receipt {
            Receipt::Delivered { refused: Some(error), .. } => log_limiter::warn(
                Undelivered::Reduced,
                format_args!("{error:?}; the outcome of {key} was pushed without {}{runs}", self.refused_part),
            ),
            Receipt::Delivered { .. } => {
                log::debug(format_args!("delivered {key} after {attempts} ({}){runs}", self.route));
            }
            Receipt::Spooled { error, folder, .. } if is_rejection(error) => self.log_undelivered(
                Undelivered::Spooled,
                format_args!(
                    "the gateway rejected the outcome of {key} after {attempts}: {error:?}; the outcome is stored in {} \
                     without the program's own metrics, and the next run for this URL sends it again{dropped}{runs}",
                    folder.display()
                ),
            ),
            Receipt::Spooled { error, folder, .. } if self.unconfirmed.is_some() => self.log_undelivered(
                Undelivered::Spooled,
                format_args!(
                    "{subject} is not confirmed yet after {attempts}: {error:?}; it is stored in {}, and the next run for \
                     this URL compares it with the group{dropped}{runs}",
                    folder.display()
                ),
            ),
            Receipt::Spooled { error, folder, .. } => self.log_undelivered(
                Undelivered::Spooled,
                format_args!(
                    "{subject} is not delivered yet after {attempts}: {error:?}; it is stored in {}, and the \
                     next run for this URL delivers it{}{dropped}{runs}",
                    folder.display(),
                    self.move_hint(error)
                ),
            ),
            Receipt::Unsure { error, .. } => self.log_undelivered(
                Undelivered::Lost,
                format_args!(
                    "{subject} may not have arrived after {attempts}: {error:?}; it is not sent again, because \
                     an aggregating gateway would count it twice{dropped}{runs}"
                ),
            ),
            Receipt::Dropped { error, .. }
                if self.class == DeliveryClass::Relayed && !is_rejection(error) =>
            {
                self.log_undelivered(
                    Undelivered::Delayed,
                    format_args!(
                        "{subject} is not delivered yet after {attempts}: {error:?}; the relay sends it again{dropped}"
                    ),
                );
            }
            Receipt::Dropped { error, .. } => self.log_undelivered(
                Undelivered::Lost,
                format_args!(
                    "{subject} is lost after {attempts}: {error:?}{}{dropped}{runs}",
                    self.spool_hint(error)
                ),
            ),
        }
    }

    /// Returns a noun for the request in a message: it may report the outcome of a run, or only contain metrics.
    fn subject(&self) -> String {
        let request = self.request.as_ref().or_else(|| self.backlog.spooled());
        match request.filter(|request| !request.has_outcome()) {
            Some(request) => format!("the {} request for {}", request.verb().as_str(), self.key),
            None => format!("the outcome of {}", self.key),
        }
    }

    /// Returns how to deliver a stored request if the URL is wrong: no other request reaches such a URL.
    fn move_hint(&self, error: &Error) -> String {
        if error.is_unreachable() || error.is_config() {
            let url = self.route.spool().map_or_else(String::new, |spool| spool.sink().to_owned());
            format!("; if the URL is wrong, correct it and run `metrics-push recover --from {url}`")
        } else {
            String::new()
        }
    }

    fn spool_hint(&self, error: &Error) -> &'static str {
        let has_outcome = self.request.as_ref().is_some_and(PushRequest::has_outcome);
        let never_spools = self.route.sink().semantics().on_failure == OnFailure::Drops;
        if self.route.spool().is_some() || never_spools || (is_rejection(error) && !has_outcome) {
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

/// The end of a line about a request whose own metrics the sink has refused before.
struct DroppedMetrics<'a>(Option<&'a Error>);

impl fmt::Display for DroppedMetrics<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(error) => write!(f, "; the program's own metrics are dropped: {error:?}"),
            None => Ok(()),
        }
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::attempt::Delivery;
    use super::*;
    use crate::error::Kind;
    use crate::sink::DryRun;
    use crate::state_dir::{StateDir, StateDirPath};

    /// Returns a route and the settlement of a stored request whose attempts have failed.
    fn failed_replay(error: Error) -> (Route, Settlement) {
        let state_dir = StateDir::new(StateDirPath::Configured("/nonexistent/state".into()));
        let spool = Spool::new(&Arc::new(state_dir), "http://gateway", &[]);
        let route = Route::buffered(Arc::new(DryRun::new("http://gateway")), spool, Arc::default());
        assert!(route.take_drain_request(Moment::now()), "the first drain");
        let (key, class) = (GroupingKey::new("job").unwrap(), DeliveryClass::BestEffort);
        let deadline = Moment::now().after(Duration::from_secs(60));
        let delivery = Delivery::new(route.clone(), key, None, Backlog::default(), deadline, class);
        (route, Settlement { attempts: 3, ..delivery.finish(Err(error)) })
    }

    #[test]
    fn failed_replay_is_repeated_after_an_interval() {
        let (route, settlement) = failed_replay(Error::new(Kind::Timeout, "no response"));
        assert!(matches!(settlement.settle(), Receipt::Spooled { .. }));
        let now = Moment::now();
        assert!(!route.take_drain_request(now));
        assert!(route.take_drain_request(now.after(REPLAY_INTERVAL)));
        assert!(!route.take_drain_request(now.after(REPLAY_INTERVAL)), "once");
    }

    #[test]
    fn spool_that_cannot_be_listed_is_drained_later() {
        let name = format!("metrics-push-unlisted-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let state_dir = StateDir::new(StateDirPath::Configured(directory.clone()));
        state_dir.folder("spool").unwrap();
        let spool = Spool::new(&Arc::new(state_dir), "http://gateway", &[]);
        let spool = spool.map(Spool::failing_once);
        let route = Route::buffered(Arc::new(DryRun::new("http://gateway")), spool, Arc::default());
        assert!(route.take_drain_request(Moment::now()), "the first drain");
        assert_eq!(route.spooled_keys(), []);
        let now = Moment::now();
        assert!(!route.take_drain_request(now));
        assert!(route.take_drain_request(now.after(REPLAY_INTERVAL)));
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn replay_to_a_wrong_url_is_not_repeated() {
        let (route, settlement) = failed_replay(Error::config("the URL is wrong"));
        assert!(matches!(settlement.settle(), Receipt::Spooled { .. }));
        assert!(!route.take_drain_request(Moment::now().after(REPLAY_INTERVAL)));
    }
}
