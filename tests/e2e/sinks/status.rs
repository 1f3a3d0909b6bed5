//! `metrics-push status --prometheus` on the query APIs of real servers.

use std::time::Duration;

use metrics_push::{Config, Gateway, GroupingKey, Job, Outcome};
use serde_json::Value;

use crate::child::ending;
use crate::cli::metrics_push_program;
use crate::programs::command;
use crate::real::{Prometheus, Pushgateway};

use super::receivers::{RealReceiver, ReceiverKind};
use super::{Receiver as _, outcomes};

/// The exit code and the JSON document of `status`.
fn status(arguments: &[&str]) -> (Option<i32>, Value) {
    let mut status = command(metrics_push_program());
    let output = status.args(["status", "--json"]).args(arguments).output().unwrap();
    let json = serde_json::from_slice(&output.stdout);
    (output.status.code(), json.unwrap_or_else(|error| panic!("{error}: {output:?}")))
}

/// The values of the jobs that every source has.
fn jobs(document: &Value) -> Vec<Vec<Value>> {
    const FIELDS: [&str; 12] = [
        "labels",
        "state",
        "needs_attention",
        "outcome",
        "is_running",
        "last_start_timestamp_seconds",
        "last_completion_timestamp_seconds",
        "last_success_timestamp_seconds",
        "success_deadline_seconds",
        "last_run_duration_seconds",
        "last_run_exit_code",
        "last_run_records",
    ];
    let jobs = document["jobs"].as_array().unwrap().iter();
    jobs.map(|job| FIELDS.map(|field| job[field].clone()).to_vec()).collect()
}

#[test]
fn status_of_scraped_groups_is_that_of_the_gateway() {
    let gateway = Pushgateway::start();
    let prometheus = Prometheus::scraping(gateway.address(), Duration::from_secs(1));
    let _scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
    let job = Job::new("orders").every(Duration::from_secs(3_600)).whole_process();
    for (region, outcome) in [("", Outcome::Success), ("eu/b c", Outcome::Error)] {
        let run = job.start_with(&[("region", &region)]);
        run.add_processed(48_210);
        run.finish(outcome);
    }
    let completions = "batch_job_last_completion_timestamp_seconds";
    prometheus.wait_for(completions, |found| found.len() == 2);
    let url = format!("http://{}", prometheus.address());
    let (code, from_prometheus) = status(&["--prometheus", &url]);
    let (expected, from_gateway) = status(&["--url", &gateway.url()]);
    assert_eq!((code, expected), (Some(1), Some(1)));
    assert_eq!(jobs(&from_prometheus), jobs(&from_gateway));

    // The last samples of a deleted group are still within the window.
    let key = GroupingKey::new("orders").unwrap().label("region", "eu/b c").unwrap();
    Gateway::new(gateway.url()).unwrap().delete(&key).unwrap();
    prometheus.wait_for(completions, |found| found.len() == 1);
    let (code, document) = status(&["--prometheus", &url]);
    assert_eq!((code, jobs(&document).len()), (Some(0), 1), "{document}");
}

#[test]
fn status_of_samples_is_read_from_prometheus_and_victoria_metrics() {
    for kind in [ReceiverKind::Prometheus, ReceiverKind::VictoriaMetrics] {
        let receiver = RealReceiver::start(kind);
        for (job, argument) in [("fine", "ok"), ("broken", "exit-3"), ("idle", "skip")] {
            ending(job, &receiver.url(), &[argument]).run_to_end();
            receiver.wait_for(job, |values| !outcomes(values).is_empty());
        }
        let url = format!("http://{}", receiver.address());
        let (code, document) = status(&["--prometheus", &url]);
        let states: Vec<_> = document["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|job| (job["labels"]["job"].as_str().unwrap(), job["state"].as_str().unwrap()))
            .collect();
        let expected = [("fine", "success"), ("idle", "skipped"), ("broken", "failing")];
        assert_eq!((code, states), (Some(1), expected.to_vec()), "{kind:?}: {document}");
        assert_eq!(document["jobs"][2]["last_run_exit_code"], 3, "{kind:?}: {document}");
    }
}

#[test]
fn status_explains_a_server_without_a_query_api() {
    let gateway = Pushgateway::start();
    let mut status = command(metrics_push_program());
    let output = status.args(["status", "--prometheus", &gateway.url()]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("No query API of Prometheus responds at this URL"), "{stderr}");
    assert!(stderr.contains("check the port (9090 by default)"), "{stderr}");
}
