//! Encodes families as delimited protobuf: a sequence of `io.prometheus.client.MetricFamily`, each prefixed with its
//! length.
//!
//! The message types are few, small and stable, so they are encoded by hand. The input is the text of a `PushRequest`.
//! If a family is not in the form that this crate writes, [`encode`] returns `None`, and the request is sent as text.

use crate::exposition::{Distribution, EncodedFamily, LabelPairs, MetricType, Sample};
use crate::sink::proto::{delimited, double, label, message, number, string};

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
    match metric_type {
        MetricType::Counter | MetricType::Gauge | MetricType::Untyped => {
            family.samples().try_for_each(|sample| write_single(message, metric_type, &sample?))
        }
        MetricType::Histogram | MetricType::Summary => {
            for distribution in &Distribution::read_all(name, &family)? {
                write_distribution(message, metric_type, distribution);
            }
            Some(())
        }
    }
}

fn write_distribution(
    family: &mut Vec<u8>,
    metric_type: MetricType,
    distribution: &Distribution<'_>,
) {
    message(family, 4, |metric| {
        write_labels(metric, &distribution.labels);
        message(metric, value_field(metric_type), |value| {
            number(value, 1, distribution.count);
            double(value, 2, distribution.sum);
            for (bound, count) in &distribution.buckets {
                message(value, 3, |bucket| {
                    number(bucket, 1, *count);
                    double(bucket, 2, *bound);
                });
            }
            for (quantile, quantile_value) in &distribution.quantiles {
                message(value, 3, |message| {
                    double(message, 1, *quantile);
                    double(message, 2, *quantile_value);
                });
            }
        });
    });
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
        label(metric, 1, name, value);
    }
}
