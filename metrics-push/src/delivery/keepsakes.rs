//! Keepsakes: the instants of a group that outlive its pushes: when a run last succeeded, failed, was abandoned, skipped.
//!
//! A push replaces the group, so the instants that it does not tell itself go along. An addition leaves the group as it
//! is; but a gateway that was restarted without its memory has none, and gets back what it is known to have had. It is
//! asked first, since another machine may have told it something newer: never when all is well, and only if it was
//! started since. Between its answer and the addition that other machine may push; nothing a gateway offers prevents that.

use std::sync::Arc;
use std::time::Duration;

use super::{Delivery, Waited, replay};
use crate::clock::unix_seconds;
use crate::parcel::{Families, Parcel, Verb};

const KEPT: [&str; 4] = [
    "batch_job_last_success_timestamp_seconds",
    "batch_job_last_failure_timestamp_seconds",
    "batch_job_last_abandoned_timestamp_seconds",
    "batch_job_last_skipped_timestamp_seconds",
];

/// How far a gateway's clock and this machine's may be apart.
const CLOCKS_DIFFER: Duration = Duration::from_secs(300);

/// What of a group is to survive.
#[derive(Debug, Default)]
pub(super) struct Keepsakes {
    /// As this machine last knew it.
    known: Option<Parcel>,
    /// What of it the gateway has lost, once it has been asked.
    lost: Option<Families>,
    /// What the last attempt told of it.
    told: Option<Arc<Parcel>>,
}

impl Delivery {
    /// Finds out what is known of the group. Blocks.
    pub(super) fn look_up_keepsakes(&mut self) {
        self.keepsakes.known = self.route.spool().and_then(|spool| spool.keepsake(&self.key));
    }

    /// The parcel with what the group is to keep, or to get back.
    pub(super) async fn with_keepsakes(&mut self, parcel: Arc<Parcel>) -> Arc<Parcel> {
        let is_concerned = parcel.verb() == Verb::Delete || tells_ending(&parcel);
        if !is_concerned || !self.has_spool() || self.route.sink().adds_up() {
            return parcel;
        }
        let kept = match parcel.verb() {
            Verb::Push => newest(self.known(), self.replaced()),
            Verb::Add => self.lost().await,
            Verb::Delete => Families::new(),
        };
        let missing = kept.into_iter().filter(|(name, _)| !parcel.families().contains_key(name));
        let missing = missing.collect();
        let parcel = Arc::new(Arc::unwrap_or_clone(parcel).with(missing));
        self.keepsakes.told = Some(Arc::clone(&parcel));
        parcel
    }

    /// Remembers what the gateway has acknowledged. Blocks.
    pub(super) fn remember(&mut self) {
        let (Some(spool), Some(told)) = (self.route.spool(), self.keepsakes.told.take()) else {
            return;
        };
        let (mut made, verb) = (told.made(), told.verb());
        let of_told = Arc::unwrap_or_clone(told).adding_only(|name, _| is_kept(name));
        let of_told = of_told.map(|told| told.families().clone()).unwrap_or_default();
        let families = match verb {
            Verb::Delete => return spool.forget(&self.key),
            Verb::Push => of_told,
            Verb::Add => {
                if let (Some(known), None) = (&self.keepsakes.known, &self.keepsakes.lost) {
                    // Whether the gateway still has the rest could not be found out.
                    made = known.made();
                }
                let mut known = self.known();
                known.extend(of_told);
                known
            }
        };
        // Another process may have told of something newer since it was looked up.
        let since = spool.keepsake(&self.key).map(|kept| kept.families().clone());
        let families = newest(families, since.unwrap_or_default());
        spool.remember(&Parcel::made_at(made, Verb::Add, self.key.clone(), families));
    }

    fn known(&self) -> Families {
        self.keepsakes.known.as_ref().map(|known| known.families().clone()).unwrap_or_default()
    }

    /// What a parcel tells of it that has waited, and is replaced by a fresh one.
    fn replaced(&self) -> Families {
        match &self.waited {
            Waited::Checked(None, spooled) => {
                let told = spooled.parcel.clone().adding_only(|name, _| is_kept(name));
                told.map(|told| told.families().clone()).unwrap_or_default()
            }
            _ => Families::new(),
        }
    }

    /// What the gateway has lost of what is known, as far as it says.
    async fn lost(&mut self) -> Families {
        if let Some(lost) = &self.keepsakes.lost {
            return lost.clone();
        }
        let Some(known) = &self.keepsakes.known else { return Families::new() };
        let sink = self.route.sink();
        let (Ok(started), made) = (sink.started(self.time_of_question()).await, known.made())
        else {
            return Families::new();
        };
        let lost = if may_have_lost(unix_seconds(started), made) {
            match sink.group(&self.key, self.time_of_question()).await {
                Ok(Some(group)) => newer_than(known, |name| group.value(name, &[])),
                Ok(None) => known.families().clone(),
                Err(_) => return Families::new(),
            }
        } else {
            Families::new()
        };
        self.keepsakes.lost = Some(lost.clone());
        lost
    }

    /// The outcome is not to wait for it.
    fn time_of_question(&self) -> Duration {
        self.time_of_attempt() / 4
    }
}

fn is_kept(name: &str) -> bool {
    KEPT.contains(&name)
}

fn tells_ending(parcel: &Parcel) -> bool {
    parcel.families().keys().any(|name| is_kept(name))
}

/// Whether a gateway that started then may not know what was made then.
fn may_have_lost(started: f64, made: u64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "a time in milliseconds fits")]
    let made = made as f64 / 1_000.0;
    started + CLOCKS_DIFFER.as_secs_f64() > made
}

fn newer_than(known: &Parcel, stored: impl Fn(&str) -> Option<f64>) -> Families {
    let is_newer = |name: &str, text: &str| {
        stored(name).is_none_or(|stored| replay::value(text).is_some_and(|known| known > stored))
    };
    let families = known.families().iter();
    families
        .filter(|(name, text)| is_newer(name, text))
        .map(|(n, t)| (n.clone(), t.clone()))
        .collect()
}

/// Of two accounts of the same instants, the later one of each.
fn newest(mut one: Families, other: Families) -> Families {
    for (name, text) in other {
        let is_older = one.get(&name).is_some_and(|own| replay::value(own) >= replay::value(&text));
        if !is_older {
            one.insert(name, text);
        }
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::GroupingKey;

    fn families(values: &[(&str, f64)]) -> Families {
        values.iter().map(|(name, v)| ((*name).to_owned(), format!("{name} {v}\n"))).collect()
    }

    #[test]
    fn a_gateway_that_has_run_since_has_lost_nothing() {
        assert!(!may_have_lost(1_000.0, 2_000_000));
        assert!(may_have_lost(2_001.0, 2_000_000));
        assert!(may_have_lost(1_900.0, 2_000_000), "its clock may be behind");
    }

    #[test]
    fn only_what_is_missing_or_older_has_been_lost() {
        let known = families(&[(KEPT[0], 10.0), (KEPT[1], 20.0), (KEPT[2], 5.0)]);
        let known = Parcel::made_at(7, Verb::Add, GroupingKey::new("job").unwrap(), known);
        let stored = |name: &str| match name {
            name if name == KEPT[0] => Some(9.0),
            name if name == KEPT[1] => Some(21.0),
            _ => None,
        };
        assert_eq!(newer_than(&known, stored), families(&[(KEPT[0], 10.0), (KEPT[2], 5.0)]));
    }

    #[test]
    fn the_later_of_two_instants_is_kept() {
        let one = families(&[(KEPT[0], 10.0), (KEPT[1], 20.0)]);
        let other = families(&[(KEPT[0], 11.0), (KEPT[1], 19.0), (KEPT[2], 1.0)]);
        let both = families(&[(KEPT[0], 11.0), (KEPT[1], 20.0), (KEPT[2], 1.0)]);
        assert_eq!(newest(one.clone(), other.clone()), both);
        assert_eq!(newest(other, one), both);
    }
}
