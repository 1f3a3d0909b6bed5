//! The timestamps of a group that its gateway has lost: last success, failure, abandoned and skipped run.
//!
//! An add does not change the families that it does not contain. But if the gateway restarted without persistence, it has
//! lost the group, and the timestamps of the history are added. Before that, the group is queried, because another machine
//! may have pushed newer timestamps. The query is skipped if the gateway started before the timestamps, unless the group has
//! moved to another shard of a ring. Another machine may still push between the query and the add; the API of the gateway
//! cannot prevent this.
//!
//! A request from a topic brings the times of the sender's history along. The gateway may never have had them, because a
//! compacted topic removes the messages of earlier runs.

use std::time::Duration;

use super::backlog::Backlog;
use super::policy::{MAX_CLOCK_SKEW, QUERY_TIME_DIVISOR};
use super::reconcile::past_timestamp;
use crate::clock::{Moment, unix_seconds};
use crate::exposition::single_value;
use crate::push_request::{Families, Payload, Verb};
use crate::sink::Query;

/// The timestamps that the gateway has lost, and when it was queried; `None` until then.
#[derive(Debug, Default)]
pub(super) struct LostTimes(Option<(Moment, Families)>);

impl LostTimes {
    /// Returns the timestamps to add to a payload; none if the gateway cannot be queried. `retained` are those that the
    /// request has brought along.
    pub(super) async fn find(
        &mut self,
        payload: &Payload<'_>,
        retained: &Families,
        backlog: &Backlog,
        query: &dyn Query,
        timeout: Duration,
    ) -> Families {
        if let Some((_, lost)) = &self.0 {
            return lost.clone();
        }
        // A push replaces the group with its own times.
        if payload.verb() != Verb::Add {
            return if payload.verb() == Verb::Push { retained.clone() } else { Families::new() };
        }
        let recorded = &backlog.recorded;
        let mut lost = recorded.last_times.clone();
        let timeout = timeout / QUERY_TIME_DIVISOR;
        // A shard that did not have the group before lacks all of them.
        if !backlog.has_moved() && lost.keys().any(|name| !payload.has_family(name)) {
            let Ok(started_at) = query.started_at(timeout).await else { return Families::new() };
            lost.retain(|_, text| may_be_lost(text, unix_seconds(started_at), recorded.checked_at));
        }
        lost.extend(retained.clone());
        lost.retain(|name, _| !payload.has_family(name));
        if lost.is_empty() {
            return lost;
        }
        let queried_at = Moment::now();
        match query.group(payload.key(), None, timeout).await {
            Ok(Some(group)) => {
                lost.retain(|name, text| is_newer(text, past_timestamp(&group, name, queried_at)));
            }
            Ok(None) => {}
            Err(_) => return Families::new(),
        }
        self.0 = Some((queried_at, lost.clone()));
        lost
    }

    /// Returns when the gateway was queried.
    pub(super) fn queried_at(&self) -> Option<Moment> {
        self.0.as_ref().map(|(queried_at, _)| *queried_at)
    }
}

/// Returns true if a gateway that started at `started_at` (Unix seconds) may not have this timestamp. It had the timestamp
/// at `checked_at` (Unix milliseconds), if it was queried since.
fn may_be_lost(text: &str, started_at: f64, checked_at: Option<u64>) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "a time in milliseconds fits")]
    let checked_at = checked_at.map_or(0.0, |at| at as f64 / 1_000.0);
    single_value(text)
        .is_some_and(|at| started_at + MAX_CLOCK_SKEW.as_secs_f64() > at.max(checked_at))
}

/// Returns true if the timestamp is later than that of the gateway, or the gateway has none.
fn is_newer(text: &str, in_gateway: Option<f64>) -> bool {
    in_gateway.is_none_or(|other| single_value(text).is_some_and(|at| at > other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateway_that_started_before_a_timestamp_has_it() {
        for (started_at, checked_at, expected) in [
            (1_000.0, None, false),
            (2_001.0, None, true),
            // Its clock may be behind.
            (1_900.0, None, true),
            (2_001.0, Some(2_200_000), true),
            (2_001.0, Some(2_400_000), false),
        ] {
            let may_be_lost = may_be_lost("a 2000\n", started_at, checked_at);
            assert_eq!(may_be_lost, expected, "{started_at} {checked_at:?}");
        }
    }

    #[test]
    fn missing_or_older_timestamp_is_lost() {
        for (in_gateway, expected) in
            [(None, true), (Some(9.0), true), (Some(10.0), false), (Some(11.0), false)]
        {
            assert_eq!(is_newer("a 10\n", in_gateway), expected, "{in_gateway:?}");
        }
    }
}
