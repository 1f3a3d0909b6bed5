//! Answers of servers that no test starts: InfluxDB 2 and 3, and Prometheus 3. The texts are those of their documentation
//! and source code.

use std::time::Duration;

use metrics_push::prometheus::{Gauge, Registry};
use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Batcher, Config, GroupingKey};

use crate::temp_dir::TempDir;

const TIMEOUT: Duration = Duration::from_secs(20);

/// What becomes of an outcome whose first request gets an answer, while later requests are accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// The answer ends the delivery.
    Delivered,
    /// Further requests deliver it.
    DeliveredBySeveral,
    /// It waits on the disk.
    Spooled,
}

use Fate::{Delivered, DeliveredBySeveral, Spooled};

struct Row {
    status: u16,
    body: &'static str,
    fate: Fate,
}

const fn row(status: u16, body: &'static str, fate: Fate) -> Row {
    Row { status, body, fate }
}

const INFLUX_2: [Row; 9] = [
    row(
        422,
        r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: input field \"value\" on measurement \"rows\" is type float, already exists as type integer dropped=1"}"#,
        Delivered,
    ),
    // Versions before 2.7.
    row(
        400,
        r#"{"code":"invalid","message":"partial write: unable to parse 'rows value=': missing field value dropped=1"}"#,
        Delivered,
    ),
    row(
        422,
        r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: points beyond retention policy dropped=9"}"#,
        DeliveredBySeveral,
    ),
    row(
        413,
        r#"{"code":"request too large","message":"points batch is too large"}"#,
        DeliveredBySeveral,
    ),
    row(
        429,
        r#"{"code":"too many requests","message":"org 1 has exceeded limited_write plan limit"}"#,
        DeliveredBySeveral,
    ),
    row(503, r#"{"code":"unavailable","message":"service unavailable"}"#, DeliveredBySeveral),
    row(401, r#"{"code":"unauthorized","message":"unauthorized access"}"#, Spooled),
    row(403, r#"{"code":"forbidden","message":"insufficient permissions for write"}"#, Spooled),
    row(404, r#"{"code":"not found","message":"bucket \"batch\" not found"}"#, Spooled),
];

const INFLUX_3: [Row; 4] = [
    row(
        400,
        r#"{"error":"partial write of line protocol occurred","data":[{"original_line":"rows value=","line_number":2,"error_message":"invalid field value"}]}"#,
        Delivered,
    ),
    row(
        400,
        r#"{"error":"parsing failed for write_lp endpoint","data":{"original_line":"rows"}}"#,
        DeliveredBySeveral,
    ),
    row(401, r#"{"error":"the request was not authenticated"}"#, Spooled),
    row(500, r#"{"error":"internal error"}"#, DeliveredBySeveral),
];

const PROMETHEUS_3: [Row; 8] = [
    row(400, "out of order sample\n", DeliveredBySeveral),
    row(
        400,
        "duplicate sample for timestamp 1700000000123; overrides not allowed: existing 1, new value 2\n",
        DeliveredBySeveral,
    ),
    row(400, "out of bounds\n", DeliveredBySeveral),
    row(400, "too old sample\n", DeliveredBySeveral),
    row(500, "label name \"job\" is not unique: invalid sample\n", DeliveredBySeveral),
    row(503, "the storage is not ready\n", DeliveredBySeveral),
    row(
        404,
        "remote write receiver needs to be enabled with --web.enable-remote-write-receiver\n",
        Spooled,
    ),
    row(
        415,
        "expected application/x-protobuf as the first (media) part, got text/plain content-type\n",
        Spooled,
    ),
];

const PROMETHEUS_3_OTLP: [Row; 4] = [
    row(400, "out of order sample\n", DeliveredBySeveral),
    row(503, "the storage is not ready\n", DeliveredBySeveral),
    row(404, "otlp write receiver needs to be enabled with --web.enable-otlp-receiver\n", Spooled),
    row(
        415,
        "unsupported content type: text/plain, supported: [application/json, application/x-protobuf]\n",
        Spooled,
    ),
];

/// Pushes an outcome to a server whose first answer to samples is that of the row, and then delivers what was spooled.
fn check(scheme: &str, path: &str, success: u16, row: &Row) {
    let Row { status, body, fate } = row;
    let (server, state) = (FakeGateway::start(), TempDir::new());
    let is_probe = |body: &[u8]| body.is_empty() || body == [0];
    server.fault(Fault::status(success));
    server.fail_next(1, Fault::status(*status).body(*body).when(move |it| !is_probe(&it.body)));
    let config = Config::default().url(format!("{scheme}+{}{path}", server.url())).unwrap();
    let _scope = config.timeout(TIMEOUT).state_dir(state.path()).scope().unwrap();
    let batcher = Batcher::new(Duration::from_secs(3_600));
    batcher.add(GroupingKey::new("job").unwrap(), &outcome()).unwrap();
    assert_eq!(batcher.flush(TIMEOUT), 0);
    let requests = server.requests().iter().filter(|it| !is_probe(&it.body)).count();
    let found = match (state.records().len(), requests) {
        (0, 1) => Delivered,
        (0, _) => DeliveredBySeveral,
        _ => Spooled,
    };
    assert_eq!(found, *fate, "{scheme} {status} {body}: {requests} requests");
    assert_eq!(metrics_push::recover(TIMEOUT).left, 0, "{scheme} {status} {body}");
}

/// The outcome of a run and a metric of the program, in one request.
fn outcome() -> Registry {
    let registry = Registry::new();
    for name in ["batch_job_last_run_success", "batch_job_last_success_timestamp_seconds", "rows"] {
        registry.register(Box::new(Gauge::new(name, "A gauge.").unwrap())).unwrap();
    }
    registry
}

#[test]
fn outcome_survives_the_answers_of_influxdb_2() {
    for row in &INFLUX_2 {
        check("influx", "/api/v2/write?org=team&bucket=batch", 204, row);
    }
}

#[test]
fn outcome_survives_the_answers_of_influxdb_3() {
    for row in &INFLUX_3 {
        check("influx", "/api/v2/write?bucket=batch", 204, row);
    }
}

#[test]
fn outcome_survives_the_answers_of_prometheus_3() {
    for row in &PROMETHEUS_3 {
        check("remote-write", "/api/v1/write", 204, row);
    }
}

#[test]
fn outcome_survives_the_answers_of_prometheus_3_to_otlp() {
    for row in &PROMETHEUS_3_OTLP {
        check("otlp", "/api/v1/otlp/v1/metrics", 200, row);
    }
}
