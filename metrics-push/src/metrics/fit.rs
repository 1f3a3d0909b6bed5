//! Fit: a metric family as it may go on the wire, and what had to be left out for that.
//!
//! All is looked at in one go and a few metrics at a time: memory is what very many of them wait for.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use super::near::{BATCH, bring_near};
use super::proto::{LabelPair, Metric, MetricFamily, MetricType};
use crate::error::{Error, Kind};
use crate::labels::{GroupingKey, RESERVED_METRICS, is_label_name, is_metric_name};

/// A metric that can't go on the wire, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    metric: String,
    reason: String,
}

impl Refusal {
    pub(super) fn new(metric: &str, reason: impl Into<String>) -> Self {
        Self { metric: metric.to_owned(), reason: reason.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metric {:?} is left out: {}", self.metric, self.reason)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(Kind::Metric, refusal.to_string())
    }
}

/// A family with a proper name, whose series are sorted, each once, without timestamps and empty labels.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    family: MetricFamily,
    /// The names of all labels of its series.
    labels: BTreeSet<String>,
}

impl Fit {
    /// A family made fit; none, if that can't be.
    pub(super) fn of(mut family: MetricFamily, refusals: &mut Vec<Refusal>) -> Option<Self> {
        match check_name(&family).and_then(|()| tidy(&mut family)) {
            Ok((labels, is_sorted)) => {
                let mut fit = Self { family, labels };
                if !is_sorted {
                    fit.sort(refusals);
                }
                Some(fit)
            }
            Err(reason) => {
                refusals.push(Refusal::new(family.name(), reason));
                None
            }
        }
    }

    pub(super) fn family(&self) -> &MetricFamily {
        &self.family
    }

    /// Takes in the series of another of the same name, unless the types differ.
    pub(super) fn append(&mut self, mut other: Self, refusals: &mut Vec<Refusal>) {
        let (has, comes) = (type_name(&self.family), type_name(&other.family));
        if has != comes {
            let reason = format!("it comes as a {comes}, and there is a {has} of that name");
            refusals.push(Refusal::new(self.family.name(), reason));
            return;
        }
        self.family.mut_metric().append(other.family.mut_metric());
        self.labels.append(&mut other.labels);
        self.sort(refusals);
    }

    /// Why it can't be in this group: the gateway would overwrite a label of the key without a word.
    pub(super) fn clash(&self, key: &GroupingKey) -> Option<Refusal> {
        let label = self.labels.iter().find(|label| key.has_label(label))?;
        let reason = format!("its label {label:?} belongs to the grouping key {key}");
        Some(Refusal::new(self.family.name(), reason))
    }

    /// Sorts the series and keeps the first of equal ones.
    fn sort(&mut self, refusals: &mut Vec<Refusal>) {
        let metrics = self.family.mut_metric();
        let before = metrics.len();
        metrics.sort_by(by_labels);
        metrics.dedup_by(|later, first| by_labels(later, first).is_eq());
        let repeated = before - metrics.len();
        if repeated > 0 {
            let reason = format!("{repeated} of its series came twice");
            refusals.push(Refusal::new(self.family.name(), reason));
        }
    }
}

fn check_name(family: &MetricFamily) -> Result<(), String> {
    if !is_metric_name(family.name()) {
        return Err("that is no name for a metric".to_owned());
    }
    if RESERVED_METRICS.contains(&family.name()) {
        return Err("the gateway keeps that name for itself".to_owned());
    }
    Ok(())
}

/// Tidies each metric, and tells which labels there are and whether the series are sorted, each once.
fn tidy(family: &mut MetricFamily) -> Result<(BTreeSet<String>, bool), String> {
    let reserved = match family.get_field_type() {
        MetricType::HISTOGRAM => Some("le"),
        MetricType::SUMMARY => Some("quantile"),
        _ => None,
    };
    let (mut labels, mut is_sorted) = (BTreeSet::new(), true);
    let metrics = family.mut_metric();
    for place in 0..metrics.len() {
        if place % BATCH == 0 {
            bring_near(&metrics[place..metrics.len().min(place + BATCH)]);
        }
        tidy_metric(&mut metrics[place]);
        let metric = &metrics[place];
        let before = place.checked_sub(1).map(|place| &metrics[place]);
        // Series of one family have the same labels, as a rule.
        if !before.is_some_and(|before| names(before).eq(names(metric))) {
            check_labels(metric.get_label(), reserved)?;
            labels.extend(names(metric).map(str::to_owned));
        }
        is_sorted &= before.is_none_or(|before| by_labels(before, metric).is_lt());
    }
    Ok((labels, is_sorted))
}

/// Takes away the timestamp and labels without a value, which are as good as absent, and sorts the others.
fn tidy_metric(metric: &mut Metric) {
    if metric.timestamp_ms() != 0 {
        metric.set_timestamp_ms(0);
    }
    let labels = metric.get_label();
    // Nearly all are tidy from the start.
    let is_tidy = labels.is_sorted_by(|left, right| left.name() < right.name())
        && labels.iter().all(|label| !label.value().is_empty());
    if !is_tidy {
        let mut labels = metric.take_label();
        labels.retain(|label| !label.value().is_empty());
        labels.sort_by(|left, right| left.name().cmp(right.name()));
        metric.set_label(labels);
    }
}

/// Refuses labels that Prometheus would refuse. They are sorted.
fn check_labels(labels: &[LabelPair], reserved: Option<&str>) -> Result<(), String> {
    if let Some([label, ..]) = labels.windows(2).find(|pair| pair[0].name() == pair[1].name()) {
        return Err(format!("it has the label {:?} twice", label.name()));
    }
    let is_allowed = |name: &str| is_label_name(name) && Some(name) != reserved;
    match labels.iter().map(LabelPair::name).find(|name| !is_allowed(name)) {
        Some(label) => Err(format!("its label {label:?} is not allowed")),
        None => Ok(()),
    }
}

fn names(metric: &Metric) -> impl Iterator<Item = &str> {
    metric.get_label().iter().map(LabelPair::name)
}

/// Only labels that are sorted can be compared like this.
fn by_labels(left: &Metric, right: &Metric) -> Ordering {
    fn pairs(metric: &Metric) -> impl Iterator<Item = (&str, &str)> {
        metric.get_label().iter().map(|label| (label.name(), label.value()))
    }
    pairs(left).cmp(pairs(right))
}

fn type_name(family: &MetricFamily) -> &'static str {
    match family.get_field_type() {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::SUMMARY => "summary",
        MetricType::UNTYPED => "untyped metric",
        MetricType::HISTOGRAM => "histogram",
    }
}
