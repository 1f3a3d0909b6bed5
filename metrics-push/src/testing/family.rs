//! Metric families as the gateway stores them, and the samples that a scrape returns.
//!
//! A histogram or summary is stored as one metric, because a push replaces it as a whole. [`Family::samples`] turns it into
//! the lines of its exposition.

use std::collections::BTreeMap;
use std::fmt;

use super::go_format::format_float;

/// The labels of a metric, sorted by name.
pub(super) type LabelMap = BTreeMap<String, String>;

/// The type of a family, from its `TYPE` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A number that only increases.
    Counter,
    /// A number that increases and decreases.
    Gauge,
    /// A number without a `TYPE` line.
    Untyped,
    /// Counts in buckets, with a count and a sum.
    Histogram,
    /// Quantiles, with a count and a sum.
    Summary,
}

impl Kind {
    /// Parses the word of a `TYPE` line, in upper or lower case.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Counter, Self::Gauge, Self::Untyped, Self::Histogram, Self::Summary]
            .into_iter()
            .find(|kind| kind.word().eq_ignore_ascii_case(word))
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Untyped => "untyped",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }

    pub(super) const fn has_suffixes(self) -> bool {
        matches!(self, Self::Histogram | Self::Summary)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// All metrics with one name in one group.
///
/// `Display` prints the family in the Prometheus text format.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Family {
    /// The name, without the suffixes that the samples of a histogram or summary have.
    pub name: String,
    /// The text of the `HELP` line. It is empty if there was no such line.
    pub help: String,
    /// The type, from the `TYPE` line.
    pub kind: Kind,
    pub(super) metrics: Vec<Metric>,
}

/// One metric: its labels and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Metric {
    pub(super) labels: LabelMap,
    pub(super) value: MetricValue,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum MetricValue {
    Number(f64),
    Histogram { buckets: Vec<(f64, u64)>, sum: f64, count: u64 },
    Summary { quantiles: Vec<(f64, f64)>, sum: f64, count: u64 },
}

impl MetricValue {
    pub(super) const fn empty(kind: Kind) -> Self {
        match kind {
            Kind::Histogram => Self::Histogram { buckets: Vec::new(), sum: 0.0, count: 0 },
            Kind::Summary => Self::Summary { quantiles: Vec::new(), sum: 0.0, count: 0 },
            Kind::Counter | Kind::Gauge | Kind::Untyped => Self::Number(0.0),
        }
    }
}

/// One line of an exposition, which `Display` prints.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// The name, with the suffix of a histogram or summary.
    pub name: String,
    /// The labels of the metric and of the group, and `le` or `quantile`.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
    /// The label that is printed last, regardless of its name: `le` or `quantile`.
    pub(super) last: Option<&'static str>,
}

impl Family {
    /// Returns the samples in the order of the exposition. A histogram without a `+Inf` bucket gets one.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        self.metrics.iter().flat_map(|metric| self.metric_samples(metric)).collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "the text format has only floats")]
    pub(super) fn metric_samples(&self, metric: &Metric) -> Vec<Sample> {
        let sample = |suffix: &str, extra: Option<(&'static str, f64)>, value: f64| {
            let mut labels = metric.labels.clone();
            labels.extend(extra.map(|(name, bound)| (name.to_owned(), format_float(bound))));
            let last = extra.map(|(name, _)| name);
            Sample { name: format!("{}{suffix}", self.name), labels, value, last }
        };
        match &metric.value {
            MetricValue::Number(value) => vec![sample("", None, *value)],
            MetricValue::Histogram { buckets, sum, count } => {
                let has_last = buckets.iter().any(|(bound, _)| *bound == f64::INFINITY);
                let last = (!has_last).then_some((f64::INFINITY, *count));
                let bucket = |&(bound, count): &(f64, u64)| {
                    sample("_bucket", Some(("le", bound)), count as f64)
                };
                let mut samples: Vec<_> = buckets.iter().chain(&last).map(bucket).collect();
                samples.extend([sample("_sum", None, *sum), sample("_count", None, *count as f64)]);
                samples
            }
            MetricValue::Summary { quantiles, sum, count } => {
                let quantile =
                    |&(rank, value): &(f64, f64)| sample("", Some(("quantile", rank)), value);
                let mut samples: Vec<_> = quantiles.iter().map(quantile).collect();
                samples.extend([sample("_sum", None, *sum), sample("_count", None, *count as f64)]);
                samples
            }
        }
    }
}
