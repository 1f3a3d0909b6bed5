//! `ValidFamily`: a gathered family that Prometheus and the Pushgateway accept. All other metrics become a [`RejectedMetric`].

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::text_encoder::write_family;
use super::text_family::TextFamily;
use crate::error::{Error, Kind};
use crate::label_text::{Rendering, bounded, is_bounded};
use crate::labels::{GroupingKey, RESERVED_METRICS, is_label_name, is_metric_name};
use crate::log;

const BUCKET: &str = "_bucket";

/// The suffixes of the names of the samples of histograms and summaries.
const SAMPLE_SUFFIXES: [&str; 3] = [BUCKET, "_count", "_sum"];

/// A metric that is not pushed, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RejectedMetric {
    metric: String,
    reason: String,
}

impl RejectedMetric {
    pub(super) fn new(metric: &str, reason: impl Into<String>) -> Self {
        Self { metric: metric.to_owned(), reason: reason.into() }
    }

    /// Returns true if a list that is sorted by name contains this metric.
    pub(super) fn contains(sorted: &[Self], metric: &str) -> bool {
        sorted.binary_search_by(|it| it.metric.as_str().cmp(metric)).is_ok()
    }
}

impl fmt::Display for RejectedMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metric {:?} is skipped: {}", self.metric, self.reason)
    }
}

impl From<RejectedMetric> for Error {
    fn from(rejection: RejectedMetric) -> Self {
        Self::new(Kind::Metric, rejection.to_string())
    }
}

/// A family with a valid name. Its series are sorted and unique and have neither timestamps nor empty label values.
#[derive(Clone, Debug)]
pub(super) struct ValidFamily {
    family: MetricFamily,
    /// The names of all labels of its series.
    label_names: BTreeSet<String>,
    /// The series, if `family` has none.
    text: Option<TextFamily>,
}

impl ValidFamily {
    /// Validates a family. Returns `None` and adds a rejection if the family as a whole is invalid.
    pub(super) fn new(
        mut family: MetricFamily,
        rejections: &mut Vec<RejectedMetric>,
    ) -> Option<Self> {
        match check_name(&family).and_then(|()| normalize(&mut family)) {
            Ok((label_names, order)) => {
                let mut valid = Self { family, label_names, text: None };
                if order == SeriesOrder::Unsorted {
                    valid.sort(rejections);
                }
                Some(valid)
            }
            Err(reason) => {
                rejections.push(RejectedMetric::new(family.name(), reason));
                None
            }
        }
    }

    /// Validates a family whose series are text. They are valid, because this crate has registered the metric.
    pub(super) fn from_text(
        family: MetricFamily,
        text: TextFamily,
        rejections: &mut Vec<RejectedMetric>,
    ) -> Option<Self> {
        if let Err(reason) = check_name(&family) {
            rejections.push(RejectedMetric::new(family.name(), reason));
            return None;
        }
        let label_names = text.source.label_names().iter().cloned().collect();
        Some(Self { family, label_names, text: Some(text) })
    }

    /// Returns the family in the text format. If its series are text, they are moved.
    pub(super) fn take_text(&mut self) -> String {
        match self.text.take() {
            Some(family) => family.text,
            None => {
                let mut text = String::new();
                write_family(&self.family, &mut text);
                text
            }
        }
    }

    /// Replaces the text by the series.
    fn read_series(&mut self) {
        if let Some(text) = self.text.take() {
            self.family.set_metric(text.source.metrics());
            let normalized = normalize(&mut self.family);
            debug_assert!(normalized.is_ok(), "a registered metric is valid");
        }
    }

    #[cfg(test)]
    pub(super) fn family(&self) -> &MetricFamily {
        &self.family
    }

    pub(super) fn name(&self) -> &str {
        self.family.name()
    }

    /// Moves the series of another family of the same name. Adds a rejection instead if the types differ.
    pub(super) fn append(&mut self, other: &mut Self, rejections: &mut Vec<RejectedMetric>) {
        let (first, second) = (type_name(&self.family), type_name(&other.family));
        if first != second {
            let reason = format!("{second} of the same name as {first}");
            rejections.push(RejectedMetric::new(self.family.name(), reason));
            return;
        }
        self.read_series();
        other.read_series();
        self.family.mut_metric().append(other.family.mut_metric());
        self.label_names.append(&mut other.label_names);
        self.sort(rejections);
    }

    /// Returns a rejection if a series has a label of the grouping key, which the Pushgateway would silently overwrite.
    pub(super) fn conflict_with(&self, key: &GroupingKey) -> Option<RejectedMetric> {
        let label = self.label_names.iter().find(|label| key.has_label(label))?;
        let reason = format!("label {label:?} is part of the grouping key {key}");
        Some(RejectedMetric::new(self.family.name(), reason))
    }

    /// Returns a rejection if a histogram or summary has samples with the name of this family. `families` are sorted by name.
    pub(super) fn clash_in(&self, families: &[Self]) -> Option<RejectedMetric> {
        SAMPLE_SUFFIXES.iter().find_map(|suffix| {
            let whole = self.name().strip_suffix(suffix)?;
            let position = families.binary_search_by(|it| it.name().cmp(whole)).ok()?;
            let kind = families[position].type_with_samples(suffix)?;
            let reason = format!("a sample of the {kind} {whole:?} has this name");
            Some(RejectedMetric::new(self.name(), reason))
        })
    }

    /// Returns the type of the family if the names of its samples can have this suffix.
    fn type_with_samples(&self, suffix: &str) -> Option<&'static str> {
        match self.family.get_field_type() {
            MetricType::HISTOGRAM => Some("histogram"),
            MetricType::SUMMARY if suffix != BUCKET => Some("summary"),
            _ => None,
        }
    }

    /// Sorts the series. Of several series with the same labels, all but the first are removed and rejected.
    fn sort(&mut self, rejections: &mut Vec<RejectedMetric>) {
        let metrics = self.family.mut_metric();
        let before = metrics.len();
        metrics.sort_by(cmp_labels);
        metrics.dedup_by(|later, first| cmp_labels(later, first).is_eq());
        let duplicates = before - metrics.len();
        if duplicates > 0 {
            let reason = format!("{duplicates} duplicate series");
            rejections.push(RejectedMetric::new(self.family.name(), reason));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SeriesOrder {
    SortedAndUnique,
    Unsorted,
}

fn check_name(family: &MetricFamily) -> Result<(), String> {
    if !is_metric_name(family.name()) {
        return Err("invalid metric name".to_owned());
    }
    if RESERVED_METRICS.contains(&family.name()) {
        return Err("the name is reserved by the Pushgateway".to_owned());
    }
    Ok(())
}

/// Normalizes every series. Returns the names of all labels, and the order of the series.
fn normalize(family: &mut MetricFamily) -> Result<(BTreeSet<String>, SeriesOrder), String> {
    let reserved = match family.get_field_type() {
        MetricType::HISTOGRAM => Some("le"),
        MetricType::SUMMARY => Some("quantile"),
        _ => None,
    };
    let (mut label_names, mut order) = (BTreeSet::new(), SeriesOrder::SortedAndUnique);
    let mut previous: Option<&Metric> = None;
    let name = family.name().to_owned();
    for metric in family.mut_metric() {
        normalize_metric(&name, metric);
        let metric = &*metric;
        // The series of one family usually have the same labels.
        if !previous.is_some_and(|previous| names(previous).eq(names(metric))) {
            check_labels(metric.get_label(), reserved)?;
            label_names.extend(names(metric).map(str::to_owned));
        }
        if previous.is_some_and(|previous| cmp_labels(previous, metric).is_ge()) {
            order = SeriesOrder::Unsorted;
        }
        previous = Some(metric);
    }
    Ok((label_names, order))
}

/// Removes the timestamp and all labels with an empty value, which Prometheus treats as absent. Sorts the other labels and
/// cuts long values.
fn normalize_metric(family: &str, metric: &mut Metric) {
    if metric.timestamp_ms() != 0 {
        metric.set_timestamp_ms(0);
    }
    let labels = metric.get_label();
    // Most metrics are already normalized. Their labels are not moved.
    let is_normalized = labels.is_sorted_by(|left, right| left.name() < right.name())
        && labels.iter().all(|label| !label.value().is_empty() && is_bounded(label.value()));
    if !is_normalized {
        let mut labels = metric.take_label();
        labels.retain(|label| !label.value().is_empty());
        labels.sort_unstable_by(|left, right| left.name().cmp(right.name()));
        labels.iter_mut().for_each(|label| cut_long_value(family, label));
        metric.set_label(labels);
    }
}

fn cut_long_value(family: &str, label: &mut LabelPair) {
    if let Cow::Owned(value) = bounded(label.value()) {
        log_rendering(family, label.name(), Rendering::Cut);
        label.set_value(value);
    }
}

/// Logs that a label does not have the value of the program.
pub(crate) fn log_rendering(metric: &str, label: &str, rendering: Rendering) {
    if let Some(problem) = rendering.problem() {
        log::warn_once(format_args!("label {label:?} of metric {metric:?}: {problem}"));
    }
}

/// Returns an error if Prometheus does not accept these labels, which must be sorted.
fn check_labels(labels: &[LabelPair], reserved: Option<&str>) -> Result<(), String> {
    if let Some([label, ..]) = labels.windows(2).find(|pair| pair[0].name() == pair[1].name()) {
        return Err(format!("duplicate label {:?}", label.name()));
    }
    let is_allowed = |name: &str| is_label_name(name) && Some(name) != reserved;
    match labels.iter().map(LabelPair::name).find(|name| !is_allowed(name)) {
        Some(label) => Err(format!("invalid label name {label:?}")),
        None => Ok(()),
    }
}

fn names(metric: &Metric) -> impl Iterator<Item = &str> {
    metric.get_label().iter().map(LabelPair::name)
}

/// Compares the labels of two series, which must be sorted.
fn cmp_labels(left: &Metric, right: &Metric) -> Ordering {
    fn pairs(metric: &Metric) -> impl Iterator<Item = (&str, &str)> {
        metric.get_label().iter().map(|label| (label.name(), label.value()))
    }
    pairs(left).cmp(pairs(right))
}

/// Returns the type with its article, for messages.
fn type_name(family: &MetricFamily) -> &'static str {
    match family.get_field_type() {
        MetricType::COUNTER => "a counter",
        MetricType::GAUGE => "a gauge",
        MetricType::SUMMARY => "a summary",
        MetricType::UNTYPED => "an untyped metric",
        MetricType::HISTOGRAM => "a histogram",
    }
}
