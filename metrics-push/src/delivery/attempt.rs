//! `Delivery`: the attempts to send one request before its deadline.

use std::sync::Arc;
use std::time::Duration;

use super::backlog::Backlog;
use super::backoff::Backoff;
use super::breaker::BreakerState;
use super::confirmation::{Confirmation, Confirmed};
use super::fallback::remove_empty_group;
use super::lost_times::LostTimes;
use super::policy::{
    CONFIRM_DELAY, FAILURES_TO_OPEN, LAST_ATTEMPT_TIMEOUT, MAX_ATTEMPT_TIMEOUT, MAX_LATE_WAIT,
    MAX_REPLAY_ATTEMPTS, MAX_SETTLE_TIME, MIN_ATTEMPT_TIMEOUT, PROBE_INTERVAL, PROBE_TIMEOUT,
    SETTLE_TIME_DIVISOR, STORABLE_GRACE, STORED_TIMEOUT,
};
use super::receipt::{DeliveryClass, RefusedPart};
use super::route::Route;
use super::run_ids::RunIds;
use super::samples;
use super::self_metrics;
use super::settle::Settlement;
use crate::clock::Moment;
use crate::error::{Error, Kind};
use crate::history::Recorded;
use crate::labels::GroupingKey;
use crate::log;
use crate::push_request::{Families, Payload, PushRequest, Verb};
use crate::sink::{Acceptance, Accepted, Model, Rejection};
use crate::spool::{RequestOrigin, SpoolEntry};

/// The delivery of one request with the backlog of its key, or of the backlog alone.
#[derive(Debug)]
pub(crate) struct Delivery {
    route: Route,
    key: GroupingKey,
    /// `None`: only the backlog is delivered.
    request: Option<PushRequest>,
    backlog: Backlog,
    deadline: Moment,
    class: DeliveryClass,
    backoff: Backoff,
    attempts: u32,
    reachability: Reachability,
    /// The error of the last attempt that had its full time.
    last_complete_error: Option<Error>,
    /// The reason why the sink has refused a part of the metrics.
    refused: Option<Error>,
    refused_part: RefusedPart,
    /// The record of this request on disk, which contains the backlog as well. Present if the request was stored before
    /// the end of its delivery.
    stored: Option<SpoolEntry>,
    /// The record contains the whole request.
    is_stored: bool,
    confirmation: Confirmation,
    /// The library's own metrics in samples that may have arrived.
    sent_self_metrics: Option<Families>,
    lost_times: LostTimes,
    /// When the state directory recorded that this process sends the group, if this delivery caused the record.
    joined_at: Option<Moment>,
}

/// The next step after an attempt.
#[derive(Debug)]
pub(crate) enum Step {
    RetryAfter(Duration),
    Done(Result<Acceptance, Error>),
}

/// Whether the attempts of one delivery have reached the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reachability {
    /// No attempt had enough time.
    Unknown,
    Unreachable,
    Answered,
}

impl Delivery {
    pub(crate) fn new(
        route: Route,
        key: GroupingKey,
        request: Option<PushRequest>,
        backlog: Backlog,
        deadline: Moment,
        class: DeliveryClass,
    ) -> Self {
        let deadline = attempts_deadline(&route, deadline);
        let delivery = Self {
            route,
            key,
            request,
            backlog,
            deadline,
            class,
            backoff: Backoff::new(),
            attempts: 0,
            reachability: Reachability::Unknown,
            last_complete_error: None,
            refused: None,
            refused_part: RefusedPart::default(),
            stored: None,
            is_stored: false,
            confirmation: Confirmation::default(),
            sent_self_metrics: None,
            lost_times: LostTimes::default(),
            joined_at: None,
        };
        delivery.log_state("pending");
        delivery
    }

    /// Merges a request that was submitted later.
    pub(crate) fn merge(
        &mut self,
        later: Option<PushRequest>,
        deadline: Moment,
        class: DeliveryClass,
    ) {
        self.is_stored &= later.is_none();
        self.request = match (self.request.take(), later) {
            (Some(request), Some(later)) => Some(request.merged_with(later)),
            (request, later) => later.or(request),
        };
        self.deadline = self.deadline.later_of(attempts_deadline(&self.route, deadline));
        self.class = self.class.max(class);
        // The sink may accept the later metrics.
        self.refused = None;
        self.confirmation = Confirmation::default();
        self.sent_self_metrics = None;
    }

    pub(crate) fn key(&self) -> &GroupingKey {
        &self.key
    }

    /// Returns true if there is no new request, only a backlog.
    pub(crate) fn is_backlog(&self) -> bool {
        self.request.is_none()
    }

    pub(crate) fn class(&self) -> DeliveryClass {
        self.class
    }

    /// Returns which process created the newest part of the payload.
    pub(crate) fn origin(&self) -> RequestOrigin {
        if self.request.is_some() {
            RequestOrigin::ThisProcess
        } else {
            RequestOrigin::EarlierProcess
        }
    }

    /// Sets when the state directory recorded that this process sends the group. Another process may have ended the series
    /// of the group until then.
    pub(crate) fn set_joined_at(&mut self, joined_at: Moment) {
        self.joined_at = Some(joined_at);
    }

    /// Returns the request if it reports runs.
    pub(crate) fn reporting_request(&self) -> Option<&PushRequest> {
        self.request.as_ref().filter(|request| !request.endings().is_empty())
    }

    /// Adds what the history of the group adds to the request.
    pub(crate) fn set_recorded(&mut self, recorded: Recorded) {
        if let Some(request) = &mut self.request {
            recorded.add_to(request);
        }
        self.backlog.recorded = Arc::new(recorded);
    }

    /// Returns what the history has added to the request; `None` if it has not stored the runs of the request.
    pub(crate) fn recorded(&self) -> Option<&Arc<Recorded>> {
        Some(&self.backlog.recorded).filter(|recorded| recorded.is_stored())
    }

    /// Sends newer values of the families of the history, after the sink has accepted the request. Returns true if it has
    /// accepted them as well.
    pub(crate) async fn send_newer(&mut self, newer: Recorded) -> bool {
        let request = PushRequest::add(self.key.clone(), newer.families().clone());
        self.backlog.recorded = Arc::new(newer);
        let payload = Payload::from(&request);
        let answer = self.transmit(&payload).await;
        // A request without a response may replace the totals of a later run.
        Confirmation::after(&self.route, &payload, &answer, false);
        answer.is_ok()
    }

    /// Makes one attempt, unless the deadline has passed or the circuit breaker is open. If the last attempt was accepted
    /// and a late request may have replaced the outcome, confirms it first.
    pub(crate) async fn attempt(&mut self) -> Step {
        #[cfg(test)]
        super::failpoint::reach(&self.key, "panic in attempt");
        let is_down = self.route.is_down();
        if let Some(step) = Box::pin(self.confirm()).await {
            return step;
        }
        if let Err(error) = self.check_deadline().and_then(|()| self.check_breaker()) {
            return self.give_up(error);
        }
        let timeout = self.attempt_timeout();
        let started = Moment::now();
        // Boxed: the future of a delivery is moved, and that of a request is large.
        let sent = Box::pin(self.send()).await;
        self.route.record_response(Moment::now().since(started));
        let error = match sent {
            Ok(acceptance) => {
                self.reachability = Reachability::Answered;
                return self.end_or_confirm(acceptance);
            }
            Err(error) => error,
        };
        if !error.is_retryable() {
            self.reachability = Reachability::Answered;
            return Step::Done(Err(error));
        }
        // A timeout shorter than the minimum does not show that the sink is unreachable: it may only be slow.
        if !error.is_timeout() || timeout >= MIN_ATTEMPT_TIMEOUT {
            self.reachability = Reachability::Unreachable;
            self.last_complete_error = Some(error.clone());
        }
        // A replay is already on the disk. A few attempts show whether the sink responds.
        let is_enough = is_down || (self.request.is_none() && self.attempts >= MAX_REPLAY_ATTEMPTS);
        if is_enough || self.must_not_resend(&error) {
            return Step::Done(Err(error));
        }
        // Never less than the backoff: a server that asks for no delay would be sent attempts without a pause.
        let pause = error.retry_after().max(self.backoff.next()).unwrap_or_default();
        if pause >= self.deadline.remaining() {
            return self.give_up(error);
        }
        let (attempts, runs) = (self.attempts, self.run_ids());
        log::debug(format_args!("attempt {attempts} failed, next in {pause:?}: {error:?}{runs}"));
        Step::RetryAfter(pause)
    }

    /// Returns how long an attempt may continue after a signal has ended the wait for this delivery.
    pub(crate) fn interruption_grace(&self) -> Duration {
        if self.route.spool().is_some() { STORABLE_GRACE } else { LAST_ATTEMPT_TIMEOUT }
    }

    /// Ends the attempts because the process must end. An attempt may have been cut short.
    pub(crate) fn interrupt(&mut self) -> Error {
        let error = Error::new(Kind::Timeout, "the process ended before the gateway responded")
            .at("url", &self.route)
            .at("group", &self.key);
        let error = if self.attempts == 0 { error.unsent() } else { error };
        let is_repeatable = !self.must_not_resend(&error);
        self.last_complete_error.take().filter(|_| is_repeatable).unwrap_or(error)
    }

    /// Returns the request if it must be stored before the next attempt: the sink refuses connections or has no address,
    /// and the process may end before that changes.
    pub(crate) fn unstored_request(&self) -> Option<&PushRequest> {
        let is_unconnected = self.last_complete_error.as_ref().is_some_and(Error::is_unconnected);
        let must_store = is_unconnected
            && !self.is_stored
            && self.class > DeliveryClass::BestEffort
            && self.route.spool().is_some();
        self.request.as_ref().filter(|_| must_store)
    }

    /// Limits the remaining attempts, because the request is stored.
    pub(crate) fn set_stored(&mut self, stored: SpoolEntry) {
        (self.stored, self.is_stored) = (Some(stored), true);
        self.deadline = self.deadline.earlier_of(Moment::now().after(STORED_TIMEOUT));
    }

    /// Ends the attempts because the deadline does not allow another one. If the last attempt was cut short, the error
    /// of the last complete attempt is the better explanation.
    fn give_up(&mut self, error: Error) -> Step {
        Step::Done(Err(self.last_complete_error.take().unwrap_or(error)))
    }

    /// Deletes the group from the shards that stored it before a change of the ring. The sink has accepted the request.
    pub(crate) async fn delete_elsewhere(&mut self) {
        let timeout = self.deadline.remaining().min(PROBE_TIMEOUT);
        self.backlog.delete_elsewhere(&self.key, timeout).await;
    }

    /// Ends the delivery with the result of its attempts.
    pub(crate) fn finish(self, result: Result<Acceptance, Error>) -> Settlement {
        self.update_breaker();
        let has_own_times = !self.backlog.recorded.last_times.is_empty();
        Settlement {
            must_not_resend: result.as_ref().is_err_and(|error| self.must_not_resend(error)),
            // A record that contains a withheld outcome as well stays on disk.
            stored: self.stored.filter(|_| !self.backlog.is_withheld()),
            route: self.route,
            key: self.key,
            class: self.class,
            request: self.request,
            backlog: self.backlog,
            attempts: self.attempts,
            refused: self.refused,
            refused_part: self.refused_part,
            is_stored: self.is_stored,
            unconfirmed: self.confirmation.into_unconfirmed().filter(|_| result.is_err()),
            checked_at: self.lost_times.queried_at().filter(|_| has_own_times),
            result,
        }
    }

    fn update_breaker(&self) {
        let Some(mut breaker) = self.route.breaker() else { return };
        let before = breaker.state();
        // A process waited for this delivery, so one failure is enough: the next process must not wait for the same sink.
        let opens_at_once = self.class == DeliveryClass::Final && self.route.spool().is_some();
        match self.reachability {
            Reachability::Unknown => {}
            Reachability::Unreachable if opens_at_once => breaker.open(Moment::now()),
            Reachability::Unreachable => breaker.record_failure(Moment::now()),
            Reachability::Answered => breaker.record_answer(),
        }
        let after = breaker.state();
        drop(breaker);
        if before == BreakerState::Closed && after == BreakerState::Open && !opens_at_once {
            log::warn(format_args!(
                "{} did not respond to {FAILURES_TO_OPEN} pushes in a row; until it does, only one push per \
                 {PROBE_INTERVAL:?} is attempted",
                self.route
            ));
        }
        if before != after {
            log::debug(format_args!("circuit breaker of {}: {after}", self.route));
        }
    }

    async fn send(&mut self) -> Result<Acceptance, Error> {
        self.attempts += 1;
        self.log_state("in flight");
        match self.route.sink().semantics().model {
            Model::Groups => self.send_to_group().await,
            Model::Samples | Model::Messages => self.send_in_order().await,
        }
    }

    /// Sends the spooled request and then the new one, each with its own time.
    async fn send_in_order(&mut self) -> Result<Acceptance, Error> {
        let deadline = Moment::now().after(self.attempt_timeout());
        let sink = self.route.sink();
        if let Some(spooled) = self.backlog.unsent() {
            let payload = self.with_history(spooled);
            match samples::send(&**sink, payload, deadline).await {
                Ok(_) => self.backlog.set_accepted(),
                // The new outcome must not wait for the older one.
                Err(error) if error.is_rejected() && self.request.is_some() => {
                    log::debug(format_args!(
                        "{}: the older outcome stays: {error:?}{}",
                        self.key,
                        self.run_ids()
                    ));
                    self.backlog.withhold();
                }
                Err(error) => return Err(error),
            }
        }
        let Some(request) = &self.request else { return Ok(Acceptance::Queued) };
        let mut payload = self.with_history(request).after(self.joined_at);
        // The sink ignores samples that it receives again unchanged.
        let sent_before = self.sent_self_metrics.clone();
        let own = sent_before.unwrap_or_else(|| self.self_metrics_for(&payload));
        payload.insert(&own);
        let sent = samples::send(&**sink, payload, deadline).await;
        if sent.as_ref().is_err_and(Error::may_have_arrived) {
            self.sent_self_metrics = Some(own);
        }
        let sent = sent?;
        (self.refused, self.refused_part) = (sent.refused, RefusedPart::SomeMetrics);
        Ok(sent.acceptance)
    }

    /// Returns the payload for a sink without groups. Such a sink keeps the order of the times of earlier runs itself.
    fn with_history<'a>(&'a self, request: &'a PushRequest) -> Payload<'a> {
        let recorded = &self.backlog.recorded;
        let mut payload = Payload::from(request).with_totals_before(&recorded.totals_before);
        if request.verb() != Verb::Delete {
            payload.insert_missing(request.retained());
            payload.insert_missing(&recorded.last_times);
        }
        payload
    }

    async fn send_to_group(&mut self) -> Result<Acceptance, Error> {
        let verb = self.request.as_ref().map(PushRequest::verb);
        let timeout = self.attempt_timeout();
        // A replay sends the same request again.
        if self.request.is_some() {
            Confirmation::record_spooled(&self.route, &self.backlog);
        }
        self.backlog.reconcile(self.route.query(), &self.key, verb, timeout).await?;
        let mut lost_times = std::mem::take(&mut self.lost_times);
        let Some(mut payload) = self.assemble() else {
            // The group already has newer values of all families.
            return Ok(Acceptance::Applied);
        };
        let none = Families::new();
        let retained = self.request.as_ref().map_or(&none, PushRequest::retained);
        let lost = match self.route.query() {
            Some(query) => lost_times.find(&payload, retained, &self.backlog, query, timeout).await,
            None => Families::new(),
        };
        payload.insert_missing(&lost);
        let answer = self.transmit(&payload).await;
        let confirmation = self.confirmation_after(&payload, &answer);
        let outcome = match &answer {
            Err(Rejection::InvalidMetrics(_)) => payload.outcome_only(),
            _ => None,
        };
        let outcome = outcome.map(|outcome| outcome.to_request());
        (self.confirmation, self.lost_times) = (confirmation, lost_times);
        match (answer, outcome) {
            (Err(refused), Some(outcome)) => {
                self.send_outcome_only(outcome, refused.into_error()).await
            }
            (answer, _) => self.end_attempt(answer).await,
        }
    }

    /// Sends the outcome again without the program's own metrics, which the sink has refused.
    async fn send_outcome_only(
        &mut self,
        outcome: PushRequest,
        refused: Error,
    ) -> Result<Acceptance, Error> {
        self.refused = Some(refused);
        let payload = Payload::from(&outcome);
        let answer = self.transmit(&payload).await;
        self.confirmation = self.confirmation_after(&payload, &answer);
        self.request = Some(outcome);
        self.end_attempt(answer).await
    }

    fn confirmation_after(
        &self,
        payload: &Payload<'_>,
        answer: &Result<Accepted, Rejection>,
    ) -> Confirmation {
        // A replay is repeated only if it is not accepted.
        let is_repeated = self.request.is_some() && self.class == DeliveryClass::BestEffort;
        let is_final = payload.has_outcome() && !is_repeated;
        Confirmation::after(&self.route, payload, answer, is_final)
    }

    /// Ends the delivery after the sink has accepted the request, unless a late request may replace the outcome.
    fn end_or_confirm(&mut self, acceptance: Acceptance) -> Step {
        let left = self.deadline.remaining();
        if !self.confirmation.is_pending() {
            return Step::Done(Ok(acceptance));
        }
        // An early confirmation may be wrong if the sink still applies requests of this process. The next run has more time.
        let may_be_wrong = left <= CONFIRM_DELAY && self.has_own_unsure_request();
        if may_be_wrong && self.route.spool().is_some() {
            return self.end_unconfirmed(acceptance, None);
        }
        Step::RetryAfter(CONFIRM_DELAY.min(left / 2))
    }

    /// Confirms an accepted outcome. Returns `None` if none is unconfirmed, or if it must be sent again.
    async fn confirm(&mut self) -> Option<Step> {
        let query = self.route.query().filter(|_| self.confirmation.is_pending())?;
        // The response to a request shows that the sink has processed it.
        let wait = (self.deadline.remaining() / 2).min(MAX_LATE_WAIT);
        let may_change = !query.late_responses(&self.key, wait).await;
        let timeout = self.attempt_timeout();
        match self.confirmation.check(&self.route, &self.key, timeout).await? {
            Confirmed::Stored(acceptance) if may_change => {
                Some(self.end_unconfirmed(acceptance, None))
            }
            Confirmed::Stored(acceptance) => {
                self.forget_unsure_requests();
                Some(Step::Done(Ok(acceptance)))
            }
            Confirmed::Replaced => {
                let error =
                    self.replaced("an earlier request arrived late and replaced the outcome");
                log::debug(format_args!("sending {} again: {error:?}{}", self.key, self.run_ids()));
                self.last_complete_error = Some(error);
                None
            }
            Confirmed::Unknown(acceptance, error) => {
                let pause = self.backoff.next().unwrap_or_default();
                if error.is_retryable() && pause < self.deadline.remaining() {
                    return Some(Step::RetryAfter(pause));
                }
                Some(self.end_unconfirmed(acceptance, Some(error)))
            }
        }
    }

    /// Ends the delivery of an accepted outcome that could not be confirmed. If a later run can confirm it, the result is
    /// an error, so that the outcome is stored. Without the requests that are unsure now, the later run has nothing else to
    /// confirm.
    fn end_unconfirmed(&self, acceptance: Acceptance, cause: Option<Error>) -> Step {
        let is_temporary = cause.as_ref().is_none_or(Error::is_retryable);
        let can_be_confirmed = is_temporary || self.has_own_unsure_request();
        self.forget_unsure_requests();
        let error = self
            .replaced("the gateway accepted the outcome, but an earlier request may replace it");
        let error = match cause {
            Some(cause) => error.caused_by(cause),
            None => error,
        };
        if self.route.spool().is_none() {
            log::warn(format_args!("{error:?}{}", self.run_ids()));
        } else if can_be_confirmed {
            return Step::Done(Err(error));
        } else {
            log::debug(format_args!("{error:?}{}", self.run_ids()));
        }
        Step::Done(Ok(acceptance))
    }

    /// Returns true if a request of this process may still arrive.
    fn has_own_unsure_request(&self) -> bool {
        self.route.unsure().is_some_and(|unsure| unsure.has_own(&self.key))
    }

    fn forget_unsure_requests(&self) {
        if let Some(mut unsure) = self.route.unsure() {
            unsure.forget(&self.key);
        }
    }

    fn replaced(&self, what: &'static str) -> Error {
        Error::new(Kind::Timeout, what).at("url", &self.route).at("group", &self.key)
    }

    /// Removes what a refused request leaves on the sink, and returns the result of the attempt.
    async fn end_attempt(
        &mut self,
        answer: Result<Accepted, Rejection>,
    ) -> Result<Acceptance, Error> {
        match answer {
            Ok(accepted) => {
                let acceptance = accepted.acceptance();
                if let Accepted::Partially(error) = accepted {
                    (self.refused, self.refused_part) = (Some(error), RefusedPart::SomeMetrics);
                }
                Ok(acceptance)
            }
            Err(rejection) => {
                let query = self.route.sink().query();
                if let (Rejection::InvalidMetrics(_), Some(query)) = (&rejection, query) {
                    remove_empty_group(query, &self.key, self.attempt_timeout()).await;
                }
                Err(rejection.into_error())
            }
        }
    }

    /// Sends a payload, with the library's own metrics if it has an outcome.
    async fn transmit(&self, payload: &Payload<'_>) -> Result<Accepted, Rejection> {
        let own = self.self_metrics_for(payload);
        let mut payload = payload.clone();
        payload.insert(&own);
        self.route.sink().send(&payload, self.attempt_timeout()).await
    }

    fn assemble(&self) -> Option<Payload<'_>> {
        match (&self.refused, &self.request) {
            // The request already contains the spooled outcome.
            (Some(_), Some(request)) => Some(Payload::from(request)),
            (_, request) => self.backlog.assemble(request.as_ref()),
        }
    }

    /// Returns the library's own metrics if the payload has an outcome.
    fn self_metrics_for(&self, payload: &Payload<'_>) -> Families {
        if !payload.has_outcome() || self.class == DeliveryClass::BestEffort {
            return Families::new();
        }
        let breaker = self.route.breaker().map(|breaker| breaker.state());
        self_metrics::families(self.attempts, breaker, self.backlog.stats)
    }

    /// Returns true if the gateway could count the request twice if it was sent again.
    fn must_not_resend(&self, error: &Error) -> bool {
        !self.route.is_idempotent() && error.may_have_arrived()
    }

    fn check_deadline(&self) -> Result<(), Error> {
        if self.deadline.remaining().is_zero() {
            return Err(self.not_attempted("the timeout of the push passed before it was sent"));
        }
        Ok(())
    }

    fn check_breaker(&self) -> Result<(), Error> {
        if self.class == DeliveryClass::Final || self.attempts > 0 {
            return Ok(());
        }
        let breaker = self.route.breaker();
        if breaker.is_none_or(|mut breaker| breaker.admit(Moment::now())) {
            return Ok(());
        }
        Err(self.not_attempted(
            "the circuit breaker is open: the gateway has not responded for a while",
        ))
    }

    fn not_attempted(&self, why: &'static str) -> Error {
        Error::new(Kind::Timeout, why).unsent().at("url", &self.route).at("group", &self.key)
    }

    fn attempt_timeout(&self) -> Duration {
        let timeout = attempt_timeout(self.deadline.remaining());
        // No process waits for the completion of a task, and the caller of a replay waits for its result.
        let is_awaited = !matches!(self.class, DeliveryClass::Relayed | DeliveryClass::Spooled);
        let may_be_long = self.request.is_none() || !is_awaited;
        let is_probe = !may_be_long && self.route.is_down();
        if is_probe { timeout.min(PROBE_TIMEOUT) } else { timeout }
    }

    fn log_state(&self, state: &str) {
        let verb = self.request.as_ref().map_or("replay", |request| request.verb().as_str());
        let (key, route, runs) = (&self.key, &self.route, self.run_ids());
        log::debug(format_args!("{verb} {key}: {state} ({route}){runs}"));
    }

    /// Returns the end of a line about the runs of this delivery.
    fn run_ids(&self) -> RunIds<'_> {
        RunIds::new(self.request.as_ref())
    }
}

/// Returns the deadline for attempts. On a route with a spool it is earlier than `deadline`, so that time is left for
/// the disk.
fn attempts_deadline(route: &Route, deadline: Moment) -> Moment {
    if route.spool().is_none() {
        return deadline;
    }
    deadline.before((deadline.remaining() / SETTLE_TIME_DIVISOR).min(MAX_SETTLE_TIME))
}

/// Returns the timeout of an attempt that starts `left` before the deadline.
fn attempt_timeout(left: Duration) -> Duration {
    (left / 2).clamp(MIN_ATTEMPT_TIMEOUT, MAX_ATTEMPT_TIMEOUT).min(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempt_leaves_time_for_another() {
        let millis = |left: u64| attempt_timeout(Duration::from_secs(left)).as_millis();
        assert_eq!([60, 10, 8, 3, 1].map(millis), [5_000, 5_000, 4_000, 1_500, 1_000]);
        assert_eq!(attempt_timeout(Duration::from_millis(300)), Duration::from_millis(300));
    }
}
