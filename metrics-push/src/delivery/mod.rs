//! Delivery: getting one parcel accepted within its time, and if that can't be, keeping it for later.
//!
//! It goes step by step: look up what waits on disk, attempt until a step says that it is over, settle. It sleeps
//! and blocks nowhere itself; the courier does, who has the runtime. The receipt says what became of the parcel, and
//! a person is told on stderr only of what is late, changed or lost.

mod backoff;
mod breaker;
mod honesty;
mod isolation;
mod keepsakes;
mod receipt;
mod replay;
mod route;
mod settling;
pub(crate) mod tally;
mod waited;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::error::{Error, Kind};
use crate::labels::GroupingKey;
use crate::notice;
use crate::parcel::{Families, Parcel};
use crate::sink::Acceptance;
use crate::spool::Census;
use backoff::Backoff;
pub use breaker::BreakerState;
use breaker::{FAILURES_TO_OPEN, PAUSE};
use isolation::is_about_metrics;
use keepsakes::Keepsakes;
pub(crate) use receipt::{Receipt, Urgency};
pub(crate) use route::Route;
use waited::Waited;

/// An attempt has half of what is left of the budget, so that there is always another, but not more than this: a
/// gateway that has not answered by then has most likely forgotten.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(5);
/// Below this, half of what is left is too little to be answered in.
const SHORTEST_ATTEMPT: Duration = Duration::from_secs(1);
/// The share of the budget that is left for the disk.
const SHARE_OF_SETTLING: u32 = 10;
/// The most of it: syncing a file and its folder takes tens of milliseconds.
const LONGEST_SETTLING: Duration = Duration::from_millis(500);

/// What comes after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another attempt, after a pause.
    AttemptAfter(Duration),
    /// No more of them.
    Settle,
}

/// One parcel on its way.
#[derive(Debug)]
pub(crate) struct Delivery {
    route: Route,
    key: GroupingKey,
    /// `None`: only what waits on disk is to be delivered. Shared with its attempts, since it may be large.
    fresh: Option<Arc<Parcel>>,
    waited: Waited,
    census: Option<Census>,
    until: Moment,
    urgency: Urgency,
    backoff: Backoff,
    attempts: u32,
    /// What the attempts so far say of the gateway.
    found: Found,
    /// Why the last attempt failed that was not cut short.
    cause: Option<Error>,
    keepsakes: Keepsakes,
    /// Why the outcome travels alone.
    refused: Option<Error>,
    end: Option<Result<Acceptance, Error>>,
}

/// Who was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// No attempt had the time to find out.
    Unknown,
    Nobody,
    Somebody,
}

impl Delivery {
    pub(crate) fn new(
        route: Route,
        key: GroupingKey,
        fresh: Option<Parcel>,
        deadline: Moment,
        urgency: Urgency,
    ) -> Self {
        let mut delivery = Self {
            route,
            key,
            fresh: fresh.map(Arc::new),
            waited: Waited::Nothing,
            census: None,
            until: deadline,
            urgency,
            backoff: Backoff::new(),
            attempts: 0,
            found: Found::Unknown,
            cause: None,
            keepsakes: Keepsakes::default(),
            refused: None,
            end: None,
        };
        delivery.until = delivery.last_moment_to_send(deadline);
        delivery.trace("pending");
        delivery
    }

    /// Whether [`look_up`](Self::look_up) and [`settle`](Self::settle) have to do with a disk.
    pub(crate) fn has_spool(&self) -> bool {
        self.route.spool().is_some()
    }

    /// Finds what waits on disk for the same group. Blocks.
    pub(crate) fn look_up(&mut self) {
        let Some(spool) = self.route.spool() else { return };
        if let Some(spooled) = spool.look_up(&self.key) {
            self.waited = Waited::Unchecked(spooled);
        }
        // For what is only passing as well: an outcome may join it.
        self.census = Some(spool.census());
        self.look_up_keepsakes();
    }

    /// Takes along what was handed over since.
    pub(crate) fn join(&mut self, later: Option<Parcel>, deadline: Moment, urgency: Urgency) {
        self.fresh = match (self.fresh.take(), later) {
            (Some(fresh), Some(later)) => Some(Arc::new(Arc::unwrap_or_clone(fresh).then(later))),
            (fresh, later) => later.map(Arc::new).or(fresh),
        };
        self.until = self.until.later_of(self.last_moment_to_send(deadline));
        self.urgency = self.urgency.max(urgency);
        // The later one may be what the sink does take.
        self.refused = None;
    }

    /// Makes one attempt, if there is time for one and hope.
    pub(crate) async fn attempt(&mut self) -> Next {
        if let Err(error) = self.check_time().and_then(|()| self.check_breaker()) {
            return self.give_up(error);
        }
        let given = self.time_of_attempt();
        let error = match self.try_once().await {
            Ok(acceptance) => {
                self.found = Found::Somebody;
                return self.over(Ok(acceptance));
            }
            Err(error) => error,
        };
        if !error.is_retryable() {
            self.found = Found::Somebody;
            return self.over(Err(error));
        }
        if is_telling(&error, given) {
            self.found = Found::Nobody;
            self.cause = Some(error.clone());
        }
        if self.must_not_repeat(&error) {
            return self.over(Err(error));
        }
        let pause = error.retry_after().or_else(|| self.backoff.next()).unwrap_or_default();
        if pause >= self.until.remaining() {
            return self.give_up(error);
        }
        notice::debug(format_args!(
            "attempt {} failed, next in {pause:?}: {error:?}",
            self.attempts
        ));
        Next::AttemptAfter(pause)
    }

    /// The time is over. What an attempt says that was cut short by that is less than what one before it found.
    fn give_up(&mut self, error: Error) -> Next {
        let cause = self.cause.take().unwrap_or(error);
        self.over(Err(cause))
    }

    fn over(&mut self, end: Result<Acceptance, Error>) -> Next {
        self.tell_breaker();
        self.end = Some(end);
        Next::Settle
    }

    fn tell_breaker(&self) {
        let Some(mut breaker) = self.route.breaker() else { return };
        let before = breaker.state();
        match self.found {
            Found::Unknown => {}
            Found::Nobody => breaker.failed(Moment::now()),
            Found::Somebody => breaker.answered(),
        }
        let after = breaker.state();
        if before == BreakerState::Closed && after == BreakerState::Open {
            notice::warn(format_args!(
                "{} has not answered {FAILURES_TO_OPEN} times in a row, and is asked once per {PAUSE:?} until it does",
                self.route
            ));
        }
        if before != after {
            notice::debug(format_args!("the breaker of {} is {after}", self.route));
        }
    }

    async fn try_once(&mut self) -> Result<Acceptance, Error> {
        self.attempts += 1;
        self.trace("in flight");
        self.check_waited().await?;
        let Some(parcel) = self.load() else {
            // What waited is there already, in a newer form.
            return Ok(Acceptance::Applied);
        };
        let parcel = self.with_keepsakes(parcel).await;
        match self.send(&parcel).await {
            Err(error) if is_about_metrics(&error) => self.isolate(&parcel, error).await,
            answer => answer,
        }
    }

    async fn send(&self, parcel: &Parcel) -> Result<Acceptance, Error> {
        let tells_ending = parcel.tells_outcome() && self.urgency > Urgency::Passing;
        let honest = tells_ending.then(|| parcel.clone().with(self.honesty()));
        self.route.sink().send(honest.as_ref().unwrap_or(parcel), self.time_of_attempt()).await
    }

    /// Whether this was the only time that it may be sent.
    fn must_not_repeat(&self, error: &Error) -> bool {
        self.route.sink().adds_up() && error.may_have_arrived()
    }

    fn honesty(&self) -> Families {
        let breaker = self.route.breaker().map(|breaker| breaker.state());
        honesty::families(self.attempts, breaker, self.census)
    }

    fn check_time(&self) -> Result<(), Error> {
        if self.until.remaining().is_zero() {
            return Err(self.refuse("the time for the push was over before it could be sent"));
        }
        Ok(())
    }

    fn check_breaker(&self) -> Result<(), Error> {
        if self.urgency == Urgency::LastWord || self.attempts > 0 {
            return Ok(());
        }
        let breaker = self.route.breaker();
        if breaker.is_none_or(|mut breaker| breaker.admits(Moment::now())) {
            return Ok(());
        }
        Err(self.refuse("the gateway has not answered for a while, and is left alone"))
    }

    fn refuse(&self, why: &'static str) -> Error {
        Error::new(Kind::Timeout, why).unsent().at("url", &self.route).at("group", &self.key)
    }

    fn time_of_attempt(&self) -> Duration {
        time_of_attempt(self.until.remaining())
    }

    fn last_moment_to_send(&self, deadline: Moment) -> Moment {
        if !self.has_spool() {
            return deadline;
        }
        deadline.before((deadline.remaining() / SHARE_OF_SETTLING).min(LONGEST_SETTLING))
    }

    fn trace(&self, state: &str) {
        let verb = self.fresh.as_ref().map_or("replay", |parcel| parcel.verb().as_str());
        notice::debug(format_args!("{verb} {}: {state} ({})", self.key, self.route));
    }
}

/// Whether a failure says something of the gateway: a gateway that is only slow, or busy with many others at once, may
/// need longer than what was left for this attempt.
fn is_telling(error: &Error, given: Duration) -> bool {
    !error.is_timeout() || given >= SHORTEST_ATTEMPT
}

/// How long an attempt may take when that much is left.
fn time_of_attempt(left: Duration) -> Duration {
    (left / 2).clamp(SHORTEST_ATTEMPT, LONGEST_ATTEMPT).min(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_attempt_takes_all_the_time_there_is() {
        let seconds = |left: u64| time_of_attempt(Duration::from_secs(left)).as_millis();
        assert_eq!([60, 10, 8, 3, 1].map(seconds), [5_000, 5_000, 4_000, 1_500, 1_000]);
        assert_eq!(time_of_attempt(Duration::from_millis(300)), Duration::from_millis(300));
    }
}
