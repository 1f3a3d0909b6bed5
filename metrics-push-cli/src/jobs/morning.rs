//! The jobs of one morning, for tests: each state at least once, long names, and a gateway that is down.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics_push::{BreakerState, Gateway, StoredValue};

use super::{
    Delivery, GatewayStatus, Group, LocalClock, Metric, Overview, PendingRequests, Records,
    RunSummary,
};

/// Thu 26 Nov 2026, 06:42:18 in Berlin.
const NOW: f64 = 1_795_671_738.0;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;

const REASON: &str = r#"Upload { key: "eu/2026-11-26T06.csv", status: 403, body: "<Error><Code>ExpiredToken</Code><Message>The token expired at 2026-11-26T01:00:00Z</Message></Error>" }"#;

/// A clock at that morning.
pub(crate) fn clock() -> LocalClock {
    LocalClock::at(NOW, "Europe/Berlin")
}

/// Returns the overview of that morning.
pub(crate) fn overview() -> Overview {
    let jobs = jobs();
    let runs = |group: &Group| {
        let job = jobs.iter().find(|job| job.group.labels == group.labels);
        job.map(JobOfMorning::runs).unwrap_or_default()
    };
    Overview::new(jobs.iter().map(|job| job.group.clone()), runs, delivery(), &clock())
}

fn delivery() -> Delivery {
    let unreachable = Gateway::new("http://127.0.0.1:9").and_then(|gateway| gateway.ready());
    let up = GatewayStatus {
        url: "http://gateway-a.internal:9091".to_owned(),
        error: None,
        response_time: Duration::from_millis(4),
        last_push: Some(NOW - 12.0),
        breaker: Some(BreakerState::Closed),
        pending: PendingRequests::default(),
    };
    let down = GatewayStatus {
        url: "http://gateway-b.internal:9091".to_owned(),
        error: unreachable.err(),
        last_push: None,
        breaker: Some(BreakerState::Open),
        pending: PendingRequests { count: 7, oldest: Some(at(6.0, 21.0)) },
        ..up.clone()
    };
    Delivery { gateways: vec![up, down], other_pending: BTreeMap::new() }
}

/// Today at this time.
fn at(hour: f64, minute: f64) -> f64 {
    let midnight = NOW - (6.0 * HOUR + 42.0 * MINUTE + 18.0);
    midnight + hour * HOUR + minute * MINUTE
}

struct JobOfMorning {
    group: Group,
    /// The marks of its runs.
    strip: &'static str,
    /// The stage in which its failed runs failed, and the reason.
    failed_stage: Option<&'static str>,
    reason: &'static str,
    interval: f64,
}

impl JobOfMorning {
    /// A job that started at a time of this day, took some seconds and succeeded.
    fn new(name: &str, [hour, minute]: [f64; 2], took: f64) -> Self {
        let mut job = Self {
            group: Group::default(),
            strip: "",
            failed_stage: None,
            reason: REASON,
            interval: DAY,
        };
        job.group.labels.insert("job".to_owned(), name.to_owned());
        let start = at(hour, minute);
        job.set("last_start_timestamp_seconds", start)
            .set("last_completion_timestamp_seconds", start + took)
            .set("last_success_timestamp_seconds", start + took)
            .set("last_run_duration_seconds", took)
            .set("last_run_success", 1.0)
            .set("consecutive_failures", 0.0)
            .outcome("success")
    }

    fn label(mut self, name: &str, value: &str) -> Self {
        self.group.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    fn metric(mut self, name: &str, labels: &[(&str, &str)], value: f64) -> Self {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let metric = Metric { labels: labels.collect(), value: StoredValue::Single(value) };
        self.group.families.insert(format!("batch_job_{name}"), vec![metric]);
        self
    }

    fn set(self, name: &str, value: f64) -> Self {
        self.metric(name, &[], value)
    }

    fn outcome(self, outcome: &str) -> Self {
        self.metric("last_run_outcome", &[("outcome", outcome)], 1.0)
    }

    fn records(self, processed: f64) -> Self {
        self.metric("last_run_records", &[("result", "processed")], processed)
    }

    /// Sets the time from one start to the next, and the next run.
    fn every(mut self, interval: f64) -> Self {
        self.interval = interval;
        let start = self.start();
        self.set("next_run_timestamp_seconds", start + interval)
    }

    fn strip(mut self, strip: &'static str) -> Self {
        self.strip = strip;
        self
    }

    fn failed_stage(mut self, stage: &'static str) -> Self {
        self.failed_stage = Some(stage);
        self
    }

    fn reason(mut self, reason: &'static str) -> Self {
        self.reason = reason;
        self
    }

    /// The last run failed like the runs before it.
    fn failed(self, outcome: &str, failures: f64, threshold: f64) -> Self {
        self.outcome(outcome)
            .set("last_run_success", 0.0)
            .set("consecutive_failures", failures)
            .set("failure_threshold", threshold)
    }

    fn last_success(mut self, instant: Option<f64>) -> Self {
        self.group.families.remove("batch_job_last_success_timestamp_seconds");
        match instant {
            Some(instant) => self.set("last_success_timestamp_seconds", instant),
            None => self,
        }
    }

    /// The last run has not ended. It sent its last heartbeat at this time.
    fn open(self, heartbeat: f64, progress: f64) -> Self {
        let previous = self.start() - DAY;
        self.set("last_completion_timestamp_seconds", previous)
            .set("pushed_at_timestamp_seconds", heartbeat)
            .set("progress_ratio", progress)
    }

    fn start(&self) -> f64 {
        self.group.value("batch_job_last_start_timestamp_seconds", &[]).unwrap_or_default()
    }

    /// The runs of the strip that have ended, oldest first.
    fn runs(&self) -> Vec<RunSummary> {
        let ended: Vec<char> = self.strip.chars().collect();
        let is_open = self.group.families.contains_key("batch_job_progress_ratio");
        let last = self.start() - if is_open { self.interval } else { 0.0 };
        let took = self.group.value("batch_job_last_run_duration_seconds", &[]);
        let run = |(number, mark): (usize, &char)| {
            let before = u32::try_from(ended.len() - 1 - number).unwrap_or_default();
            let (outcome, reason) = match mark {
                '▮' => ("success", None),
                '▯' => ("skipped", None),
                _ => ("error", Some(self.reason.to_owned())),
            };
            RunSummary {
                id: format!("run{number}"),
                start: last - f64::from(before) * self.interval,
                duration: took
                    .map(|took| took * [2.9, 3.0, 2.7][number % 3])
                    .filter(|_| reason.is_none())
                    .or(took),
                records: Records {
                    processed: self
                        .group
                        .value("batch_job_last_run_records", &[("result", "processed")]),
                    ..Records::default()
                },
                outcome: Some(outcome.to_owned()),
                failed_stage: self.failed_stage.filter(|_| outcome == "error").map(str::to_owned),
                reason,
                ..RunSummary::default()
            }
        };
        ended.iter().enumerate().map(run).collect()
    }
}

fn jobs() -> Vec<JobOfMorning> {
    const SUCCESSES: &str = "▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮";
    let job = JobOfMorning::new;
    let invoices = |tenant, took, records| {
        job("invoices", [6.0, 5.0], took)
            .label("tenant", tenant)
            .records(records)
            .every(HOUR)
            .strip(SUCCESSES)
    };
    let customers = "customer_data_retention_and_erasure_requests_quarterly_settlement";
    vec![
        job("certificate_check", [6.0, 0.0], 3.0).records(62.0).every(6.0 * HOUR).strip(SUCCESSES),
        job(customers, [4.0, 15.0], 5_172.0)
            .label("tenant", "north")
            .label("region", "eu-central")
            .label("environment", "production")
            .records(89_679.0)
            .every(DAY)
            .strip(SUCCESSES),
        job("db_backup", [3.0, 0.0], 1_112.0).label("instance", "db-1").every(DAY).strip(SUCCESSES),
        job("db_backup", [3.0, 30.0], 1_264.0).label("instance", "db-2").every(DAY),
        invoices("north", 47.0, 1_155.0),
        invoices("south", 33.0, 773.0).strip("▮▮▮▮▮▮▮▮▮▮▮✗▮▮▮▮▮▮▮▮"),
        invoices("west", 19.0, 424.0),
        job("log_rotate", [6.0, 0.0], 0.01)
            .outcome("skipped")
            .last_success(Some(at(4.0, 0.0)))
            .every(HOUR)
            .strip("▮▮▮▯▮▮▮▯▮▮▮▯▮▮▯▮▯▯▮▯"),
        job("mail_digest", [6.0, 30.0], 74.0).records(2_876.0).every(DAY).strip(SUCCESSES),
        job("search_reindex", [4.0, 20.0], 422.0)
            .records(228_033.0)
            .every(4.0 * HOUR)
            .strip(SUCCESSES),
        job("session_cleanup", [6.0, 30.0], 1.0)
            .records(5_708.0)
            .every(15.0 * MINUTE)
            .strip(SUCCESSES),
        job("thumbnail_rebuild", [5.0, 40.0], 192.0)
            .records(875.0)
            .every(2.0 * HOUR)
            .strip("▮▮▮▮▮✗▮▮▮▮▮▮▮▮▮▮▮▮▮▮"),
        job("warehouse_load", [6.0, 28.0], 1_320.0)
            .last_success(Some(at(6.0, 50.0) - DAY))
            .every(DAY)
            .open(at(6.0, 41.0), 0.625)
            .strip("▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮"),
        job("inventory_sync", [6.0, 30.0], 21.0)
            .label("tenant", "north")
            .records(370.0)
            .set("failure_threshold", 3.0)
            .every(15.0 * MINUTE)
            .strip("▮▮✗▮▮▮✗✗▮▮✗▮▮▮✗✗▮▮✗▮"),
        job("orders_export", [6.0, 10.0], 48.0)
            .label("region", "eu")
            .records(48_210.0)
            .failed("error", 3.0, 3.0)
            .failed_stage("upload")
            .set("failing_since_timestamp_seconds", at(2.0, 10.0))
            .set("start_grace_seconds", 10.0 * MINUTE)
            .metric(
                "info",
                &[("schedule", "10 */2 * * *"), ("timezone", "Europe/Berlin"), ("version", "2.14")],
                1.0,
            )
            .last_success(Some(at(0.0, 12.35)))
            .set("success_deadline_seconds", 16_020.0)
            .every(2.0 * HOUR)
            .strip("▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮✗✗✗"),
        job("billing_close", [3.0, 0.0], 1_200.0)
            .label("tenant", "south")
            .last_success(Some(at(3.0, 20.0) - DAY))
            .set("max_runtime_seconds", HOUR)
            .every(DAY)
            .open(at(3.0, 41.0), 0.785)
            .strip("▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮"),
        job("rates_import", [3.0, 2.0], 41.0)
            .records(1_754.0)
            .set("success_deadline_seconds", 2.0 * HOUR)
            .every(HOUR)
            .strip("▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮"),
        job("ledger_reconcile", [4.0, 0.0], 2.0)
            .label("tenant", "west")
            .failed("panic", 3.0, 5.0)
            .reason("called `Option::unwrap()` on a `None` value, src/ledger.rs:88:14")
            .last_success(None)
            .set("success_deadline_seconds", 6.0 * HOUR)
            .every(3.0 * HOUR)
            .strip("✗✗✗"),
    ]
}
