//! What is held how often: answers at once whether everything can be scraped together.
//!
//! The real gateway gathers all it has on each push, so that filling it takes quadratic time. Counting what
//! comes and goes gives the same answer; which problem it is, is left to the slow way.

use std::collections::{BTreeMap, HashMap};

use super::consistency::{fault_of, own_kind, suffix_collision};
use super::family::{Family, Kind, Metric};

/// Counts of what a gateway holds.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Metrics by name and labels.
    metrics: HashMap<String, usize>,
    /// Metrics that are not the only one of their name and labels.
    surplus: usize,
    /// Metrics that could not be scraped even alone.
    unfit: usize,
    /// Families by name and kind.
    kinds: BTreeMap<String, BTreeMap<Kind, usize>>,
}

impl Ledger {
    pub(super) fn add(&mut self, family: &Family, unreadable: Option<&str>) {
        *self.kinds.entry(family.name.clone()).or_default().entry(family.kind).or_default() += 1;
        for metric in &family.metrics {
            self.unfit += usize::from(fault_of(metric, unreadable).is_some());
            let count = self.metrics.entry(identity(family, metric)).or_default();
            self.surplus += usize::from(*count > 0);
            *count += 1;
        }
    }

    /// Takes back an `add` of the same.
    pub(super) fn remove(&mut self, family: &Family, unreadable: Option<&str>) {
        if let Some(kinds) = self.kinds.get_mut(&family.name) {
            decrease(kinds.get_mut(&family.kind));
            kinds.retain(|_, count| *count > 0);
            if kinds.is_empty() {
                self.kinds.remove(&family.name);
            }
        }
        for metric in &family.metrics {
            self.unfit -= usize::from(fault_of(metric, unreadable).is_some());
            let identity = identity(family, metric);
            let left = decrease(self.metrics.get_mut(&identity));
            if left == 0 {
                self.metrics.remove(&identity);
            } else {
                self.surplus -= 1;
            }
        }
    }

    /// Whether a scrape of everything would succeed.
    pub(super) fn is_consistent(&self) -> bool {
        let kind_of =
            |name: &str| own_kind(name).or_else(|| self.kinds.get(name)?.keys().next().copied());
        self.surplus == 0
            && self.unfit == 0
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

/// A text that no other metric has.
fn identity(family: &Family, metric: &Metric) -> String {
    let mut identity = family.name.clone();
    for (name, value) in &metric.labels {
        // Lengths, because a value may have any separator in it.
        identity.push_str(&format!("\n{name}={}:{value}", value.len()));
    }
    identity
}
