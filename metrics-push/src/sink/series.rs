//! The labels and the start time of series, for sinks without groups.

use std::borrow::Cow;

use crate::exposition::{LabelPairs, single_value};
use crate::labels::{GroupingKey, JOB};
use crate::push_request::Payload;

/// Labels, ordered by name. No value is empty.
///
/// A series has few labels, and a push has many series: a sorted list is smaller and faster than a map.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SeriesLabels<'a>(LabelPairs<'a>);

impl<'a> SeriesLabels<'a> {
    /// Adds a label, or replaces the one with this name.
    pub(super) fn set(&mut self, name: &'a str, value: Cow<'a, str>) {
        match self.position(name) {
            Ok(position) => self.0[position].1 = value,
            Err(position) => self.0.insert(position, (name, value)),
        }
    }

    /// Replaces all labels. Reuses the memory.
    #[cfg_attr(
        not(feature = "remote-write"),
        expect(dead_code, reason = "only remote write reuses labels")
    )]
    pub(super) fn reset(&mut self, labels: &Self) {
        self.0.clear();
        self.0.extend_from_slice(&labels.0);
    }

    /// Adds a label, unless its value is empty or there is one with this name.
    #[cfg_attr(
        not(feature = "remote-write"),
        expect(dead_code, reason = "only remote write reuses labels")
    )]
    pub(super) fn set_missing(&mut self, name: &'a str, value: Cow<'a, str>) {
        if let (Err(position), false) = (self.position(name), value.is_empty()) {
            self.0.insert(position, (name, value));
        }
    }

    /// Returns the position of a label, or the position at which it must be inserted.
    fn position(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| (*known).cmp(name))
    }

    #[cfg_attr(
        not(feature = "remote-write"),
        expect(dead_code, reason = "only remote write reads labels in place")
    )]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &str)> {
        self.0.iter().map(|(name, value)| (*name, &**value))
    }
}

impl<'a> FromIterator<(&'a str, Cow<'a, str>)> for SeriesLabels<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, Cow<'a, str>)>>(pairs: I) -> Self {
        let mut labels = Self::default();
        pairs.into_iter().for_each(|(name, value)| labels.set(name, value));
        labels
    }
}

impl<'a> IntoIterator for SeriesLabels<'a> {
    type Item = (&'a str, Cow<'a, str>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Adds the grouping labels to those of a sample. A grouping label replaces a label with the same name, as in a
/// Pushgateway.
pub(super) fn series_labels<'a>(key: &'a GroupingKey, labels: LabelPairs<'a>) -> SeriesLabels<'a> {
    let grouping = key.labels().map(|(name, value)| (name, value.into()));
    let grouping = grouping.chain([(JOB, key.job().into())]);
    let mut all: SeriesLabels<'a> = labels.into_iter().chain(grouping).collect();
    all.0.retain(|(_, value)| !value.is_empty());
    all
}

/// The family with the time when a run started, in seconds.
const RUN_START: &str = "batch_job_last_start_timestamp_seconds";

/// Returns the time at which the counters of a request were zero, in milliseconds since the Unix epoch: the start of the
/// run. `None` if the request is not about a run.
pub(super) fn counting_since(payload: &Payload<'_>) -> Option<u64> {
    let (_, text) = payload.families().find(|(name, _)| *name == RUN_START)?;
    let millis = (single_value(text)? * 1_000.0) as u64;
    (millis <= payload.created_at()).then_some(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grouping_labels_replace_labels_of_samples() {
        let key = GroupingKey::new("import").unwrap().label("region", "eu").unwrap();
        let labels = vec![("region", "us".into()), ("job", "x".into()), ("disk", "a".into())];
        let labels: Vec<_> = series_labels(&key, labels).into_iter().collect();
        assert_eq!(
            labels,
            [("disk", "a".into()), ("job", "import".into()), ("region", "eu".into())]
        );
    }

    #[test]
    fn empty_labels_are_dropped() {
        let key = GroupingKey::new("import").unwrap();
        let labels = series_labels(&key, vec![("disk", "".into())]);
        assert_eq!(labels.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["job"]);
    }
}
