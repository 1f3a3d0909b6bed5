//! Encodes series as the messages of remote write, several if they are too many for one request.
//!
//! Receivers limit the size of a request: VictoriaMetrics to 32 MB, others to a number of samples.

use super::message::Message;
use super::time_series::SeriesFamily;
use super::{version_1, version_2};
use crate::sink::outbox::{EncodedSamples, MAX_CALL_SIZE, MAX_SERIES};
use crate::sink::remote_write_version::RemoteWriteVersion;
use crate::sink::sample_times::RequestTimes;

/// Encodes families as messages: several if one would be too large, and none if the families have no series.
pub(super) fn encode(
    version: RemoteWriteVersion,
    families: &[SeriesFamily<'_>],
    times: RequestTimes,
) -> Vec<EncodedSamples> {
    match version {
        RemoteWriteVersion::V1 => messages::<version_1::MessageV1>(families, times),
        RemoteWriteVersion::V2 => messages::<version_2::MessageV2>(families, times),
    }
}

fn messages<M: Message>(families: &[SeriesFamily<'_>], times: RequestTimes) -> Vec<EncodedSamples> {
    let (mut messages, mut message, mut series_count) = (Vec::new(), M::default(), 0);
    let finished = |message: M, series| EncodedSamples { bytes: message.finish(), series };
    for family in families {
        for series in &family.series {
            if series_count == MAX_SERIES || message.size() >= MAX_CALL_SIZE {
                messages.push(finished(std::mem::take(&mut message), series_count));
                series_count = 0;
            }
            message.add(family, series, times);
            series_count += 1;
        }
    }
    if series_count > 0 {
        messages.push(finished(message, series_count));
    }
    messages
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
            first.iter().map(|it| DecodedV1::decoded(&it.bytes).timeseries.len()).collect(),
            second.iter().map(|it| DecodedV2::decoded(&it.bytes).timeseries.len()).collect(),
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
