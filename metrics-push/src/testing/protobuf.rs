//! Parses the delimited protobuf format: `io.prometheus.client.MetricFamily` messages, each after its length.
//!
//! A family replaces an earlier one with the same name, as in the real gateway. Unknown fields are skipped.

use super::family::{Family, Kind, LabelMap, Metric, MetricValue};
use super::go_format::lossy;
use super::parse::PushBody;

/// Parses a body. The error is the reason why it is invalid.
pub(super) fn read(bytes: &[u8]) -> Result<PushBody, String> {
    let mut body = PushBody::default();
    let mut rest = MessageReader(bytes);
    while !rest.0.is_empty() {
        let length = rest.varint()?;
        let (family, has_timestamps) = read_family(rest.take(length)?)?;
        body.has_timestamps |= has_timestamps;
        body.families.insert(family.name.clone(), family);
    }
    Ok(body)
}

/// The value of a field, by wire type.
enum Field<'a> {
    Number(u64),
    Real(f64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            _ => 0,
        }
    }

    fn real(&self) -> f64 {
        match self {
            Self::Real(real) => *real,
            _ => 0.0,
        }
    }

    fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            _ => &[],
        }
    }
}

/// The rest of a message.
struct MessageReader<'a>(&'a [u8]);

impl<'a> MessageReader<'a> {
    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for position in 0..10 {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << (7 * position);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("proto: integer overflow".into())
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], String> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (taken, rest) = self.0.split_at_checked(length).ok_or("unexpected EOF")?;
        self.0 = rest;
        Ok(taken)
    }

    /// Reads the number and the value of the next field.
    fn next(&mut self) -> Result<Option<(u64, Field<'a>)>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => Field::Real(f64::from_le_bytes(self.take(8)?.try_into().unwrap_or_default())),
            2 => {
                let length = self.varint()?;
                Field::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Field::Number(0)
            }
            other => return Err(format!("proto: can't skip unknown wire type {other}")),
        };
        Ok(Some((tag >> 3, value)))
    }

    fn for_each(
        mut self,
        mut read: impl FnMut(u64, Field<'a>) -> Result<(), String>,
    ) -> Result<(), String> {
        while let Some((number, value)) = self.next()? {
            read(number, value)?;
        }
        Ok(())
    }
}

/// Returns the family, and whether one of its metrics has a timestamp.
fn read_family(message: &[u8]) -> Result<(Family, bool), String> {
    let (mut name, mut help, mut kind) = (String::new(), String::new(), Kind::Counter);
    let mut metrics = Vec::new();
    MessageReader(message).for_each(|number, value| {
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
    MessageReader(message).for_each(|number, value| {
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

fn read_label(message: &[u8]) -> Result<(String, String), String> {
    let (mut name, mut text) = (String::new(), String::new());
    MessageReader(message).for_each(|number, value| {
        match number {
            1 => name = lossy(value.bytes()),
            2 => text = lossy(value.bytes()),
            _ => {}
        }
        Ok(())
    })?;
    Ok((name, text))
}

fn read_value(message: &[u8], kind: Kind) -> Result<MetricValue, String> {
    let mut read = MetricValue::empty(kind);
    MessageReader(message).for_each(|number, value| {
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
                MessageReader(value.bytes()).for_each(|number, value| {
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
                MessageReader(value.bytes()).for_each(|number, value| {
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
