//! The documents of fixtures: their structure, injection by labels and errors, and the cost of many jobs.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use metrics_push::{Gateway, StoredValue};

use super::*;
use crate::jobs::{
    Delivery, GatewayStatus, Group, LocalClock, Metric, PendingRequests, RunSummary,
};

/// Thu 26 Nov 2026, 06:42:18 in Berlin.
const NOW: f64 = 1_795_671_738.0;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

fn group(labels: &[(&str, &str)], values: &[(&str, f64)]) -> Group {
    let single =
        |value| vec![Metric { labels: BTreeMap::new(), value: StoredValue::Single(value) }];
    let families = values.iter().map(|(name, value)| (format!("batch_job_{name}"), single(*value)));
    Group {
        labels: labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        families: families.collect(),
        ..Group::default()
    }
}

/// A job whose last run has ended with this outcome.
fn ended(labels: &[(&str, &str)], outcome: &str, age: f64) -> Group {
    let is_success = if outcome == "success" { 1.0 } else { 0.0 };
    let start = NOW - age;
    let mut group = group(
        labels,
        &[
            ("last_start_timestamp_seconds", start),
            ("last_completion_timestamp_seconds", start + 48.0),
            ("last_run_success", if outcome == "skipped" { 1.0 } else { is_success }),
            ("last_run_duration_seconds", 48.0),
            ("success_deadline_seconds", 2.0 * HOUR),
            ("next_run_timestamp_seconds", start + HOUR),
            ("start_grace_seconds", 10.0 * MINUTE),
        ],
    );
    let by_outcome = [("outcome".to_owned(), outcome.to_owned())].into();
    let metric = Metric { labels: by_outcome, value: StoredValue::Single(1.0) };
    group.families.insert("batch_job_last_run_outcome".to_owned(), vec![metric]);
    if matches!(outcome, "success" | "skipped") {
        set(&mut group, "last_success_timestamp_seconds", start + 48.0);
    }
    group
}

fn set(group: &mut Group, name: &str, value: f64) {
    let metric = Metric { labels: BTreeMap::new(), value: StoredValue::Single(value) };
    group.families.insert(format!("batch_job_{name}"), vec![metric]);
}

/// Hourly runs up to the last start, of which the last `failures` have failed.
fn runs(count: u32, failures: u32, last: f64, reason: Option<&str>) -> Vec<RunSummary> {
    let run = |at: u32| {
        let is_failure = at >= count - failures;
        RunSummary {
            id: format!("r{at}"),
            start: last - f64::from(count - 1 - at) * HOUR,
            duration: Some(if is_failure { 48.0 } else { 120.0 + f64::from(at * 37 % 40) }),
            outcome: Some(if is_failure { "error" } else { "success" }.to_owned()),
            reason: reason.filter(|_| is_failure).map(str::to_owned),
            ..RunSummary::default()
        }
    };
    (0..count).map(run).collect()
}

fn overview(groups: Vec<Group>, history: impl Fn(&Group) -> Vec<RunSummary>) -> Overview {
    let gateway = |host: &str, error: Option<metrics_push::Error>| GatewayStatus {
        url: format!("http://{host}:9091"),
        response_time: Duration::from_millis(4),
        last_push: Some(NOW - 12.0),
        pending: PendingRequests {
            count: if error.is_some() { 7 } else { 0 },
            oldest: error.as_ref().map(|_| NOW - 21.0 * MINUTE),
        },
        error,
    };
    let delivery = Delivery {
        gateways: vec![
            gateway("gateway-a.internal", None),
            gateway("gateway-b.internal", Some(refused())),
        ],
        ..Delivery::default()
    };
    Overview::new(groups, history, delivery, &LocalClock::at(NOW, "Europe/Berlin"))
}

/// The error of a gateway that refuses connections.
fn refused() -> metrics_push::Error {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    Gateway::new(format!("http://{address}")).unwrap().metrics().unwrap_err()
}

fn no_history(_: &Group) -> Vec<RunSummary> {
    Vec::new()
}

fn sample() -> Overview {
    let error = "Upload { key: \"eu/2026-11-26T06.csv\", status: 403, body: \"<Error><Code>ExpiredToken</Code><Message>The token expired at 2026-11-26T01:00:00Z</Message></Error>\" }";
    let mut failing = ended(&[("job", "orders_export"), ("region", "eu")], "error", 32.0 * MINUTE);
    set(&mut failing, "last_success_timestamp_seconds", NOW - 6.0 * HOUR - 29.0 * MINUTE);
    set(&mut failing, "consecutive_failures", 3.0);
    set(&mut failing, "failure_threshold", 3.0);
    let mut vanished =
        ended(&[("job", "billing_close"), ("tenant", "south")], "success", 27.0 * HOUR);
    set(&mut vanished, "last_start_timestamp_seconds", NOW - 3.7 * HOUR);
    set(&mut vanished, "max_runtime_seconds", HOUR);
    set(&mut vanished, "success_deadline_seconds", 2.0 * DAY);
    set(&mut vanished, "next_run_timestamp_seconds", NOW + 20.3 * HOUR);
    let overdue = ended(&[("job", "rates_import")], "success", 3.7 * HOUR);
    let mut never = ended(&[("job", "ledger_reconcile"), ("tenant", "west")], "panic", 2.7 * HOUR);
    set(&mut never, "failure_threshold", 5.0);
    set(&mut never, "next_run_timestamp_seconds", NOW + 17.0 * MINUTE);
    let mut flapping =
        ended(&[("job", "inventory_sync"), ("tenant", "north")], "success", 12.0 * MINUTE);
    set(&mut flapping, "failure_threshold", 3.0);
    let mut running = ended(&[("job", "warehouse_load")], "success", 24.0 * HOUR);
    for (name, value) in [
        ("last_start_timestamp_seconds", NOW - 858.0),
        ("pushed_at_timestamp_seconds", NOW - 20.0),
        ("progress_ratio", 0.62),
        ("success_deadline_seconds", 2.0 * DAY),
        ("next_run_timestamp_seconds", NOW + 23.7 * HOUR),
    ] {
        set(&mut running, name, value);
    }
    let stage = |name: &str, seconds| Metric {
        labels: [("stage".to_owned(), name.to_owned())].into(),
        value: StoredValue::Single(seconds),
    };
    let stages = vec![stage("extract", 190.0), stage("transform", 302.0), stage("load", 366.0)];
    running.families.insert("batch_job_stage_duration_seconds".to_owned(), stages.clone());
    failing.families.insert("batch_job_stage_duration_seconds".to_owned(), stages);
    let long = "customer_data_retention_and_erasure_requests_quarterly_settlement";
    let mut groups = vec![failing, vanished, overdue, never, flapping, running];
    groups.push(ended(
        &[
            ("job", long),
            ("tenant", "north"),
            ("region", "eu-central"),
            ("environment", "production"),
        ],
        "success",
        30.0 * MINUTE,
    ));
    for job in ["certificate_check", "db_backup", "invoices", "mail_digest", "session_cleanup"] {
        let mut group = ended(&[("job", job)], "success", 7.0 * MINUTE);
        set(&mut group, "last_run_records", 0.0);
        let metric = Metric {
            labels: [("result".to_owned(), "processed".to_owned())].into(),
            value: StoredValue::Single(2_876.0),
        };
        group.families.insert("batch_job_last_run_records".to_owned(), vec![metric]);
        groups.push(group);
    }
    groups.push(ended(&[("job", "log_rotate")], "skipped", 42.0 * MINUTE));
    overview(groups, |group| {
        let start = group.value("batch_job_last_start_timestamp_seconds", &[]).unwrap();
        match group.labels["job"].as_str() {
            "orders_export" => runs(30, 3, start, Some(error)),
            "ledger_reconcile" => runs(
                3,
                3,
                start,
                Some("called `Option::unwrap()` on a `None` value, src/ledger.rs:88:14"),
            ),
            "inventory_sync" => {
                let mut runs = runs(25, 7, start, Some("connection reset"));
                runs.swap(24, 2);
                runs.swap(22, 11);
                runs
            }
            "db_backup" => Vec::new(),
            "rates_import" => runs(40, 0, start, None),
            "billing_close" | "warehouse_load" => runs(20, 0, start - HOUR, None),
            _ => runs(20, 0, start, None),
        }
    })
}

#[test]
fn sample_is_written() {
    std::fs::write("/tmp/brief/s4/page-sample.html", file(&sample()).unwrap()).unwrap();
}

#[test]
fn many_jobs_render_fast() {
    let groups = (0..1_000).map(|at| {
        let job = format!("job_{at}");
        ended(
            &[("job", &job), ("region", "eu")],
            if at % 3 == 0 { "error" } else { "success" },
            60.0,
        )
    });
    let many = overview(groups.collect(), |_| runs(100, 2, NOW - 60.0, Some("connection reset")));
    let started = Instant::now();
    let html = served(&many, &Filter::default(), 10).unwrap();
    let took = started.elapsed();
    println!("{} bytes in {took:?}", html.len());
    assert!(took < Duration::from_secs(3), "{took:?}");
}
