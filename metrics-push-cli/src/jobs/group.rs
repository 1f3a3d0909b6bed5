//! `Group`: the stored metrics of one job with one set of grouping labels, whatever server has stored them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use metrics_push::{StoredGroup, StoredMetric, StoredValue};

const START: &str = "batch_job_last_start_timestamp_seconds";
const COMPLETION: &str = "batch_job_last_completion_timestamp_seconds";

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Group {
    /// The grouping labels, including `job`.
    pub(crate) labels: BTreeMap<String, String>,
    /// Whether the server rejected the last push.
    pub(crate) is_refused: bool,
    /// The metrics by the name of their family.
    pub(crate) families: BTreeMap<String, Vec<Metric>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metric {
    /// The labels without the grouping labels and without empty ones.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: StoredValue,
}

impl Group {
    /// Returns the value of the metric with exactly these labels.
    pub(crate) fn value(&self, family: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let metrics = self.families.get(family)?;
        let has_labels = |metric: &&Metric| {
            metric.labels.len() == labels.len()
                && labels.iter().all(|(name, value)| {
                    metric.labels.get(*name).is_some_and(|found| found == value)
                })
        };
        metrics.iter().find(has_labels).and_then(Metric::single)
    }

    /// Returns the values of a family by the value of one label.
    pub(crate) fn values_by(&self, family: &str, label: &str) -> Vec<(String, f64)> {
        let metrics = self.families.get(family).map_or(&[][..], Vec::as_slice);
        let entry = |metric: &Metric| Some((metric.labels.get(label)?.clone(), metric.single()?));
        metrics.iter().filter_map(entry).collect()
    }

    /// When the server accepted the last push, by its clock.
    pub(crate) fn pushed_at(&self) -> Option<f64> {
        self.value("push_time_seconds", &[]).filter(|seconds| *seconds > 0.0)
    }

    /// When the newest run started, and when it ended.
    fn newest_run(&self) -> [f64; 2] {
        [START, COMPLETION].map(|family| self.value(family, &[]).unwrap_or(f64::NEG_INFINITY))
    }
}

impl Metric {
    /// Returns the value of a counter or a gauge.
    pub(crate) fn single(&self) -> Option<f64> {
        match self.value {
            StoredValue::Single(value) => Some(value),
            _ => None,
        }
    }
}

impl From<StoredGroup> for Group {
    fn from(group: StoredGroup) -> Self {
        let labels = group.labels;
        let metric = |StoredMetric { labels: mut own, value, .. }: StoredMetric| {
            own.retain(|name, value| !labels.contains_key(name) && !value.is_empty());
            Metric { labels: own, value }
        };
        let families = group
            .families
            .into_iter()
            .map(|(name, family)| (name, family.metrics.into_iter().map(metric).collect()));
        let families = families.collect();
        Self { is_refused: !group.last_push_successful, families, labels }
    }
}

/// Keeps the group with the newest run of those with the same labels.
pub(super) fn newest_by_labels(groups: impl IntoIterator<Item = Group>) -> Vec<Group> {
    let mut newest: BTreeMap<BTreeMap<String, String>, Group> = BTreeMap::new();
    for group in groups {
        match newest.entry(group.labels.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(group);
            }
            Entry::Occupied(mut entry) => {
                if entry.get().newest_run() < group.newest_run() {
                    entry.insert(group);
                }
            }
        }
    }
    newest.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(job: &str, start: f64) -> Group {
        let metric = Metric { labels: BTreeMap::new(), value: StoredValue::Single(start) };
        Group {
            labels: [("job".to_owned(), job.to_owned())].into(),
            families: [(START.to_owned(), vec![metric])].into(),
            ..Group::default()
        }
    }

    #[test]
    fn group_with_the_newest_run_wins() {
        let groups = [group("a", 1.0), group("b", 5.0), group("a", 3.0), group("a", 2.0)];
        assert_eq!(newest_by_labels(groups), [group("a", 3.0), group("b", 5.0)]);
    }

    #[test]
    fn value_needs_exactly_the_labels() {
        let metric = |result: &str, value| Metric {
            labels: [("result".to_owned(), result.to_owned())].into(),
            value: StoredValue::Single(value),
        };
        let families = [("records".to_owned(), vec![metric("failed", 1.0), metric("ok", 2.0)])];
        let group = Group { families: families.into(), ..Group::default() };
        assert_eq!(group.value("records", &[("result", "ok")]), Some(2.0));
        assert_eq!(group.value("records", &[]), None);
        assert_eq!(group.value("others", &[]), None);
        let all = [("failed".to_owned(), 1.0), ("ok".to_owned(), 2.0)];
        assert_eq!(group.values_by("records", "result"), all);
    }
}
