//! Remote write: wrong clocks, replays, receivers that fail, and version 2.0.

use std::path::Path;
use std::time::Duration;

use metrics_push::prometheus::{Gauge, Registry};
use metrics_push::testing::{FakeReceiver, Fault};
use metrics_push::{Batcher, Config, GroupingKey, Job, Scope};

use crate::child::{JobCommand, ending};
use crate::faketime::with_clock;
use crate::remote_write::{PATH, SentSeries, write};
use crate::state_dir::StateDir;

use super::receivers::{RealReceiver, ReceiverKind, now};
use super::{Receiver as _, outcomes};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than any test, so that the interval causes no push.
const LONG_INTERVAL: Duration = Duration::from_secs(3_600);
const SUCCESS: &str = "batch_job_last_success_timestamp_seconds";
const FAILURE: &str = "batch_job_last_failure_timestamp_seconds";

fn with_state(command: JobCommand, state: &StateDir) -> JobCommand {
    command.variable("METRICS_PUSH_STATE_DIR", state.path())
}

/// Returns the requests that wait in a state directory.
fn spooled(state: &StateDir) -> usize {
    let Ok(spool) = std::fs::read_dir(state.path().join("spool")) else { return 0 };
    let is_request = |path: &Path| path.extension().is_some_and(|it| it == "request");
    spool.filter(|entry| is_request(&entry.as_ref().unwrap().path())).count()
}

/// Writes a sample of another program with the present time.
#[track_caller]
fn assert_accepts_others(receiver: &RealReceiver) {
    let other = SentSeries::new("up", "other", &[(now(), 1.0)]);
    let response = write(receiver.address(), PATH, &[other]);
    assert_eq!(response.status, 204, "{response:?}");
}

#[test]
fn clock_ahead_does_not_block_the_receiver_for_others() {
    for offset in ["+2h", "+400d"] {
        let receiver = RealReceiver::start(ReceiverKind::Prometheus);
        let state = StateDir::new();
        // The reading of the right clock must not be used for the wrong one.
        with_state(ending("right", &receiver.url(), &["ok"]), &state).run_to_end();
        let command = with_state(ending("ahead", &receiver.url(), &["ok"]), &state);
        let ended = with_clock(command, offset).run_to_end();
        assert_accepts_others(&receiver);
        let values = receiver.wait_for("ahead", |values| !outcomes(values).is_empty());
        assert_eq!(outcomes(&values), ["success"], "{offset}: {ended:?}");
        let log = ended.log_lines.join("\n");
        assert_eq!(log.matches("ahead of that of").count(), 1, "{offset}: {log}");
        // The value is the time of the job.
        assert!(values[SUCCESS] > now() as f64 / 1_000.0 + 3_600.0, "{offset}: {values:?}");
        with_state(ending("right", &receiver.url(), &["err"]), &state).run_to_end();
        let values = receiver.values("right");
        assert_eq!(outcomes(&values), ["error"], "{offset}");
        assert_eq!(spooled(&state), 0, "{offset}");
    }
}

#[test]
fn outcome_is_delivered_if_the_clock_is_behind() {
    // Prometheus rejects samples that are an hour older than the newest one, and those that are older than the newest
    // sample of their series.
    for offset in ["-2h", "-10m"] {
        let receiver = RealReceiver::start(ReceiverKind::Prometheus);
        let state = StateDir::new();
        let earlier =
            SentSeries::new("batch_job_last_run_success", "behind", &[(now() - 5_000, 1.0)]);
        write(receiver.address(), PATH, &[earlier]);
        let command = with_state(ending("behind", &receiver.url(), &["err"]), &state);
        let ended = with_clock(command, offset).run_to_end();
        let values = receiver.values("behind");
        assert_eq!(outcomes(&values), ["error"], "{offset}: {ended:?}");
        assert_eq!(values["batch_job_last_run_success"].to_bits(), 0, "{offset}: {ended:?}");
        let log = ended.log_lines.join("\n");
        assert_eq!(log.matches("behind that of").count(), 1, "{offset}: {log}");
        with_state(ending("behind", &receiver.url(), &["ok"]), &state).run_to_end();
        assert_eq!(outcomes(&receiver.values("behind")), ["success"], "{offset}");
        assert_eq!(spooled(&state), 0, "{offset}");
    }
}

#[test]
fn replays_in_any_order_end_with_the_newest_outcome() {
    for kind in [ReceiverKind::Prometheus, ReceiverKind::VictoriaMetrics] {
        let receiver = RealReceiver::start(kind);
        // Three machines, each with an outcome that waits for the receiver.
        let machines = [["ok"], ["err"], ["ok"]].map(|arguments| {
            let state = StateDir::new();
            receiver.freeze(|| {
                let command = ending("replayed", &receiver.url(), &arguments);
                let command = command.variable("METRICS_PUSH_TIMEOUT", "2s");
                with_state(command, &state).run_to_end();
            });
            assert_eq!(spooled(&state), 1);
            state
        });
        for number in [2, 0, 1] {
            let command = ending("other", &receiver.url(), &["ok"]);
            with_state(command, &machines[number]).run_to_end();
            assert_eq!(spooled(&machines[number]), 0, "{kind:?}: {number}");
        }
        // The clock of VictoriaMetrics has whole seconds, so that a query does not return the newest samples at once.
        let values = receiver.wait_for("replayed", |values| {
            values.contains_key(FAILURE) && outcomes(values) == ["success"]
        });
        let newest = |name: &str| {
            let expression = format!("max_over_time({name}{{job=\"replayed\"}}[1h])");
            receiver.query(&expression)[0].1
        };
        assert!(newest(SUCCESS) > newest(FAILURE), "{kind:?}: {values:?}");
    }
}

#[test]
fn killed_or_frozen_receiver_loses_no_outcome() {
    for kind in [ReceiverKind::Prometheus, ReceiverKind::VictoriaMetrics] {
        let state = StateDir::new();
        let receiver = RealReceiver::start(kind);
        let url = receiver.url();
        let run_with = |timeout: &str, argument: &str| {
            let command = ending("outage", &url, &[argument]);
            let command = command.variable("METRICS_PUSH_TIMEOUT", timeout);
            with_state(command, &state).run_to_end()
        };
        let run = |argument: &str| run_with("60s", argument);
        run("ok");
        receiver.wait_for("outage", |values| outcomes(values) == ["success"]);
        let receiver = receiver.restart(|| drop(run("err")));
        assert_eq!(spooled(&state), 1, "{kind:?}");
        let other = with_state(ending("other", &url, &["ok"]), &state).run_to_end();
        assert_eq!(spooled(&state), 0, "{kind:?}: {other:?}");
        let values = receiver.wait_for("outage", |values| outcomes(values) == ["error"]);
        assert!(values.contains_key(FAILURE), "{kind:?}");
        receiver.freeze(|| drop(run_with("2s", "panic")));
        assert_eq!(spooled(&state), 1, "{kind:?}");
        run("ok");
        assert_eq!(spooled(&state), 0, "{kind:?}");
        receiver.wait_for("outage", |values| outcomes(values) == ["success"]);
    }
}

fn scope(receiver: &RealReceiver) -> Scope {
    Config::default().url(receiver.url()).unwrap().scope().unwrap()
}

/// Runs a task in this process whose metrics are these gauges, and waits until its requests have arrived.
fn run_task(name: &str, gauges: &[&str], result: Result<(), &'static str>) {
    let ended = Job::with_name(name).run(|run| {
        for name in gauges {
            run.gauge(name, "A gauge.").unwrap().set(1.0);
        }
        result
    });
    assert_eq!(ended, result);
    assert_eq!(metrics_push::flush(TIMEOUT), 0);
}

#[test]
fn start_and_end_within_one_millisecond_are_both_stored() {
    let receiver = RealReceiver::start(ReceiverKind::Prometheus);
    let _scope = scope(&receiver);
    for number in 0..50 {
        let result = if number % 3 == 0 { Err("no input") } else { Ok(()) };
        run_task("fast", &[], result);
        let expected = if result.is_ok() { "success" } else { "error" };
        assert_eq!(outcomes(&receiver.values("fast")), [expected], "run {number}");
    }
}

#[test]
fn requests_made_within_one_millisecond_are_both_stored() {
    let receiver = RealReceiver::start(ReceiverKind::Prometheus);
    let _scope = scope(&receiver);
    for number in 0..20 {
        let key = GroupingKey::new(format!("twice_{number}")).unwrap();
        let batchers = [1.0, 2.0].map(|value| {
            let (batcher, registry) = (Batcher::new(LONG_INTERVAL), Registry::new());
            let gauge = Gauge::new("rows", "Rows.").unwrap();
            gauge.set(value);
            registry.register(Box::new(gauge)).unwrap();
            batcher.add(key.clone(), &registry).unwrap();
            batcher
        });
        for batcher in &batchers {
            assert_eq!(batcher.flush(TIMEOUT), 0);
        }
        receiver.wait_for_value(&format!("rows{{job=\"twice_{number}\"}}"), 2.0);
    }
}

#[test]
fn old_series_among_new_ones_does_not_lose_the_others() {
    let gauges = ["bytes", "files", "rows", "seconds"];
    let receiver = RealReceiver::start(ReceiverKind::Prometheus);
    let _scope = scope(&receiver);
    for bad in gauges {
        // The receiver has a newer sample of one of the metrics.
        let newer = SentSeries::new(bad, bad, &[(now() + 5 * 60_000, 9.0)]);
        assert_eq!(write(receiver.address(), PATH, &[newer]).status, 204);
        run_task(bad, &gauges, Ok(()));
        assert_eq!(outcomes(&receiver.values(bad)), ["success"], "{bad}");
        for name in gauges.into_iter().filter(|name| *name != bad) {
            receiver.wait_for_value(&format!("{name}{{job=\"{bad}\"}}"), 1.0);
        }
    }
}

#[test]
fn refused_request_does_not_lose_those_in_the_same_call() {
    const TASKS: usize = 200;
    let receiver = RealReceiver::start(ReceiverKind::Prometheus);
    let _scope = scope(&receiver);
    let name = |number: usize| format!("joined_{number}");
    let is_refused = |number: usize| number % 40 == 7;
    for number in (0..TASKS).filter(|number| is_refused(*number)) {
        // The receiver has a newer sample of one of the metrics.
        let newer = SentSeries::new("rows", &name(number), &[(now() + 5 * 60_000, 9.0)]);
        assert_eq!(write(receiver.address(), PATH, &[newer]).status, 204);
    }
    for number in 0..TASKS {
        let job = Job::with_name(name(number));
        job.run(|run| run.gauge("rows", "Rows.").map(|gauge| gauge.set(1.0))).unwrap();
    }
    assert_eq!(metrics_push::flush(TIMEOUT), 0);
    for number in 0..TASKS {
        let values = receiver.values(&name(number));
        assert_eq!(outcomes(&values), ["success"], "{number}");
        assert!(is_refused(number) || values["rows"] == 1.0, "{number}: {values:?}");
    }
}

#[test]
fn metric_that_a_success_no_longer_has_ends() {
    for kind in [ReceiverKind::Prometheus, ReceiverKind::VictoriaMetrics] {
        let receiver = RealReceiver::start(kind);
        let _scope = scope(&receiver);
        run_task("ending", &["rows", "bytes"], Ok(()));
        receiver.wait_for_value("rows{job=\"ending\"}", 1.0);
        run_task("ending", &["bytes"], Ok(()));
        receiver.wait_for_value("count(rows{job=\"ending\"}) or vector(0)", 0.0);
        receiver.wait_for_value("bytes{job=\"ending\"}", 1.0);
    }
}

#[test]
fn metric_ends_if_the_next_process_does_not_send_it() {
    for kind in [ReceiverKind::Prometheus, ReceiverKind::VictoriaMetrics] {
        let (receiver, state) = (RealReceiver::start(kind), StateDir::new());
        let run = |arguments: &[&str]| {
            with_state(ending("ending", &receiver.url(), arguments), &state).run_to_end();
        };
        run(&["gauge=rows", "gauge=bytes", "ok"]);
        receiver.wait_for_value("rows{job=\"ending\"}", 1.0);
        run(&["gauge=bytes", "ok"]);
        receiver.wait_for_value("count(rows{job=\"ending\"}) or vector(0)", 0.0);
        receiver.wait_for_value("bytes{job=\"ending\"}", 1.0);
    }
}

#[test]
fn version_2_falls_back_to_a_receiver_of_version_1() {
    let receiver = RealReceiver::start(ReceiverKind::Prometheus);
    let command = ending("second", &receiver.url(), &["ok"]);
    let ended = command.variable("METRICS_PUSH_REMOTE_WRITE", "2").run_to_end();
    let values = receiver.wait_for("second", |values| !outcomes(values).is_empty());
    assert_eq!(outcomes(&values), ["success"]);
    let log = ended.log_lines.join("\n");
    assert!(log.contains("does not support remote write 2.0"), "{log}");
}

#[test]
fn version_2_reaches_a_receiver_that_supports_it() {
    let receiver = FakeReceiver::builder().prometheus_3().start();
    let command = ending("second", &receiver.url(), &["ok"]);
    let ended = command.variable("METRICS_PUSH_REMOTE_WRITE", "2").run_to_end();
    receiver.after_run("second", &[]).assert_outcome("success");
    assert!(ended.log_lines.is_empty(), "{ended:?}");
    for request in receiver.requests() {
        assert_eq!(request.header("x-prometheus-remote-write-version"), Some("2.0.0"));
    }
}

#[test]
fn answer_that_is_lost_does_not_lose_the_outcome() {
    let receiver = FakeReceiver::start();
    receiver.fault(Fault::close().after_storing());
    let state = StateDir::new();
    let command = ending("lost", &receiver.url(), &["ok"]);
    let command = command.variable("METRICS_PUSH_TIMEOUT", "1s");
    with_state(command, &state).run_to_end();
    assert_eq!(spooled(&state), 1);
    receiver.heal();
    with_state(ending("other", &receiver.url(), &["ok"]), &state).run_to_end();
    receiver.after_run("lost", &[]).assert_outcome("success");
    assert_eq!(spooled(&state), 0);
}

#[test]
fn credentials_and_tenant_reach_the_receiver() {
    let receiver = FakeReceiver::start();
    receiver.require_basic_auth("123456", "access-policy-token");
    ending("grafana", &receiver.url(), &["ok"])
        .variable("METRICS_PUSH_USERNAME", "123456")
        .variable("METRICS_PUSH_PASSWORD", "access-policy-token")
        .variable("METRICS_PUSH_HEADERS", "X-Scope-OrgID=team")
        .run_to_end();
    receiver.wait_for(Duration::from_secs(60), |receiver| {
        !receiver.group("grafana", &[]).families.is_empty()
    });
    assert!(receiver.requests().iter().all(|it| it.header("x-scope-orgid") == Some("team")));
}
