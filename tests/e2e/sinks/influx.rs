//! What only the InfluxDB sink does.

use crate::child::{JobCommand, ending, send_signal};
use crate::faketime::with_clock;
use crate::state_dir::StateDir;

use super::influx_db::InfluxDb;
use super::victoria_metrics::VictoriaMetrics;
use super::{Receiver, job_program_with, outcomes};

const JOB: &str = "metric_types";
const FAILURE: &str = "last_failure_timestamp_seconds";
const SUCCESS: &str = "last_success_timestamp_seconds";

/// Label values that line protocol escapes, and those that the servers store.
fn label_values() -> [(String, String); 8] {
    let long = "x".repeat(255);
    let same = |value: &str| (value.to_owned(), value.to_owned());
    [
        ("line\nbreak".into(), "line break".into()),
        same("a \"quote\""),
        ("ends with \\".into(), "ends with /".into()),
        (r"a\,b".into(), "a/,b".into()),
        same(r"C:\data"),
        same("a b,c=d"),
        same("é/b"),
        same(&long),
    ]
}

fn metric_types(url: &str) -> JobCommand {
    let values = label_values().map(|(value, _)| value);
    job_program_with("metric_types", &values).gateway(url)
}

#[test]
fn label_values_and_histograms_are_stored() {
    stores_label_values_and_histograms(&InfluxDb::start(), "rows", "orders_total");
    stores_label_values_and_histograms(
        &VictoriaMetrics::start(),
        "rows_value",
        "orders_total_value",
    );
}

/// `gauge` and `counter` are the names of the stored metrics.
fn stores_label_values_and_histograms(receiver: &impl Receiver, gauge: &str, counter: &str) {
    let ended = metric_types(&receiver.url()).run_to_end();
    assert!(ended.status.success() && ended.log_lines.is_empty(), "{ended:?}");
    let stored = receiver.wait_for(JOB, |values| !outcomes(values).is_empty());
    let value = |name: &str, labels: &[(&str, &str)]| {
        let labels = labels.iter().copied().chain([("shard", "a b,c=d")]);
        stored.get(&super::series(name, labels)).copied()
    };
    for (_, label) in label_values() {
        assert_eq!(value(gauge, &[("of", &label)]), Some(3.5), "{label:?}: {stored:?}");
    }
    assert_eq!(value(counter, &[]), Some(17.0), "{stored:?}");
    for (bound, count) in [("1", 1.0), ("10", 3.0), ("+Inf", 4.0)] {
        assert_eq!(value("size_bytes_bucket", &[("le", bound)]), Some(count), "{stored:?}");
    }
    assert_eq!(value("size_bytes_count", &[]), Some(4.0), "{stored:?}");
    assert_eq!(value("size_bytes_sum", &[]), Some(61.5), "{stored:?}");
}

#[test]
fn metric_of_another_type_does_not_stop_the_outcome() {
    let influx = InfluxDb::start();
    assert_eq!(influx.write("orders_total value=1i").status, 204);
    let ended = metric_types(&influx.url()).run_to_end();
    let [line] = &ended.log_lines[..] else { panic!("{ended:?}") };
    assert!(line.contains("orders_total") && line.contains("InfluxDB rejected some"), "{line}");
    assert!(line.contains("was pushed without"), "{line}");
    let stored = influx.values(JOB);
    assert!(stored.keys().any(|name| name.contains("outcome=\"success\"")), "{stored:?}");
    assert!(stored.keys().any(|name| name.starts_with("rows{")), "{stored:?}");
}

#[test]
fn field_of_another_type_does_not_stop_the_rest_of_the_outcome() {
    let influx = InfluxDb::start();
    assert_eq!(influx.write("batch_job last_run_success=1i").status, 204);
    let ended = ending("conflict", &influx.url(), &["err"]).run_to_end();
    let [line] = &ended.log_lines[..] else { panic!("{ended:?}") };
    assert!(line.contains("last_run_success"), "{line}");
    let stored = influx.values("conflict");
    assert_eq!(outcomes(&stored), ["error"]);
    assert!(stored.contains_key("batch_job_last_failure_timestamp_seconds"), "{stored:?}");
}

#[test]
fn outcome_waits_until_the_database_exists() {
    let influx = InfluxDb::start();
    let state = StateDir::new();
    let url = influx.database("later");
    let run = |arguments: &[&str]| {
        ending("waits", &url, arguments)
            .variable("METRICS_PUSH_STATE_DIR", state.path())
            .run_to_end()
    };
    let ended = run(&["err"]);
    let log = ended.log_lines.join("\n");
    assert!(log.contains("the database or bucket does not exist"), "{log}");
    assert!(log.contains("create it, or check its name"), "{log}");
    influx.query("CREATE DATABASE later");
    let ended = run(&["ok"]);
    assert!(ended.log_lines.is_empty(), "{ended:?}");
    let points = |field: &str| {
        let query = format!("SELECT count({field}) FROM later..batch_job WHERE job = 'waits'");
        influx.query(&query)[0]["values"][0][1].as_u64()
    };
    assert_eq!(points(FAILURE), Some(1));
    assert_eq!(points(SUCCESS), Some(1));
}

#[test]
fn outcome_survives_a_dead_and_a_frozen_server() {
    let influx = InfluxDb::start();
    let state = StateDir::new();
    let (url, address) = (influx.url(), influx.address().to_string());
    let run_with = |timeout: &str, argument: &str| {
        let command = ending("outage", &url, &[argument]).variable("METRICS_PUSH_TIMEOUT", timeout);
        command.variable("METRICS_PUSH_STATE_DIR", state.path()).run_to_end()
    };
    let run = |argument: &str| run_with("60s", argument);
    let points = |influx: &InfluxDb, field: &str| {
        let query = format!("SELECT count(distinct({field})) FROM batch_job WHERE job = 'outage'");
        influx.query(&query).first().map(|series| series["values"][0][1].as_u64().unwrap())
    };
    let influx = influx.restart(|| {
        let ended = run("err");
        assert!(ended.log_lines.iter().any(|line| line.contains(&address)), "{ended:?}");
    });
    run("ok");
    assert_eq!(points(&influx, FAILURE), Some(1));
    assert_eq!(points(&influx, SUCCESS), Some(1));

    send_signal(influx.id(), "STOP");
    let ended = run_with("2s", "err");
    send_signal(influx.id(), "CONT");
    assert!(ended.log_lines.iter().any(|line| line.contains(&address)), "{ended:?}");
    run("ok");
    // The server may have received the request while it was frozen. Each attempt has the same value.
    assert_eq!(points(&influx, FAILURE), Some(2));
    assert_eq!(points(&influx, SUCCESS), Some(2));
    assert_eq!(outcomes(&influx.values("outage")), ["success"]);
}

#[test]
fn wrong_clock_is_replaced_by_that_of_the_server() {
    let influx = InfluxDb::start();
    let ahead = ending("ahead", &influx.url(), &["ok"]);
    let ended = with_clock(ahead, "+2h").run_to_end();
    let [line] = &ended.log_lines[..] else { panic!("{ended:?}") };
    assert!(line.contains("the clock of this machine is ahead"), "{line}");
    ending("ahead", &influx.url(), &["err"]).run_to_end();
    // The points of the first run are not ahead of those of the second one.
    assert_eq!(outcomes(&influx.values("ahead")), ["error"]);
}
