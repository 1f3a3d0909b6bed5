//! `MessageV2`: the message `Request` of [remote write 2.0](https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/).
//!
//! Each text occurs once, in a table of symbols; series refer to its positions. The first symbol is empty.

use std::collections::HashMap;

use super::message::{Message, samples};
use super::time_series::{SeriesFamily, TimeSeries};
use crate::exposition::MetricType;
use crate::sink::proto::{
    FieldValue, double, message, number, packed_numbers, read_fields, read_packed_numbers, string,
};
use crate::sink::sample_times::RequestTimes;

#[derive(Default)]
pub(super) struct MessageV2 {
    symbols: Symbols,
    timeseries: Vec<u8>,
}

#[derive(Default)]
struct Symbols {
    positions: HashMap<String, u64>,
    /// The encoded symbols after the first one.
    encoded: Vec<u8>,
}

const SYMBOLS: u8 = 4;
const TIMESERIES: u8 = 5;

// The fields of a series.
const LABELS: u8 = 1;
const SAMPLES: u8 = 2;
const METADATA: u8 = 5;

/// The field of the metadata that refers to a symbol.
const HELP: u8 = 3;

impl Symbols {
    /// Returns the position of a symbol, after adding it if it is new.
    fn position(&mut self, symbol: &str) -> u64 {
        if let Some(position) = self.positions.get(symbol) {
            return *position;
        }
        let position = self.positions.len() as u64 + 1;
        self.positions.insert(symbol.to_owned(), position);
        string(&mut self.encoded, SYMBOLS, symbol);
        position
    }
}

impl Message for MessageV2 {
    fn add(&mut self, family: &SeriesFamily<'_>, series: &TimeSeries<'_, '_>, times: RequestTimes) {
        let symbols = &mut self.symbols;
        let texts = series.labels.iter().flat_map(|(name, value)| [name, value]);
        let labels: Vec<_> = texts.map(|text| symbols.position(text)).collect();
        let help = family.help.as_ref().map(|help| symbols.position(help));
        message(&mut self.timeseries, TIMESERIES, |written| {
            packed_numbers(written, LABELS, &labels);
            let start = times.counting_since(family.since).start;
            for (value, time) in samples(series, times) {
                message(written, SAMPLES, |sample| {
                    double(sample, 1, value);
                    number(sample, 2, time);
                    if let Some(start) = start.filter(|_| is_cumulative(family.metric_type)) {
                        number(sample, 3, start);
                    }
                });
            }
            message(written, METADATA, |metadata| {
                number(metadata, 1, type_number(family.metric_type));
                if let Some(help) = help {
                    number(metadata, HELP, help);
                }
            });
        });
    }

    fn size(&self) -> usize {
        self.symbols.encoded.len() + self.timeseries.len()
    }

    fn finish(self) -> Vec<u8> {
        let mut request = Vec::with_capacity(self.size() + 2);
        string(&mut request, SYMBOLS, "");
        request.extend(self.symbols.encoded);
        request.extend(self.timeseries);
        request
    }
}

/// Turns several messages in a row into one. Each has its symbols before its series, and the empty symbol first. Returns
/// `None` if the bytes are not such messages.
pub(super) fn merged(messages: &[u8]) -> Option<Vec<u8>> {
    let mut merged = MessageV2::default();
    // The positions in the merged message of the symbols of the present one.
    let mut positions = Vec::new();
    let mut has_series = false;
    for (field, value) in fields(messages)? {
        let FieldValue::Bytes(bytes) = value else { return None };
        if field == SYMBOLS {
            if std::mem::take(&mut has_series) {
                positions.clear();
            }
            let is_empty = positions.is_empty();
            let symbol = std::str::from_utf8(bytes).ok()?;
            positions.push(if is_empty { 0 } else { merged.symbols.position(symbol) });
        } else {
            has_series = true;
            let series = with_positions(bytes, &positions)?;
            message(&mut merged.timeseries, TIMESERIES, |written| written.extend(series));
        }
    }
    Some(merged.finish())
}

/// Returns a series with other positions of its symbols.
fn with_positions(series: &[u8], positions: &[u64]) -> Option<Vec<u8>> {
    let position = |old: u64| positions.get(usize::try_from(old).ok()?).copied();
    let mut changed = Vec::with_capacity(series.len());
    for (field, value) in fields(series)? {
        let FieldValue::Bytes(bytes) = value else { return None };
        match field {
            LABELS => {
                let labels: Option<Vec<_>> =
                    read_packed_numbers(bytes)?.into_iter().map(position).collect();
                packed_numbers(&mut changed, LABELS, &labels?);
            }
            METADATA => {
                let mut metadata = Vec::new();
                for (field, value) in fields(bytes)? {
                    let FieldValue::Number(value) = value else { return None };
                    let value = if field == HELP { position(value)? } else { value };
                    number(&mut metadata, field, value);
                }
                message(&mut changed, METADATA, |written| written.extend(metadata));
            }
            _ => message(&mut changed, field, |written| written.extend_from_slice(bytes)),
        }
    }
    Some(changed)
}

fn fields(message: &[u8]) -> Option<Vec<(u8, FieldValue<'_>)>> {
    let mut fields = Vec::new();
    read_fields(message, |field, value| fields.push((field, value)))?;
    fields.into_iter().map(|(field, value)| Some((u8::try_from(field).ok()?, value))).collect()
}

/// Returns the number of a type in the enum `MetricType` of the protocol.
const fn type_number(metric_type: MetricType) -> u64 {
    match metric_type {
        MetricType::Untyped => 0,
        MetricType::Counter => 1,
        MetricType::Gauge => 2,
        MetricType::Histogram => 3,
        MetricType::Summary => 5,
    }
}

/// Returns true if the values start at zero and only increase.
const fn is_cumulative(metric_type: MetricType) -> bool {
    matches!(metric_type, MetricType::Counter | MetricType::Histogram | MetricType::Summary)
}

#[cfg(test)]
mod tests {
    use super::super::message::add_all;
    use super::super::protocol::DecodedV2;
    use super::*;
    use crate::labels::GroupingKey;

    const TIMES: RequestTimes =
        RequestTimes { time: 1_700_000_000_123, last_totals: None, start: Some(1_699_990_000_000) };

    fn encode(texts: &[(&str, &str)]) -> Vec<u8> {
        let key = GroupingKey::new("nightly").unwrap();
        let mut request = MessageV2::default();
        for (name, text) in texts {
            let family = SeriesFamily::read(&key, name, text).unwrap();
            add_all(&mut request, &family, TIMES);
        }
        request.finish()
    }

    #[test]
    fn counter_and_gauge_have_the_bytes_of_the_specification() {
        let bytes = encode(&[
            (
                "orders_total",
                "# HELP orders_total Orders.\n# TYPE orders_total counter\norders_total 17\n",
            ),
            ("rows", "# TYPE rows gauge\nrows 3.5\n"),
        ]);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "220022085f5f6e616d655f5f220c6f72646572735f746f74616c22036a6f6222076e696768746c79220\
             74f72646572732e2204726f77732a250a0401020304121709000000000000314010fbd095ffbc311880\
             a3b3fabc312a04080118052a1c0a04010603041210090000000000000c4010fbd095ffbc312a020802"
        );
        let request = DecodedV2::decoded(&bytes);
        let symbols = ["", "__name__", "orders_total", "job", "nightly", "Orders.", "rows"];
        assert_eq!(request.symbols, symbols);
        assert_eq!(request.timeseries[0].labels_refs, [1, 2, 3, 4]);
        assert_eq!(request.timeseries[0].samples[0].start_timestamp, 1_699_990_000_000);
    }

    #[test]
    fn merged_messages_have_the_series_of_both() {
        let orders = (
            "orders_total",
            "# HELP orders_total Orders.\n# TYPE orders_total counter\norders_total 17\n",
        );
        let rows = ("rows", "# HELP rows Rows.\n# TYPE rows gauge\nrows{a=\"b\"} 3.5\nrows 4\n");
        let [first, second] = [[orders].as_slice(), &[rows, orders]].map(encode);
        let merged = DecodedV2::decoded(&merged(&[first, second].concat()).unwrap());
        assert_eq!(merged, DecodedV2::decoded(&encode(&[orders, rows, orders])));
    }

    #[test]
    fn single_message_is_not_changed() {
        let message = encode(&[("rows", "# HELP rows Rows.\n# TYPE rows gauge\nrows 4\n")]);
        assert_eq!(merged(&message), Some(message));
        assert_eq!(merged(&[8, 1]), None);
    }

    #[test]
    fn more_symbols_than_one_byte_can_number() {
        let text: String = (0..500).map(|number| format!("x{{n=\"{number}\"}} 1\n")).collect();
        let request = DecodedV2::decoded(&encode(&[("x", &text)]));
        for (number, series) in request.timeseries.iter().enumerate() {
            let symbol = |position: usize| &request.symbols[series.labels_refs[position] as usize];
            assert_eq!((symbol(1), symbol(5)), (&"x".to_owned(), &number.to_string()));
        }
    }
}
