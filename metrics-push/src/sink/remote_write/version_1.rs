//! `MessageV1`: the message `WriteRequest` of [remote write 1.0](https://prometheus.io/docs/specs/prw/remote_write_spec/).
//!
//! The message contains no metadata: receivers accept it, but none of those that the tests run uses it.

use super::message::{Message, samples};
use super::time_series::{SeriesFamily, TimeSeries};
use crate::sink::proto::{double, label, message, number};
use crate::sink::sample_times::RequestTimes;

#[derive(Default)]
pub(super) struct MessageV1(Vec<u8>);

impl Message for MessageV1 {
    fn add(&mut self, _: &SeriesFamily<'_>, series: &TimeSeries<'_, '_>, times: RequestTimes) {
        message(&mut self.0, 1, |written| {
            for (name, value) in series.labels.iter() {
                label(written, 1, name, value);
            }
            for (value, time) in samples(series, times) {
                message(written, 2, |sample| {
                    double(sample, 1, value);
                    number(sample, 2, time);
                });
            }
        });
    }

    fn size(&self) -> usize {
        self.0.len()
    }

    fn finish(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::add_all;
    use super::super::protocol::{DecodedLabel, DecodedV1};
    use super::*;
    use crate::labels::GroupingKey;

    const TIMES: RequestTimes =
        RequestTimes { time: 1_700_000_000_123, last_totals: None, start: Some(1) };

    fn encode(key: &GroupingKey, name: &str, text: &str) -> Vec<u8> {
        let family = SeriesFamily::read(key, name, text).unwrap();
        let mut request = MessageV1::default();
        add_all(&mut request, &family, TIMES);
        request.finish()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn gauge_has_the_bytes_of_the_specification() {
        let key = GroupingKey::new("nightly").and_then(|key| key.label("region", "eu")).unwrap();
        let name = "batch_job_last_success_timestamp_seconds";
        assert_eq!(
            hex(&encode(&key, name, &format!("{name} 1.7e9\n"))),
            "0a660a340a085f5f6e616d655f5f122862617463685f6a6f625f6c6173745f737563636573735f74696d65\
             7374616d705f7365636f6e64730a0e0a036a6f6212076e696768746c790a0c0a06726567696f6e12026575\
             12100900000040fc54d94110fbd095ffbc31"
        );
    }

    #[test]
    fn stale_marker_has_the_bytes_of_prometheus() {
        let key = GroupingKey::new("j").unwrap();
        let family = SeriesFamily::stale_markers(&key, ["x{} NaN"].into_iter());
        let mut request = MessageV1::default();
        add_all(&mut request, &family, TIMES);
        assert_eq!(
            hex(&request.finish()),
            "0a2b0a0d0a085f5f6e616d655f5f1201780a080a036a6f6212016a121009020000000000f07f10fbd095ffbc31"
        );
    }

    #[test]
    fn histogram_becomes_one_series_per_bucket_count_and_sum() {
        let key = GroupingKey::new("nightly").unwrap();
        let text = "# TYPE report_duration_seconds histogram\n\
                    report_duration_seconds_bucket{format=\"csv\",le=\"0.1\"} 1\n\
                    report_duration_seconds_bucket{format=\"csv\",le=\"+Inf\"} 3\n\
                    report_duration_seconds_count{format=\"csv\"} 3\n\
                    report_duration_seconds_sum{format=\"csv\"} 0.5\n";
        let bytes = encode(&key, "report_duration_seconds", text);
        assert_eq!(bytes.len(), 399);
        let request = DecodedV1::decoded(&bytes);
        let label =
            |name: &str, value: &str| DecodedLabel { name: name.into(), value: value.into() };
        assert_eq!(
            request.timeseries[0].labels,
            [
                label("__name__", "report_duration_seconds_bucket"),
                label("format", "csv"),
                label("job", "nightly"),
                label("le", "0.1"),
            ]
        );
        let values: Vec<_> =
            request.timeseries.iter().map(|series| series.samples[0].value).collect();
        assert_eq!(values, [1.0, 3.0, 3.0, 0.5]);
    }
}
