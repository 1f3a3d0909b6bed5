//! Totals on the servers that store samples. The ending of a run contains the total before the run as well as the total after
//! it, because `increase()` does not count the first sample of a series.

use std::thread;
use std::time::Instant;

use crate::child::ending;
use crate::state_dir::StateDir;

use super::influx_db::InfluxDb;
use super::otlp_messages::{Data, pairs};
use super::otlp_receiver::OtlpReceiver;
use super::receivers::{RealReceiver, ReceiverKind, now};
use super::{POLL_INTERVAL, Receiver, VISIBLE_TIMEOUT};

const JOB: &str = "import";
const SUCCESSES: &str = "batch_job_runs_total{outcome=success}";

/// A time in milliseconds since the Unix epoch, and a value.
type Sample = (i64, f64);

/// Runs a job twice, and compares the samples of its number of successes.
fn assert_both_totals(receiver: &impl Receiver, samples: impl Fn() -> Vec<Sample>) {
    let (state, began) = (StateDir::new(), now());
    for _ in 0..2 {
        let command = ending(JOB, &receiver.url(), &["ok"]).variable("METRICS_PUSH_INSTANCE", "a");
        let ended = command.variable("METRICS_PUSH_STATE_DIR", state.path()).run_to_end();
        assert!(ended.status.success() && ended.log_lines.is_empty(), "{ended:?}");
    }
    let deadline = Instant::now() + VISIBLE_TIMEOUT;
    let mut found = samples();
    while found.len() < 4 && Instant::now() < deadline {
        thread::sleep(POLL_INTERVAL);
        found = samples();
    }
    let values: Vec<_> = found.iter().map(|(_, value)| *value).collect();
    assert_eq!(values, [0.0, 1.0, 1.0, 2.0], "{SUCCESSES}: {found:?}");
    let times: Vec<_> = found.iter().map(|(time, _)| *time).collect();
    assert!(times.is_sorted_by(|earlier, later| earlier < later), "{found:?}");
    assert!(times[0] >= began && times[3] <= now(), "{began}: {found:?}");
}

fn assert_stored_by(kind: ReceiverKind) {
    let receiver = RealReceiver::start(kind);
    assert_both_totals(&receiver, || {
        let series = receiver.stored(JOB).into_iter().find(|(labels, _)| {
            labels["__name__"] == "batch_job_runs_total" && labels["outcome"] == "success"
        });
        series.map(|(_, samples)| samples).unwrap_or_default()
    });
}

#[test]
fn prometheus_stores_the_total_before_each_run() {
    assert_stored_by(ReceiverKind::Prometheus);
}

#[test]
fn victoria_metrics_stores_the_total_before_each_run() {
    assert_stored_by(ReceiverKind::VictoriaMetrics);
}

#[test]
fn influx_stores_the_total_before_each_run() {
    let influx = InfluxDb::start();
    assert_both_totals(&influx, || {
        let query = "SELECT runs_total FROM batch_job WHERE job = 'import' AND outcome = 'success'";
        let series = influx.query(query);
        let rows = series.iter().flat_map(|series| series["values"].as_array().unwrap());
        rows.map(|row| (row[0].as_i64().unwrap(), row[1].as_f64().unwrap())).collect()
    });
}

#[test]
fn otlp_receiver_gets_the_total_before_each_run() {
    let receiver = OtlpReceiver::start();
    assert_both_totals(&receiver, || {
        let metrics = receiver.metrics(JOB).into_iter();
        let totals = metrics.filter(|metric| metric.name == "batch_job_runs_total");
        let points = totals.flat_map(|metric| match metric.data {
            Some(Data::Sum(sum)) => sum.data_points,
            other => panic!("{other:?}"),
        });
        let successes = points
            .filter(|point| pairs(&point.attributes).any(|pair| pair == ("outcome", "success")));
        let sample = |nanos: u64| i64::try_from(nanos / 1_000_000).unwrap();
        successes.map(|point| (sample(point.time_unix_nano), point.as_double)).collect()
    });
}
