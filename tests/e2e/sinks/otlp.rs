//! What only the OTLP sink does.

use crate::child::ending;

use super::otlp_messages::{Data, Metric, pairs};
use super::otlp_receiver::OtlpReceiver;
use super::recorder::response;
use super::{Receiver as _, job_program_with};

const PROTOBUF: &str = "Content-Type: application/x-protobuf\r\n";
const JOB: &str = "metric_types";

const LABEL_VALUES: [&str; 6] =
    ["line\nbreak", "a \"quote\"", "ends with \\", "a b,c=d", "é/b", ""];

#[test]
fn metric_types_are_those_of_the_protocol() {
    let receiver = OtlpReceiver::start();
    let ended = job_program_with(JOB, &LABEL_VALUES).gateway(&receiver.url()).run_to_end();
    assert!(ended.status.success() && ended.log_lines.is_empty(), "{ended:?}");
    let metrics = receiver.metrics(JOB);
    let metric = |name: &str| -> &Metric {
        metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("{metrics:?}"))
    };
    let shard = [("shard", "a b,c=d")];

    let orders = metric("orders_total");
    assert_eq!((&*orders.description, &*orders.unit), ("Orders.", ""));
    let Some(Data::Sum(sum)) = &orders.data else { panic!("{orders:?}") };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2, "{sum:?}");
    let [point] = &sum.data_points[..] else { panic!("{sum:?}") };
    assert_eq!(point.as_double, 17.0);
    assert!(pairs(&point.attributes).eq(shard), "{point:?}");
    assert!(0 < point.start_time_unix_nano && point.start_time_unix_nano <= point.time_unix_nano);

    let Some(Data::Histogram(histogram)) = &metric("size_bytes").data else {
        panic!("{metrics:?}")
    };
    assert_eq!(histogram.aggregation_temporality, 2);
    let [point] = &histogram.data_points[..] else { panic!("{histogram:?}") };
    assert_eq!((point.count, point.sum), (4, Some(61.5)));
    assert_eq!(
        (&point.bucket_counts[..], &point.explicit_bounds[..]),
        (&[1, 2, 1][..], &[1.0, 10.0][..])
    );
    assert!(pairs(&point.attributes).eq(shard), "{point:?}");

    let Some(Data::Gauge(gauge)) = &metric("rows").data else { panic!("{metrics:?}") };
    for value in LABEL_VALUES {
        let labels = [("of", value), shard[0]];
        let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
        let found =
            gauge.data_points.iter().find(|point| pairs(&point.attributes).eq(labels.clone()));
        assert_eq!(found.map(|point| point.as_double), Some(3.5), "{value:?}: {gauge:?}");
    }
}

#[test]
fn large_requests_are_compressed() {
    let receiver = OtlpReceiver::start();
    let values: Vec<_> = (0..500).map(|number| format!("a label value {number}")).collect();
    let command = job_program_with(JOB, &values).gateway(&receiver.url());
    let ended = command.variable("METRICS_PUSH_GZIP", "true").run_to_end();
    assert!(ended.log_lines.is_empty(), "{ended:?}");
    let last = receiver.requests().pop().unwrap();
    assert!(last.has_header("content-encoding: gzip"), "{}", last.head);
    assert!(receiver.values(JOB).len() > 500);
}

#[test]
fn rejected_data_points_are_logged_and_not_sent_again() {
    let receiver = OtlpReceiver::responding(|_| {
        let body = b"\x0a\x13\x08\xac\x02\x12\x0eunknown tenant";
        response("200 OK", PROTOBUF, body)
    });
    let ended = ending("partial", &receiver.url(), &["ok"]).run_to_end();
    let log = ended.log_lines.join("\n");
    assert!(log.contains("the receiver rejected 300 data points"), "{log}");
    assert!(log.contains("unknown tenant"), "{log}");
    assert_eq!(completions(&receiver, "partial"), 1, "{log}");
}

/// Returns the number of requests with the outcome of a job.
fn completions(receiver: &OtlpReceiver, job: &str) -> usize {
    let metrics = receiver.metrics(job).into_iter();
    metrics.filter(|metric| metric.name == "batch_job_last_run_success").count()
}

#[test]
fn internal_error_is_not_retried() {
    let receiver = OtlpReceiver::responding(|_| {
        response("500 Internal Server Error", PROTOBUF, b"\x12\x06broken")
    });
    let ended = ending("broken", &receiver.url(), &["panic"]).run_to_end();
    let log = ended.log_lines.join("\n");
    assert!(
        log.contains("the receiver failed to process the push") && log.contains("broken"),
        "{log}"
    );
    assert_eq!(completions(&receiver, "broken"), 1, "{log}");
}

#[test]
fn overloaded_receiver_gets_the_request_again() {
    let receiver = OtlpReceiver::responding(|number| match number {
        1..=3 => response("503 Service Unavailable", PROTOBUF, b""),
        _ => response("200 OK", PROTOBUF, b""),
    });
    let ended = ending("overloaded", &receiver.url(), &["err"]).run_to_end();
    assert!(ended.log_lines.is_empty(), "{ended:?}");
    assert_eq!(super::outcomes(&receiver.values("overloaded")), ["error"]);
    assert!(receiver.requests().len() > 3);
}
