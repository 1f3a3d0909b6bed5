//! Encodes families as delimited protobuf: a sequence of `io.prometheus.client.MetricFamily`, each prefixed with its
//! length.
//!
//! The message types are few, small and stable, so they are encoded by hand. The input is the text of a `PushRequest`.
//! If a family is not in the form that this crate writes, [`encode`] returns `None`, and the request is sent as text.

use std::collections::HashMap;

use crate::exposition::{EncodedFamily, LabelPairs, MetricType, Sample};
use crate::sink::proto::{delimited, double, message, number, string};

/// Encodes families, given as names and texts; `None` if a text cannot be parsed.
pub(super) fn encode<'a>(families: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    for (name, text) in families {
        delimited(&mut body, |message| write_family(message, name, text))?;
    }
    Some(body)
}

/// Returns the number of a type in the enum `MetricType` of the protocol.
const fn type_number(metric_type: MetricType) -> u64 {
    match metric_type {
        MetricType::Counter => 0,
        MetricType::Gauge => 1,
        MetricType::Summary => 2,
        MetricType::Untyped => 3,
        MetricType::Histogram => 4,
    }
}

/// Returns the field of the message `Metric` that contains the value.
const fn value_field(metric_type: MetricType) -> u8 {
    match metric_type {
        MetricType::Gauge => 2,
        MetricType::Counter => 3,
        MetricType::Summary => 4,
        MetricType::Untyped => 5,
        MetricType::Histogram => 7,
    }
}

fn write_family(message: &mut Vec<u8>, name: &str, text: &str) -> Option<()> {
    let family = EncodedFamily::parse(text)?;
    let metric_type = family.metric_type;
    string(message, 1, name);
    if let Some(help) = &family.help {
        string(message, 2, help);
    }
    number(message, 3, type_number(metric_type));
    let mut samples = family.samples();
    match metric_type {
        MetricType::Counter | MetricType::Gauge | MetricType::Untyped => {
            samples.try_for_each(|sample| write_single(message, metric_type, &sample?))
        }
        MetricType::Histogram | MetricType::Summary => {
            let mut distributions = Distributions::default();
            samples.try_for_each(|sample| distributions.add(name, metric_type, sample?))?;
            distributions.list.iter().for_each(|distribution| {
                distribution.write(message, metric_type);
            });
            Some(())
        }
    }
}

/// The histograms or summaries of a family. In the text, each consists of several samples.
#[derive(Default)]
struct Distributions<'a> {
    list: Vec<Distribution<'a>>,
    positions: HashMap<LabelPairs<'a>, usize>,
}

#[derive(Default)]
struct Distribution<'a> {
    labels: LabelPairs<'a>,
    count: u64,
    sum: f64,
    /// Upper bounds and cumulative counts.
    buckets: Vec<(f64, u64)>,
    /// Quantiles and values.
    quantiles: Vec<(f64, f64)>,
}

impl<'a> Distributions<'a> {
    fn add(&mut self, family: &str, metric_type: MetricType, mut sample: Sample<'a>) -> Option<()> {
        match (sample.name.strip_prefix(family)?, metric_type) {
            ("_count", _) => self.entry(&sample).count = sample.count()?,
            ("_sum", _) => self.entry(&sample).sum = sample.number()?,
            ("_bucket", MetricType::Histogram) => {
                let bound = sample.take_number("le")?;
                self.entry(&sample).buckets.push((bound, sample.count()?));
            }
            ("", MetricType::Summary) => {
                let quantile = sample.take_number("quantile")?;
                self.entry(&sample).quantiles.push((quantile, sample.number()?));
            }
            _ => return None,
        }
        Some(())
    }

    /// Returns the distribution with the labels of the sample, after inserting one if there is none.
    fn entry(&mut self, sample: &Sample<'a>) -> &mut Distribution<'a> {
        let next = self.list.len();
        let position = *self.positions.entry(sample.labels.clone()).or_insert(next);
        if position == next {
            self.list.push(Distribution { labels: sample.labels.clone(), ..Default::default() });
        }
        &mut self.list[position]
    }
}

impl Distribution<'_> {
    fn write(&self, family: &mut Vec<u8>, metric_type: MetricType) {
        message(family, 4, |metric| {
            write_labels(metric, &self.labels);
            message(metric, value_field(metric_type), |value| {
                number(value, 1, self.count);
                double(value, 2, self.sum);
                for (bound, count) in &self.buckets {
                    message(value, 3, |bucket| {
                        number(bucket, 1, *count);
                        double(bucket, 2, *bound);
                    });
                }
                for (quantile, quantile_value) in &self.quantiles {
                    message(value, 3, |message| {
                        double(message, 1, *quantile);
                        double(message, 2, *quantile_value);
                    });
                }
            });
        });
    }
}

/// Writes a metric with a single value.
fn write_single(family: &mut Vec<u8>, metric_type: MetricType, sample: &Sample<'_>) -> Option<()> {
    let number = sample.number()?;
    message(family, 4, |metric| {
        write_labels(metric, &sample.labels);
        message(metric, value_field(metric_type), |value| double(value, 1, number));
    });
    Some(())
}

fn write_labels(metric: &mut Vec<u8>, labels: &LabelPairs<'_>) {
    for (name, value) in labels {
        message(metric, 1, |label| {
            string(label, 1, name);
            string(label, 2, value);
        });
    }
}
