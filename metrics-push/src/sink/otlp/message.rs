//! Encodes families as an `ExportMetricsServiceRequest` of the
//! [OpenTelemetry protocol](https://github.com/open-telemetry/opentelemetry-proto).
//!
//! The job name is the attribute `service.name` of the resource, and the other grouping labels are attributes of each data
//! point: receivers move other attributes of a resource to a separate metric. The names of metrics do not change and units
//! are empty, so that receivers have no reason to add a suffix.

use crate::exposition::{Distribution, EncodedFamily, LabelPairs, MetricType};
use crate::labels::{GroupingKey, JOB};
use crate::push_request::Payload;
use crate::sink::outbox::{EncodedSamples, MAX_CALL_SIZE};
use crate::sink::proto::{double, fixed64, message, number, packed, string};
use crate::sink::sample_times::RequestTimes;
use crate::sink::series::series_labels;

/// The name of the instrumentation scope.
const SCOPE: &str = "metrics-push";

/// The number of `AGGREGATION_TEMPORALITY_CUMULATIVE`: values count from the start time.
const CUMULATIVE: u64 = 2;

/// Encodes the families of a payload as messages: several if one would be too large. The Collector accepts 20 MiB. Leaves out
/// a family that cannot be parsed.
pub(in crate::sink) fn encode(payload: &Payload<'_>, times: RequestTimes) -> Vec<EncodedSamples> {
    let key = payload.key();
    let (mut messages, mut metrics, mut count) = (Vec::new(), Vec::new(), 0);
    let finished =
        |metrics: &[u8], series| EncodedSamples { bytes: export_request(key, metrics), series };
    for (name, text) in payload.families() {
        let Some(metric) = metric_with_totals(payload, times, name, text) else { continue };
        message(&mut metrics, 2, |outer| outer.extend(metric));
        count += 1;
        if metrics.len() >= MAX_CALL_SIZE {
            messages.push(finished(&std::mem::take(&mut metrics), std::mem::take(&mut count)));
        }
    }
    if count > 0 {
        messages.push(finished(&metrics, count));
    }
    messages
}

/// Returns a message `Metric`. A total over runs has its points before the run, too.
fn metric_with_totals(
    payload: &Payload<'_>,
    times: RequestTimes,
    name: &str,
    text: &str,
) -> Option<Vec<u8>> {
    let key = payload.key();
    let total = payload.total_before(name);
    let times_of_total = times.counting_since(total.map(|total| total.since));
    // Receivers need the points in the order of their times.
    let before = total.zip(times.before_run()).and_then(|(total, time)| {
        let points = PointWriter { key, times: RequestTimes { time, ..times_of_total } };
        points.points(name, &EncodedFamily::parse(&total.text)?)
    });
    let points = PointWriter { key, times: times_of_total };
    points.metric(name, text, before.unwrap_or_default())
}

/// Returns a message with these metrics, which are encoded as fields of `ScopeMetrics`.
fn export_request(key: &GroupingKey, metrics: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    message(&mut body, 1, |resource_metrics| {
        message(resource_metrics, 1, |resource| {
            write_attribute(resource, 1, "service.name", key.job());
        });
        message(resource_metrics, 2, |scope_metrics| {
            message(scope_metrics, 1, |scope| string(scope, 1, SCOPE));
            scope_metrics.extend(metrics);
        });
    });
    body
}

/// Writes the data points of one request.
struct PointWriter<'a> {
    key: &'a GroupingKey,
    times: RequestTimes,
}

impl PointWriter<'_> {
    /// Returns a message `Metric` with these points first; `None` if the text of the family cannot be parsed.
    fn metric(&self, name: &str, text: &str, earlier: Vec<u8>) -> Option<Vec<u8>> {
        let family = EncodedFamily::parse(text)?;
        let mut metric = Vec::new();
        string(&mut metric, 1, name);
        if let Some(help) = &family.help {
            string(&mut metric, 2, help);
        }
        let metric_type = family.metric_type;
        let points = self.points(name, &family)?;
        message(&mut metric, data_field(metric_type), |data| {
            data.extend(earlier);
            data.extend(points);
            match metric_type {
                MetricType::Counter => {
                    number(data, 2, CUMULATIVE);
                    number(data, 3, u64::from(true)); // is_monotonic
                }
                MetricType::Histogram => number(data, 2, CUMULATIVE),
                MetricType::Gauge | MetricType::Untyped | MetricType::Summary => {}
            }
        });
        Some(metric)
    }

    /// Returns the field `data_points`.
    fn points(&self, name: &str, family: &EncodedFamily<'_>) -> Option<Vec<u8>> {
        match family.metric_type {
            MetricType::Counter | MetricType::Gauge | MetricType::Untyped => self.numbers(family),
            MetricType::Histogram | MetricType::Summary => self.distributions(name, family),
        }
    }

    /// Returns the field `data_points` with messages `NumberDataPoint`.
    fn numbers(&self, family: &EncodedFamily<'_>) -> Option<Vec<u8>> {
        let mut points = Vec::new();
        for sample in family.samples() {
            let sample = sample?;
            let value = sample.number()?;
            message(&mut points, 1, |point| {
                if family.metric_type == MetricType::Counter {
                    self.write_start(point);
                }
                self.write_time(point);
                double(point, 4, value);
                self.write_attributes(point, 7, sample.labels);
            });
        }
        Some(points)
    }

    /// Returns the field `data_points` with messages `HistogramDataPoint` or `SummaryDataPoint`.
    fn distributions(&self, name: &str, family: &EncodedFamily<'_>) -> Option<Vec<u8>> {
        let mut points = Vec::new();
        for distribution in Distribution::read_all(name, family)? {
            message(&mut points, 1, |point| {
                self.write_start(point);
                self.write_time(point);
                fixed64(point, 4, distribution.count);
                double(point, 5, distribution.sum);
                if family.metric_type == MetricType::Histogram {
                    write_buckets(point, distribution.count, distribution.buckets);
                    self.write_attributes(point, 9, distribution.labels);
                } else {
                    write_quantiles(point, &distribution.quantiles);
                    self.write_attributes(point, 7, distribution.labels);
                }
            });
        }
        Some(points)
    }

    fn write_start(&self, point: &mut Vec<u8>) {
        if let Some(start) = self.times.start {
            fixed64(point, 2, unix_nanos(start));
        }
    }

    fn write_time(&self, point: &mut Vec<u8>) {
        fixed64(point, 3, unix_nanos(self.times.time));
    }

    fn write_attributes(&self, point: &mut Vec<u8>, field: u8, labels: LabelPairs<'_>) {
        let labels = series_labels(self.key, labels).into_iter();
        for (name, value) in labels.filter(|(name, _)| *name != JOB) {
            write_attribute(point, field, name, &value);
        }
    }
}

/// Returns the field of the message `Metric` that contains the data points.
const fn data_field(metric_type: MetricType) -> u8 {
    match metric_type {
        MetricType::Gauge | MetricType::Untyped => 5,
        MetricType::Counter => 7,
        MetricType::Histogram => 9,
        MetricType::Summary => 11,
    }
}

/// Writes the buckets of a histogram. Their counts are not cumulative, and the last bucket has no bound.
fn write_buckets(point: &mut Vec<u8>, count: u64, mut buckets: Vec<(f64, u64)>) {
    buckets.retain(|(bound, _)| *bound < f64::INFINITY);
    buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let cumulative = buckets.iter().map(|(_, count)| *count).chain([count]);
    let counts = cumulative.scan(0, |below, cumulative| {
        let in_bucket = cumulative.saturating_sub(*below);
        *below = cumulative;
        Some(in_bucket)
    });
    packed(point, 6, counts.map(u64::to_le_bytes));
    packed(point, 7, buckets.iter().map(|(bound, _)| bound.to_le_bytes()));
}

fn write_quantiles(point: &mut Vec<u8>, quantiles: &[(f64, f64)]) {
    for (quantile, value) in quantiles {
        message(point, 6, |message| {
            double(message, 1, *quantile);
            double(message, 2, *value);
        });
    }
}

/// Writes a message `KeyValue` with a string.
fn write_attribute(outer: &mut Vec<u8>, field: u8, key: &str, value: &str) {
    message(outer, field, |attribute| {
        string(attribute, 1, key);
        message(attribute, 2, |any_value| string(any_value, 1, value));
    });
}

const fn unix_nanos(unix_millis: u64) -> u64 {
    unix_millis.saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push_request::PushRequest;

    const TIMES: RequestTimes =
        RequestTimes { time: 1_700_000_000_123, last_totals: None, start: Some(1_699_990_000_000) };

    /// A gauge and a counter of the job `nightly`. The gauge has the label `region`. Generated with another encoder.
    const GAUGE_AND_COUNTER: &str = concat!(
        "0a99010a1b0a190a0c736572766963652e6e616d6512090a076e696768746c79127a0a0e0a0c6d6574726963732d70757368123a0a0c",
        "6f72646572735f746f74616c12074f72646572732e3a210a1b110060b7e7e593971719c0d47e3dfe9c9717210000000000003140100218",
        "01122c0a04726f77732a240a2219c0d47e3dfe9c9717210000000000000c403a0e0a06726567696f6e12040a026575",
    );

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Encodes families that fit in one message.
    fn encode_all(key: &GroupingKey, families: &[(&str, &str)], times: RequestTimes) -> Vec<u8> {
        let families = families.iter().map(|(name, text)| ((*name).into(), (*text).into()));
        let request = PushRequest::add(key.clone(), families.collect());
        let messages = encode(&Payload::from(&request), times);
        let [message] = <[_; 1]>::try_from(messages).expect("one message");
        message.bytes
    }

    #[test]
    fn message_has_a_limited_size() {
        let key = GroupingKey::new("nightly").unwrap();
        let value = "v".repeat(300 * 1024);
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        let families = names
            .map(|name| (name.into(), format!("# TYPE {name} gauge\n{name}{{v=\"{value}\"}} 1\n")));
        let request = PushRequest::add(key, families.into_iter().collect());
        let messages = encode(&Payload::from(&request), TIMES);
        let sizes: Vec<_> = messages.iter().map(|it| it.bytes.len() / (300 * 1024)).collect();
        assert_eq!(sizes, [4, 4, 1]);
    }

    #[test]
    fn request_is_encoded_as_the_protocol_requires() {
        let key = GroupingKey::new("nightly").unwrap();
        let families = [
            ("rows", "# TYPE rows gauge\nrows{region=\"eu\"} 3.5\n"),
            (
                "orders_total",
                "# HELP orders_total Orders.\n# TYPE orders_total counter\norders_total 17\n",
            ),
        ];
        assert_eq!(hex(&encode_all(&key, &families, TIMES)), GAUGE_AND_COUNTER);
    }

    #[test]
    fn grouping_labels_are_attributes_of_each_point() {
        let sample = ("rows", "# TYPE rows gauge\nrows{region=\"eu\"} 3.5\n");
        let with_label = GroupingKey::new("nightly").unwrap().label("region", "eu").unwrap();
        assert_eq!(
            hex(&encode_all(&with_label, &[("rows", "# TYPE rows gauge\nrows 3.5\n")], TIMES)),
            hex(&encode_all(&GroupingKey::new("nightly").unwrap(), &[sample], TIMES))
        );
    }

    #[test]
    fn counts_of_buckets_are_not_cumulative() {
        let mut point = Vec::new();
        let buckets = vec![(f64::INFINITY, 6), (0.5, 4), (0.1, 1)];
        write_buckets(&mut point, 6, buckets);
        let mut expected = Vec::new();
        packed(&mut expected, 6, [1_u64, 3, 2].into_iter().map(u64::to_le_bytes));
        packed(&mut expected, 7, [0.1_f64, 0.5].into_iter().map(f64::to_le_bytes));
        assert_eq!(point, expected);
    }

    #[test]
    fn unparsable_family_is_left_out() {
        let key = GroupingKey::new("nightly").unwrap();
        let families = [("x", "x one\n"), ("h", "# TYPE h histogram\nh 1\n")];
        let families = families.map(|(name, text)| (name.into(), text.into()));
        let request = PushRequest::add(key, families.into_iter().collect());
        let messages = encode(&Payload::from(&request), TIMES);
        assert!(messages.is_empty(), "{messages:?}");
    }
}
