//! Metric families as a gateway holds them, and the flat samples that a reader sees.
//!
//! Inside, a histogram or summary is one metric, because that is what a push replaces and what
//! must be unique; outside, it is the lines of its exposition.

use std::collections::BTreeMap;
use std::fmt;

use super::go_format::print_float;

/// The labels of a metric, sorted by name.
pub(super) type Labels = BTreeMap<String, String>;

/// What a family's `TYPE` line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A number that only grows.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// A number of which nothing is known: it came without a `TYPE` line.
    Untyped,
    /// Counts in buckets, with their sum.
    Histogram,
    /// Quantiles, with a count and a sum.
    Summary,
}

impl Kind {
    /// The kind that a `TYPE` line names, in any case.
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

/// All metrics of one name in one group.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Family {
    /// The name, without the suffixes of a histogram's or summary's samples.
    pub name: String,
    /// The text of the `HELP` line; empty if there was none.
    pub help: String,
    /// What the `TYPE` line said.
    pub kind: Kind,
    pub(super) metrics: Vec<Metric>,
}

/// One metric: its labels and everything below them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Metric {
    pub(super) labels: Labels,
    pub(super) value: Value,
}

/// What a metric holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Number(f64),
    Histogram { buckets: Vec<(f64, u64)>, sum: f64, count: u64 },
    Summary { quantiles: Vec<(f64, f64)>, sum: f64, count: u64 },
}

impl Value {
    pub(super) const fn empty(kind: Kind) -> Self {
        match kind {
            Kind::Histogram => Self::Histogram { buckets: Vec::new(), sum: 0.0, count: 0 },
            Kind::Summary => Self::Summary { quantiles: Vec::new(), sum: 0.0, count: 0 },
            Kind::Counter | Kind::Gauge | Kind::Untyped => Self::Number(0.0),
        }
    }
}

/// One line of an exposition.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// The name, with its suffix.
    pub name: String,
    /// All labels: those of the metric, the group's, and `le` or `quantile`.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
    /// The label that an exposition has at the end, out of order: `le` or `quantile`.
    pub(super) last: Option<&'static str>,
}

impl Family {
    /// The samples in the order of an exposition; a histogram without a `+Inf` bucket gets one.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        self.metrics.iter().flat_map(|metric| self.samples_of(metric)).collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "the text format knows nothing but floats")]
    pub(super) fn samples_of(&self, metric: &Metric) -> Vec<Sample> {
        let sample = |suffix: &str, extra: Option<(&'static str, f64)>, value: f64| {
            let mut labels = metric.labels.clone();
            labels.extend(extra.map(|(name, bound)| (name.to_owned(), print_float(bound))));
            let last = extra.map(|(name, _)| name);
            Sample { name: format!("{}{suffix}", self.name), labels, value, last }
        };
        match &metric.value {
            Value::Number(value) => vec![sample("", None, *value)],
            Value::Histogram { buckets, sum, count } => {
                let has_last = buckets.iter().any(|(bound, _)| *bound == f64::INFINITY);
                let last = (!has_last).then_some((f64::INFINITY, *count));
                let bucket = |&(bound, count): &(f64, u64)| {
                    sample("_bucket", Some(("le", bound)), count as f64)
                };
                let mut samples: Vec<_> = buckets.iter().chain(&last).map(bucket).collect();
                samples.extend([sample("_sum", None, *sum), sample("_count", None, *count as f64)]);
                samples
            }
            Value::Summary { quantiles, sum, count } => {
                let quantile =
                    |&(rank, value): &(f64, f64)| sample("", Some(("quantile", rank)), value);
                let mut samples: Vec<_> = quantiles.iter().map(quantile).collect();
                samples.extend([sample("_sum", None, *sum), sample("_count", None, *count as f64)]);
                samples
            }
        }
    }
}
