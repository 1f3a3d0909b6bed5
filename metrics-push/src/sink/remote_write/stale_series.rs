//! `SentGroups`: which series this process has sent, so that stale markers end those that a later request does not have.
//!
//! Receivers have no groups: without a stale marker, a query returns the last sample for another five minutes. Other
//! processes do not have this record. That is harmless, because a job rarely starts again within five minutes.

use std::collections::{BTreeSet, HashMap};

use super::time_series::{NAME, SeriesFamily};
use crate::labels::GroupingKey;
use crate::push_request::{Verb, is_event_time};
use crate::sink::series::SeriesLabels;

/// The maximum number of series that are remembered. The series of further groups get no stale markers.
const MAX_SERIES: usize = 10_000;

type OwnedLabels = Vec<(String, String)>;

/// The labels of several series.
type SeriesSet = BTreeSet<OwnedLabels>;

#[derive(Debug, Default)]
pub(super) struct SentGroups {
    groups: HashMap<GroupingKey, SeriesSet>,
    /// The number of series of all groups.
    count: usize,
}

impl SentGroups {
    /// Returns the labels of the series of a request that can end. Of a request with too many series to remember, only those
    /// of families are returned that the group has already.
    pub(super) fn ending_series(
        &self,
        key: &GroupingKey,
        families: &[SeriesFamily<'_>],
    ) -> SeriesSet {
        let count: usize = families.iter().map(SeriesFamily::len).sum();
        let sent = self.groups.get(key);
        let has_family = |name: &str| sent.is_some_and(|sent| has_family(sent, name));
        ending_series(families.iter().filter(|it| count <= MAX_SERIES || has_family(it.name)))
    }

    /// Returns the labels of the series that a request ends.
    pub(super) fn ended_by(
        &self,
        verb: Verb,
        key: &GroupingKey,
        series: &SeriesSet,
    ) -> Vec<OwnedLabels> {
        let Some(sent) = self.groups.get(key) else { return Vec::new() };
        match verb {
            Verb::Add => Vec::new(),
            Verb::Delete => sent.iter().cloned().collect(),
            Verb::Push => sent.difference(series).cloned().collect(),
        }
    }

    /// Records a request that the receiver has accepted.
    pub(super) fn record(&mut self, verb: Verb, key: &GroupingKey, mut series: SeriesSet) {
        let mut sent = self.groups.remove(key).unwrap_or_default();
        self.count -= sent.len();
        if verb != Verb::Add {
            sent.clear();
        }
        sent.append(&mut series);
        if !sent.is_empty() && self.count + sent.len() <= MAX_SERIES {
            self.count += sent.len();
            self.groups.insert(key.clone(), sent);
        }
    }
}

/// Returns true if some of the series can be of this family.
fn has_family(series: &SeriesSet, family: &str) -> bool {
    let is_name = |(label, name): &(String, String)| label == NAME && name.starts_with(family);
    series.iter().any(|labels| labels.iter().any(is_name))
}

/// Returns the labels of all series that can end. The time of an event remains true.
fn ending_series<'f, 'a: 'f>(
    families: impl IntoIterator<Item = &'f SeriesFamily<'a>>,
) -> SeriesSet {
    let mut all = Vec::new();
    for family in families.into_iter().filter(|family| !is_event_time(family.name)) {
        let mut series = family.reader();
        while let Some(Ok(series)) = series.next() {
            all.push(owned(series.labels));
        }
    }
    all.into_iter().collect()
}

fn owned(labels: &SeriesLabels<'_>) -> OwnedLabels {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Borrows labels for a request.
pub(super) fn borrowed(labels: &OwnedLabels) -> SeriesLabels<'_> {
    labels.iter().map(|(name, value)| (name.as_str(), value.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A family with one series for each value of a label.
    fn family<'a>(key: &'a GroupingKey, name: &'a str, text: &'a str) -> SeriesFamily<'a> {
        SeriesFamily::read(key, name, text).unwrap()
    }

    fn key(job: &str) -> GroupingKey {
        GroupingKey::new(job).unwrap()
    }

    /// The values of the label `v`.
    fn values(series: Vec<OwnedLabels>) -> Vec<String> {
        let value = |labels: &OwnedLabels| labels.iter().find(|(name, _)| name == "v").cloned();
        series.iter().filter_map(value).map(|(_, value)| value).collect()
    }

    #[test]
    fn push_ends_the_series_that_it_does_not_have() {
        let (key, mut sent) = (key("j"), SentGroups::default());
        let both = ending_series(&[family(&key, "x", "x{v=\"1\"} 1\nx{v=\"2\"} 1\n")]);
        let one = ending_series(&[family(&key, "x", "x{v=\"2\"} 5\n")]);
        let none = SeriesSet::new();
        assert!(sent.ended_by(Verb::Push, &key, &both).is_empty());
        sent.record(Verb::Add, &key, both);
        assert!(sent.ended_by(Verb::Add, &key, &one).is_empty());
        assert_eq!(values(sent.ended_by(Verb::Push, &key, &one)), ["1"]);
        sent.record(Verb::Push, &key, one.clone());
        assert!(sent.ended_by(Verb::Push, &key, &one).is_empty());
        assert_eq!(values(sent.ended_by(Verb::Delete, &key, &none)), ["2"]);
        sent.record(Verb::Delete, &key, SeriesSet::new());
        assert!(sent.ended_by(Verb::Delete, &key, &none).is_empty());
        assert_eq!(sent.count, 0);
    }

    #[test]
    fn times_of_events_do_not_end() {
        let (key, mut sent) = (key("j"), SentGroups::default());
        let name = "batch_job_last_failure_timestamp_seconds";
        let text = format!("{name} 1\n");
        sent.record(Verb::Add, &key, ending_series(&[family(&key, name, &text)]));
        assert!(sent.ended_by(Verb::Push, &key, &SeriesSet::new()).is_empty());
    }

    #[test]
    fn series_of_a_huge_request_are_collected_only_to_end_earlier_ones() {
        let text: String =
            (0..=MAX_SERIES).map(|number| format!("x{{v=\"{number}\"}} 1\n")).collect();
        let (key, mut sent) = (key("j"), SentGroups::default());
        let huge = [family(&key, "x", &text), family(&key, "z", "z 1\n")];
        assert!(sent.ending_series(&key, &huge).is_empty());
        sent.record(Verb::Push, &key, ending_series(&[family(&key, "z", "z 1\n")]));
        assert_eq!(sent.ending_series(&key, &huge).len(), 1);
        sent.record(Verb::Push, &key, ending_series(&[family(&key, "x", "x{v=\"old\"} 1\n")]));
        let series = sent.ending_series(&key, &huge);
        assert_eq!(series.len(), MAX_SERIES + 1);
        assert_eq!(values(sent.ended_by(Verb::Push, &key, &series)), ["old"]);
        sent.record(Verb::Push, &key, series);
        assert_eq!((sent.count, sent.groups.len()), (0, 0));
    }

    #[test]
    fn number_of_remembered_series_is_limited() {
        let mut sent = SentGroups::default();
        for number in 0..=MAX_SERIES {
            let key = key(&number.to_string());
            sent.record(Verb::Push, &key, ending_series(&[family(&key, "x", "x 1\n")]));
        }
        assert_eq!((sent.count, sent.groups.len()), (MAX_SERIES, MAX_SERIES));
    }
}
