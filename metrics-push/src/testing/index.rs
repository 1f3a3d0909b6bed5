//! [`MetricIndex`]: counts the stored metrics, so that the consistency check is fast.
//!
//! The real gateway gathers all metrics on each push, which makes filling it quadratic. The index gives the same result. If
//! it finds a problem, `consistency.rs` gathers all metrics to describe it.

use std::collections::{BTreeMap, HashMap};

use super::consistency::{builtin_kind, metric_problem, suffix_collision};
use super::family::{Family, Kind, Metric};

/// Counts of the metrics and families in a gateway.
#[derive(Debug, Default)]
pub(super) struct MetricIndex {
    /// The number of metrics by name and labels.
    metrics: HashMap<String, usize>,
    /// The number of metrics that repeat the name and labels of another one.
    duplicates: usize,
    /// The number of metrics that are invalid regardless of other metrics.
    invalid: usize,
    /// The number of families by name and kind.
    kinds: BTreeMap<String, BTreeMap<Kind, usize>>,
}

impl MetricIndex {
    pub(super) fn add(&mut self, family: &Family, invalid_label: Option<&str>) {
        *self.kinds.entry(family.name.clone()).or_default().entry(family.kind).or_default() += 1;
        for metric in &family.metrics {
            self.invalid += usize::from(metric_problem(metric, invalid_label).is_some());
            let count = self.metrics.entry(identity(family, metric)).or_default();
            self.duplicates += usize::from(*count > 0);
            *count += 1;
        }
    }

    /// Reverts [`add`](Self::add).
    pub(super) fn remove(&mut self, family: &Family, invalid_label: Option<&str>) {
        if let Some(kinds) = self.kinds.get_mut(&family.name) {
            decrease(kinds.get_mut(&family.kind));
            kinds.retain(|_, count| *count > 0);
            if kinds.is_empty() {
                self.kinds.remove(&family.name);
            }
        }
        for metric in &family.metrics {
            self.invalid -= usize::from(metric_problem(metric, invalid_label).is_some());
            let identity = identity(family, metric);
            let left = decrease(self.metrics.get_mut(&identity));
            if left == 0 {
                self.metrics.remove(&identity);
            } else {
                self.duplicates -= 1;
            }
        }
    }

    /// Returns true if a scrape of everything would succeed.
    pub(super) fn is_consistent(&self) -> bool {
        let kind_of = |name: &str| {
            builtin_kind(name).or_else(|| self.kinds.get(name)?.keys().next().copied())
        };
        self.duplicates == 0
            && self.invalid == 0
            && self.kinds.iter().all(|(name, kinds)| {
                let kind = kind_of(name);
                kinds.keys().all(|other| Some(*other) == kind)
                    && kind.is_none_or(|kind| suffix_collision(name, kind, kind_of).is_none())
            })
    }
}

fn decrease(count: Option<&mut usize>) -> usize {
    count.map_or(0, |count| {
        *count -= 1;
        *count
    })
}

/// Returns a text that is unique to the name and labels of a metric.
fn identity(family: &Family, metric: &Metric) -> String {
    let mut identity = family.name.clone();
    for (name, value) in &metric.labels {
        // The length makes it unique: a value can contain any separator.
        identity.push_str(&format!("\n{name}={}:{value}", value.len()));
    }
    identity
}
