//! The labels of a series, for sinks without groups: those of the sample and those of the grouping key.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::exposition::LabelPairs;
use crate::labels::{GroupingKey, JOB};

/// Labels, ordered by name. No value is empty.
pub(super) type SeriesLabels<'a> = BTreeMap<&'a str, Cow<'a, str>>;

/// Adds the grouping labels to those of a sample. A grouping label replaces a label with the same name, as in a
/// Pushgateway.
pub(super) fn series_labels<'a>(key: &'a GroupingKey, labels: LabelPairs<'a>) -> SeriesLabels<'a> {
    let mut all: SeriesLabels<'a> = labels.into_iter().collect();
    all.extend(key.labels().map(|(name, value)| (name, value.into())));
    all.insert(JOB, key.job().into());
    all.retain(|_, value| !value.is_empty());
    all
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
        assert_eq!(labels.into_keys().collect::<Vec<_>>(), ["job"]);
    }
}
