//! `Confirmation`: whether a group still has an accepted outcome, after the requests that may have arrived late.

use std::time::Duration;

use super::backlog::Backlog;
use super::reconcile::has_outcome_of;
use super::route::Route;
use super::unsure::SentBy;
use crate::clock::Moment;
use crate::error::Error;
use crate::labels::GroupingKey;
use crate::push_request::{Payload, PushRequest};
use crate::sink::{Acceptance, Accepted, Rejection};

/// The outcome of one delivery that the sink has accepted, while an unsure request may replace it.
#[derive(Debug, Default)]
pub(super) struct Confirmation(Option<Unconfirmed>);

#[derive(Debug)]
struct Unconfirmed {
    request: PushRequest,
    acceptance: Acceptance,
}

/// The state of an accepted outcome.
#[derive(Debug)]
pub(super) enum Confirmed {
    Stored(Acceptance),
    /// The group has other values. The outcome must be sent again.
    Replaced,
    /// The group could not be read.
    Unknown(Acceptance, Error),
}

impl Confirmation {
    pub(super) fn is_pending(&self) -> bool {
        self.0.is_some()
    }

    /// Records the spooled request as unsure: the sink may still apply the copy that an earlier process has sent.
    pub(super) fn record_spooled(route: &Route, backlog: &Backlog) {
        let spooled = backlog.unsure().filter(|_| route.query().is_some());
        if let (Some(spooled), Some(mut unsure)) = (spooled, route.unsure()) {
            unsure.record(spooled.clone(), SentBy::EarlierProcess);
        }
    }

    /// Records the answer to a payload. `is_final`: the payload has an outcome that no later request repeats.
    pub(super) fn after(
        route: &Route,
        payload: &Payload<'_>,
        answer: &Result<Accepted, Rejection>,
        is_final: bool,
    ) -> Self {
        let can_confirm = route.query().is_some();
        let Some(mut unsure) = route.unsure().filter(|_| can_confirm) else {
            return Self::default();
        };
        match answer {
            Ok(accepted) if is_final && unsure.has_group(payload.key()) => {
                let (request, acceptance) = (payload.to_request(), accepted.acceptance());
                if unsure.may_change(&request) {
                    return Self(Some(Unconfirmed { request, acceptance }));
                }
                unsure.forget(payload.key());
            }
            Err(rejection) if rejection.error().may_have_arrived() => {
                unsure.record(payload.to_request(), SentBy::ThisProcess);
            }
            _ => {}
        }
        Self::default()
    }

    /// Returns the outcome that is not confirmed.
    pub(super) fn into_unconfirmed(self) -> Option<PushRequest> {
        self.0.map(|unconfirmed| unconfirmed.request)
    }

    /// Reads the group. Returns `None` if no outcome is unconfirmed.
    pub(super) async fn check(
        &mut self,
        route: &Route,
        key: &GroupingKey,
        timeout: Duration,
    ) -> Option<Confirmed> {
        let Unconfirmed { request, acceptance } = self.0.as_ref()?;
        let acceptance = *acceptance;
        let is_stored = match route.query()?.group(key, Some(Moment::now()), timeout).await {
            Ok(group) => group.is_some_and(|group| has_outcome_of(request, &group)),
            Err(error) => return Some(Confirmed::Unknown(acceptance, error)),
        };
        if is_stored {
            return Some(Confirmed::Stored(acceptance));
        }
        self.0 = None;
        Some(Confirmed::Replaced)
    }
}
