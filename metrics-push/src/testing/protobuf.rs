//! Parses the delimited protobuf format: `io.prometheus.client.MetricFamily` messages, each after its length.
//!
//! A family replaces an earlier one with the same name, as in the real gateway. Unknown fields are skipped.

use super::family::{Family, Kind, LabelMap, Metric, MetricValue};
use super::go_format::lossy;
use super::parse::PushBody;
use super::protobuf_reader::{MessageReader, read_label};

/// Parses a body. The error is the reason why it is invalid.
pub(super) fn read(bytes: &[u8]) -> Result<PushBody, String> {
    let mut body = PushBody::default();
    let mut rest = MessageReader::new(bytes);
    while !rest.is_empty() {
        let length = rest.varint()?;
        let (family, has_timestamps) = read_family(rest.take(length)?)?;
        body.has_timestamps |= has_timestamps;
        body.families.insert(family.name.clone(), family);
    }
    Ok(body)
}

/// Returns the family, and whether one of its metrics has a timestamp.
fn read_family(message: &[u8]) -> Result<(Family, bool), String> {
    let (mut name, mut help, mut kind) = (String::new(), String::new(), Kind::Counter);
    let mut metrics = Vec::new();
    MessageReader::new(message).for_each(|number, value| {
        match number {
            1 => name = lossy(value.bytes()),
            2 => help = lossy(value.bytes()),
            3 => {
                kind = match value.number() {
                    0 => Kind::Counter,
                    1 => Kind::Gauge,
                    2 => Kind::Summary,
                    4 => Kind::Histogram,
                    _ => Kind::Untyped,
                };
            }
            4 => metrics.push(value.bytes()),
            _ => {}
        }
        Ok(())
    })?;
    let mut has_timestamps = false;
    let metrics: Result<_, String> = metrics
        .into_iter()
        .map(|message| {
            let (metric, has_timestamp) = read_metric(message, kind, &name)?;
            has_timestamps |= has_timestamp;
            Ok(metric)
        })
        .collect();
    Ok((Family { name, help, kind, metrics: metrics? }, has_timestamps))
}

fn read_metric(message: &[u8], kind: Kind, name: &str) -> Result<(Metric, bool), String> {
    const LABEL: u64 = 1;
    const TIMESTAMP: u64 = 6;
    let value_field = match kind {
        Kind::Gauge => 2,
        Kind::Counter => 3,
        Kind::Summary => 4,
        Kind::Untyped => 5,
        Kind::Histogram => 7,
    };
    let (mut labels, mut read, mut has_timestamp) = (LabelMap::new(), None, false);
    MessageReader::new(message).for_each(|number, value| {
        match number {
            LABEL => {
                let (name, value) = read_label(value.bytes())?;
                labels.insert(name, value);
            }
            TIMESTAMP => has_timestamp = true,
            number if number == value_field => read = Some(read_value(value.bytes(), kind)?),
            _ => {}
        }
        Ok(())
    })?;
    let value = read.ok_or_else(|| format!("a metric of {name:?} is not a {kind}"))?;
    Ok((Metric { labels, value }, has_timestamp))
}

fn read_value(message: &[u8], kind: Kind) -> Result<MetricValue, String> {
    let mut read = MetricValue::empty(kind);
    MessageReader::new(message).for_each(|number, value| {
        match (&mut read, number) {
            (MetricValue::Number(number), 1) => *number = value.real(),
            (MetricValue::Histogram { count, .. } | MetricValue::Summary { count, .. }, 1) => {
                *count = value.number();
            }
            (MetricValue::Histogram { sum, .. } | MetricValue::Summary { sum, .. }, 2) => {
                *sum = value.real();
            }
            (MetricValue::Histogram { buckets, .. }, 3) => {
                let (mut count, mut bound) = (0, 0.0);
                MessageReader::new(value.bytes()).for_each(|number, value| {
                    match number {
                        1 => count = value.number(),
                        2 => bound = value.real(),
                        _ => {}
                    }
                    Ok(())
                })?;
                buckets.push((bound, count));
            }
            (MetricValue::Summary { quantiles, .. }, 3) => {
                let (mut rank, mut quantile) = (0.0, 0.0);
                MessageReader::new(value.bytes()).for_each(|number, value| {
                    match number {
                        1 => rank = value.real(),
                        2 => quantile = value.real(),
                        _ => {}
                    }
                    Ok(())
                })?;
                quantiles.push((rank, quantile));
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(read)
}
