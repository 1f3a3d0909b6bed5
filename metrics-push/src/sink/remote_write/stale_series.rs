//! `SentGroups`: which series were sent, so that stale markers end those that a later request does not have.
//!
//! Receivers have no groups: without a stale marker, a query returns the last sample for another five minutes. The state
//! directory contains the series for later processes.

use std::collections::HashMap;

use super::time_series::SeriesFamily;
use crate::labels::GroupingKey;
use crate::push_request::{Verb, is_event_time};
use crate::sink::interface::{RecordSeries, SeriesSet};
use crate::sync::Mutex;

/// The maximum number of series that are remembered. The series of further groups get no stale markers.
const MAX_SERIES: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct SentGroups(Mutex<SeriesByGroup>);

#[derive(Debug, Default)]
struct SeriesByGroup {
    series: HashMap<GroupingKey, GroupSeries>,
    /// The number of series of all groups.
    count: usize,
}

/// The series of one group.
#[derive(Debug)]
struct GroupSeries {
    series: SeriesSet,
    /// True if the state directory could not be read: another process may send the group as well.
    may_be_shared: bool,
}

impl SentGroups {
    /// Returns the series of a request that can end. If the request has too many series to remember, returns only those of the
    /// families that the group already has.
    pub(super) fn ending_series(
        &self,
        key: &GroupingKey,
        families: &[SeriesFamily<'_>],
    ) -> SeriesSet {
        let has_too_many = families.iter().flat_map(SeriesFamily::lines).nth(MAX_SERIES).is_some();
        if !has_too_many {
            return ending_series(families);
        }
        let groups = self.0.lock();
        let Some(sent) = groups.series.get(key) else { return SeriesSet::new() };
        // A line starts with the name of its family, which may have a suffix.
        let has_family = |name: &str| sent.series.iter().any(|line| line.starts_with(name));
        ending_series(families.iter().filter(|family| has_family(family.name)))
    }

    /// Returns the series that a request ends.
    pub(super) fn ended_by(&self, verb: Verb, key: &GroupingKey, series: &SeriesSet) -> SeriesSet {
        let groups = self.0.lock();
        let Some(sent) = groups.series.get(key) else { return SeriesSet::new() };
        match verb {
            Verb::Delete => sent.series.clone(),
            Verb::Push if !sent.may_be_shared => sent.series.difference(series).cloned().collect(),
            Verb::Add | Verb::Push => SeriesSet::new(),
        }
    }

    /// Records a request that the receiver has accepted.
    pub(super) fn record(&self, verb: Verb, key: &GroupingKey, mut series: SeriesSet) {
        let mut groups = self.0.lock();
        let mut sent = groups.remove(key);
        if verb != Verb::Add {
            sent.clear();
        }
        sent.append(&mut series);
        groups.insert(key, sent);
    }
}

impl RecordSeries for SentGroups {
    fn restore(&self, key: &GroupingKey, series: Option<SeriesSet>) {
        let mut groups = self.0.lock();
        if let Some(series) = series {
            groups.remove(key);
            groups.insert(key, series);
        } else if let Some(sent) = groups.series.get_mut(key) {
            sent.may_be_shared = true;
        }
    }

    fn series(&self, key: &GroupingKey) -> SeriesSet {
        let groups = self.0.lock();
        groups.series.get(key).map(|sent| sent.series.clone()).unwrap_or_default()
    }
}

impl SeriesByGroup {
    fn remove(&mut self, key: &GroupingKey) -> SeriesSet {
        let series = self.series.remove(key).map(|sent| sent.series).unwrap_or_default();
        self.count -= series.len();
        series
    }

    /// Adds the series of a group, unless there are too many.
    fn insert(&mut self, key: &GroupingKey, series: SeriesSet) {
        if !series.is_empty() && self.count + series.len() <= MAX_SERIES {
            self.count += series.len();
            self.series.insert(key.clone(), GroupSeries { series, may_be_shared: false });
        }
    }
}

/// Returns all series that can end. Times of events do not end, because they remain true.
fn ending_series<'f, 'a: 'f>(
    families: impl IntoIterator<Item = &'f SeriesFamily<'a>>,
) -> SeriesSet {
    let mut all = Vec::new();
    for family in families.into_iter().filter(|family| !is_event_time(family.name)) {
        let mut series = family.reader();
        while let Some(Ok(series)) = series.next() {
            all.push(series.ended());
        }
    }
    all.into_iter().collect()
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
    fn values(series: SeriesSet) -> Vec<String> {
        let value = |line: &String| line.split_once("v=\"")?.1.split('"').next().map(str::to_owned);
        series.iter().filter_map(value).collect()
    }

    fn counts(sent: &SentGroups) -> (usize, usize) {
        let groups = sent.0.lock();
        (groups.count, groups.series.len())
    }

    #[test]
    fn push_ends_the_series_that_it_does_not_have() {
        let (key, sent) = (key("j"), SentGroups::default());
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
        assert_eq!(counts(&sent), (0, 0));
    }

    #[test]
    fn push_ends_the_restored_series_that_it_does_not_have() {
        let (key, sent) = (key("j"), SentGroups::default());
        let both = ending_series(&[family(&key, "x", "x{v=\"1\"} 1\nx{v=\"2\"} 1\n")]);
        let one = ending_series(&[family(&key, "x", "x{v=\"2\"} 5\n")]);
        sent.restore(&key, Some(both.clone()));
        assert_eq!(sent.series(&key), both);
        assert_eq!(values(sent.ended_by(Verb::Push, &key, &one)), ["1"]);
        sent.restore(&key, Some(SeriesSet::new()));
        assert!(sent.ended_by(Verb::Push, &key, &one).is_empty());
        assert_eq!(counts(&sent), (0, 0));
    }

    #[test]
    fn only_a_delete_ends_series_if_the_state_directory_cannot_be_read() {
        let (key, sent) = (key("j"), SentGroups::default());
        let both = ending_series(&[family(&key, "x", "x{v=\"1\"} 1\nx{v=\"2\"} 1\n")]);
        let one = ending_series(&[family(&key, "x", "x{v=\"2\"} 5\n")]);
        sent.restore(&key, None);
        sent.record(Verb::Push, &key, both);
        sent.restore(&key, None);
        assert!(sent.ended_by(Verb::Push, &key, &one).is_empty());
        assert_eq!(values(sent.ended_by(Verb::Delete, &key, &SeriesSet::new())), ["1", "2"]);
        sent.record(Verb::Push, &key, one.clone());
        assert_eq!(values(sent.ended_by(Verb::Delete, &key, &SeriesSet::new())), ["2"]);
    }

    #[test]
    fn times_of_events_do_not_end() {
        let (key, sent) = (key("j"), SentGroups::default());
        let name = "batch_job_last_failure_timestamp_seconds";
        let text = format!("{name} 1\n");
        sent.record(Verb::Add, &key, ending_series(&[family(&key, name, &text)]));
        assert!(sent.ended_by(Verb::Push, &key, &SeriesSet::new()).is_empty());
    }

    #[test]
    fn series_of_a_huge_request_are_collected_only_to_end_earlier_ones() {
        let text: String =
            (0..=MAX_SERIES).map(|number| format!("x{{v=\"{number}\"}} 1\n")).collect();
        let (key, sent) = (key("j"), SentGroups::default());
        let huge = [family(&key, "x", &text), family(&key, "z", "z 1\n")];
        assert!(sent.ending_series(&key, &huge).is_empty());
        sent.record(Verb::Push, &key, ending_series(&[family(&key, "z", "z 1\n")]));
        assert_eq!(sent.ending_series(&key, &huge).len(), 1);
        sent.record(Verb::Push, &key, ending_series(&[family(&key, "x", "x{v=\"old\"} 1\n")]));
        let series = sent.ending_series(&key, &huge);
        assert_eq!(series.len(), MAX_SERIES + 1);
        assert_eq!(values(sent.ended_by(Verb::Push, &key, &series)), ["old"]);
        sent.record(Verb::Push, &key, series);
        assert_eq!(counts(&sent), (0, 0));
    }

    #[test]
    fn number_of_remembered_series_is_limited() {
        let sent = SentGroups::default();
        for number in 0..=MAX_SERIES {
            let key = key(&number.to_string());
            sent.record(Verb::Push, &key, ending_series(&[family(&key, "x", "x 1\n")]));
        }
        assert_eq!(counts(&sent), (MAX_SERIES, MAX_SERIES));
    }
}
