//! Timestamps of a group that outlive its pushes: last success, failure, abandoned and skipped run.
//!
//! A push replaces the group, so the timestamps that the push does not set are added to it. An add does not change the
//! other families. But if the gateway restarted without persistence, it has lost the group, and the stored timestamps
//! are added.
//!
//! Before that, the group is queried, because another machine may have pushed newer timestamps. The query is skipped if
//! the gateway started before the timestamps were stored. Another machine may still push between the query and the add;
//! the API of the gateway cannot prevent this.
//!
//! Timestamps in the future were recorded while a clock was wrong. They are dropped.

use std::time::Duration;

use super::policy::MAX_CLOCK_SKEW;
use super::reconcile::past_timestamp;
use crate::clock::{Moment, unix_seconds};
use crate::exposition::single_value;
use crate::labels::GroupingKey;
use crate::push_request::{Families, Payload, PushRequest, Verb, is_retained_family};
use crate::sink::Query;
use crate::spool::Spool;

/// The retained timestamps of one group.
#[derive(Debug, Default)]
pub(super) struct Retained {
    /// The timestamps that this machine stored last.
    stored: Option<PushRequest>,
    /// The timestamps that the gateway has lost; `None` until it has been queried.
    lost: Option<Families>,
}

/// The timestamps that an attempt sent, to be stored if the gateway accepts them.
#[derive(Debug)]
pub(super) struct SentTimestamps {
    verb: Verb,
    created_at: u64,
    timestamps: Families,
}

impl From<&Payload<'_>> for SentTimestamps {
    fn from(payload: &Payload<'_>) -> Self {
        let timestamps = payload.families().filter(|(name, _)| is_retained_family(name));
        Self {
            verb: payload.verb(),
            created_at: payload.created_at(),
            timestamps: timestamps.map(|(name, text)| (name.into(), text.into())).collect(),
        }
    }
}

impl Retained {
    /// Loads the timestamps of a group. Blocks on the disk.
    pub(super) fn load(spool: &Spool, key: &GroupingKey) -> Self {
        let stored = spool.retained(key).map(|stored| without_future(stored, Moment::now()));
        Self { stored, ..Self::default() }
    }

    /// Assumes that the sink does not have the timestamps, because another one stored the group.
    pub(super) fn assume_lost(self) -> Self {
        let lost = |stored: PushRequest| {
            PushRequest::with_created_at(
                0,
                Verb::Add,
                stored.key().clone(),
                stored.families().clone(),
            )
        };
        Self { stored: self.stored.map(lost), ..self }
    }

    /// Returns the stored timestamps and those of a spooled request that is replaced.
    pub(super) fn merged_with(&self, replaced: Option<&PushRequest>) -> Families {
        let replaced = replaced.map(timestamps_of).unwrap_or_default();
        latest(self.stored(), past(replaced, Moment::now()))
    }

    /// Returns the stored timestamps that the gateway has lost; none if it cannot be queried.
    pub(super) async fn lost_by(
        &mut self,
        query: &dyn Query,
        key: &GroupingKey,
        timeout: Duration,
    ) -> Families {
        if let Some(lost) = &self.lost {
            return lost.clone();
        }
        let Some(stored) = &self.stored else { return Families::new() };
        let Ok(started_at) = query.started_at(timeout).await else { return Families::new() };
        let lost = if may_have_lost(unix_seconds(started_at), stored.created_at()) {
            match query.group(key, None, timeout).await {
                Ok(Some(group)) => {
                    newer_than(stored, |name| past_timestamp(&group, name, Moment::now()))
                }
                Ok(None) => stored.families().clone(),
                Err(_) => return Families::new(),
            }
        } else {
            Families::new()
        };
        self.lost = Some(lost.clone());
        lost
    }

    /// Stores the timestamps that the gateway has accepted. Blocks.
    pub(super) fn store(&self, sent: SentTimestamps, spool: &Spool, key: &GroupingKey) {
        let SentTimestamps { verb, mut created_at, mut timestamps } = sent;
        match verb {
            Verb::Delete => return spool.delete_retained(key),
            Verb::Push => {}
            Verb::Add => {
                if let (Some(stored), None) = (&self.stored, &self.lost) {
                    // It is unknown whether the gateway has the other timestamps: with the old time, the next delivery
                    // queries it again.
                    created_at = stored.created_at();
                }
                let mut all = self.stored();
                all.append(&mut timestamps);
                timestamps = all;
            }
        }
        // Another process may have stored newer timestamps since they were loaded.
        let current = Self::load(spool, key).stored();
        let families = latest(timestamps, current);
        let request = PushRequest::with_created_at(created_at, Verb::Add, key.clone(), families);
        spool.store_retained(&request);
    }

    fn stored(&self) -> Families {
        self.stored.as_ref().map(|stored| stored.families().clone()).unwrap_or_default()
    }
}

/// Returns true if an attempt with this payload changes retained timestamps.
pub(super) fn changes_timestamps(payload: &Payload<'_>) -> bool {
    payload.verb() == Verb::Delete || payload.families().any(|(name, _)| is_retained_family(name))
}

fn timestamps_of(request: &PushRequest) -> Families {
    let timestamps = request.families().iter().filter(|(name, _)| is_retained_family(name));
    timestamps.map(|(name, text)| (name.clone(), text.clone())).collect()
}

/// Removes the timestamps that are later than now.
fn past(mut timestamps: Families, now: Moment) -> Families {
    timestamps.retain(|_, text| single_value(text).is_some_and(|at| at <= now.unix_seconds()));
    timestamps
}

/// Removes the timestamps that are later than now, and limits the time when the others were stored.
fn without_future(stored: PushRequest, now: Moment) -> PushRequest {
    let created_at = stored.created_at().min(now.unix_millis());
    let timestamps = past(stored.families().clone(), now);
    PushRequest::with_created_at(created_at, Verb::Add, stored.key().clone(), timestamps)
}

/// Returns true if a gateway that started at `started_at` (Unix seconds) may not have timestamps that were stored at
/// `created_at` (Unix milliseconds).
fn may_have_lost(started_at: f64, created_at: u64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "a time in milliseconds fits")]
    let created_at = created_at as f64 / 1_000.0;
    started_at + MAX_CLOCK_SKEW.as_secs_f64() > created_at
}

/// Returns the stored timestamps that are newer than those of the gateway, or that it does not have.
fn newer_than(stored: &PushRequest, in_gateway: impl Fn(&str) -> Option<f64>) -> Families {
    let is_newer = |name: &str, text: &str| {
        in_gateway(name).is_none_or(|other| single_value(text).is_some_and(|stored| stored > other))
    };
    let families = stored.families().iter().filter(|(name, text)| is_newer(name, text));
    families.map(|(name, text)| (name.clone(), text.clone())).collect()
}

/// Returns the later one of each timestamp.
fn latest(mut one: Families, other: Families) -> Families {
    for (name, text) in other {
        let is_older = one.get(&name).is_some_and(|own| single_value(own) >= single_value(&text));
        if !is_older {
            one.insert(name, text);
        }
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETAINED: [&str; 3] = [
        "batch_job_last_success_timestamp_seconds",
        "batch_job_last_failure_timestamp_seconds",
        "batch_job_last_abandoned_timestamp_seconds",
    ];

    fn families(values: &[(&str, f64)]) -> Families {
        values.iter().map(|(name, v)| ((*name).to_owned(), format!("{name} {v}\n"))).collect()
    }

    #[test]
    fn gateway_that_started_before_has_lost_nothing() {
        assert!(!may_have_lost(1_000.0, 2_000_000));
        assert!(may_have_lost(2_001.0, 2_000_000));
        assert!(may_have_lost(1_900.0, 2_000_000), "its clock may be behind");
    }

    #[test]
    fn only_missing_or_older_timestamps_are_lost() {
        let stored = families(&[(RETAINED[0], 10.0), (RETAINED[1], 20.0), (RETAINED[2], 5.0)]);
        let key = GroupingKey::new("job").unwrap();
        let stored = PushRequest::with_created_at(7, Verb::Add, key, stored);
        let in_gateway = |name: &str| match name {
            name if name == RETAINED[0] => Some(9.0),
            name if name == RETAINED[1] => Some(21.0),
            _ => None,
        };
        assert_eq!(
            newer_than(&stored, in_gateway),
            families(&[(RETAINED[0], 10.0), (RETAINED[2], 5.0)])
        );
    }

    #[test]
    fn timestamps_in_the_future_are_dropped() {
        let now = Moment::now();
        let future = now.after(Duration::from_secs(400 * 86_400));
        let (past_at, future_at) = (now.unix_seconds() - 60.0, future.unix_seconds());
        let stored = families(&[(RETAINED[0], past_at), (RETAINED[1], future_at)]);
        let key = GroupingKey::new("job").unwrap();
        let created_at = future.unix_millis();
        let stored = PushRequest::with_created_at(created_at, Verb::Add, key, stored);
        let remaining = without_future(stored, now);
        assert_eq!(*remaining.families(), families(&[(RETAINED[0], past_at)]));
        assert_eq!(remaining.created_at(), now.unix_millis());
    }

    #[test]
    fn latest_takes_the_later_of_two_timestamps() {
        let one = families(&[(RETAINED[0], 10.0), (RETAINED[1], 20.0)]);
        let other = families(&[(RETAINED[0], 11.0), (RETAINED[1], 19.0), (RETAINED[2], 1.0)]);
        let both = families(&[(RETAINED[0], 11.0), (RETAINED[1], 20.0), (RETAINED[2], 1.0)]);
        assert_eq!(latest(one.clone(), other.clone()), both);
        assert_eq!(latest(other, one), both);
    }
}
