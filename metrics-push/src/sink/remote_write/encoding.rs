//! Encodes series as the messages of remote write, several if they are too many for one request.
//!
//! Receivers limit the size of a request: VictoriaMetrics to 32 MB, others to a number of samples.

use super::message::Message;
use super::time_series::{SeriesFamily, UnreadableLine};
use super::{version_1, version_2};
use crate::error::{Error, Kind};
use crate::sink::interface::Rejection;
use crate::sink::outbox::{EncodedSamples, MAX_CALL_SIZE, MAX_SERIES};
use crate::sink::remote_write_version::RemoteWriteVersion;
use crate::sink::sample_times::RequestTimes;

/// Encodes families as messages, one after the other: several if one would be too large, and none if the families have no
/// series.
pub(super) fn encode<'f>(
    version: RemoteWriteVersion,
    families: &'f [SeriesFamily<'f>],
    times: RequestTimes,
) -> Box<dyn Iterator<Item = Result<EncodedSamples, Rejection>> + Send + 'f> {
    match version {
        RemoteWriteVersion::V1 => Box::new(messages::<version_1::MessageV1>(families, times)),
        RemoteWriteVersion::V2 => Box::new(messages::<version_2::MessageV2>(families, times)),
    }
}

fn messages<M: Message>(
    families: &[SeriesFamily<'_>],
    times: RequestTimes,
) -> impl Iterator<Item = Result<EncodedSamples, Rejection>> {
    let mut readers = families.iter().map(|family| (family, family.reader())).peekable();
    std::iter::from_fn(move || {
        let (mut message, mut series) = (M::default(), 0);
        while series < MAX_SERIES && message.size() < MAX_CALL_SIZE {
            let Some((family, reader)) = readers.peek_mut() else { break };
            match reader.next() {
                Some(Ok(read)) => {
                    message.add(family, &read, times);
                    series += 1;
                }
                Some(Err(UnreadableLine)) => return Some(Err(unreadable(family.name))),
                None => drop(readers.next()),
            }
        }
        (series > 0).then(|| Ok(EncodedSamples { bytes: message.finish(), series }))
    })
}

/// Returns the rejection of a family that is not in the form that this crate writes.
pub(super) fn unreadable(name: &str) -> Rejection {
    let error = Error::new(Kind::Metric, "the metric is not in the text format");
    Rejection::InvalidMetrics(error.at("metric", name))
}

#[cfg(test)]
mod tests {
    use super::super::protocol::{DecodedV1, DecodedV2};
    use super::*;
    use crate::labels::GroupingKey;

    const TIMES: RequestTimes =
        RequestTimes { time: 1_700_000_000_123, last_totals: None, start: None };

    /// Encodes a family with `count` series, and returns the number of series in each message.
    fn series_per_message(count: usize, label_size: usize) -> [Vec<usize>; 2] {
        let value = "v".repeat(label_size);
        let text: String =
            (0..count).map(|number| format!("x{{n=\"{number}\",v=\"{value}\"}} 1\n")).collect();
        let key = GroupingKey::new("j").unwrap();
        let families = [SeriesFamily::read(&key, "x", &text).unwrap()];
        let first = encode(RemoteWriteVersion::V1, &families, TIMES);
        let second = encode(RemoteWriteVersion::V2, &families, TIMES);
        [
            first.map(|it| DecodedV1::decoded(&it.unwrap().bytes).timeseries.len()).collect(),
            second.map(|it| DecodedV2::decoded(&it.unwrap().bytes).timeseries.len()).collect(),
        ]
    }

    #[test]
    fn message_has_a_limited_number_of_series() {
        for lengths in series_per_message(2 * MAX_SERIES + 1, 1) {
            assert_eq!(lengths, [MAX_SERIES, MAX_SERIES, 1]);
        }
        for lengths in series_per_message(MAX_SERIES, 1) {
            assert_eq!(lengths, [MAX_SERIES]);
        }
        for lengths in series_per_message(0, 1) {
            assert_eq!(lengths, [0; 0]);
        }
    }

    #[test]
    fn message_has_a_limited_size() {
        let [first, second] = series_per_message(30, 100 * 1024);
        assert_eq!(first, [11, 11, 8]);
        // The value of the label is the same in all series, so that 2.0 contains it once.
        assert_eq!(second, [30]);
    }
}
