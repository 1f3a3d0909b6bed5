//! Remote write to a fake receiver.

use std::time::{Duration, SystemTime};

use metrics_push::testing::{FakeGateway, FakeReceiver, Fault};
use metrics_push::{Batcher, Config, GroupingKey, Job, Scope};

use crate::child::ending;
use crate::flushes::{delay_flushes, flush};
use crate::state_dir::StateDir;

const TIMEOUT: Duration = Duration::from_secs(20);
/// How long a receiver takes for a call, so that requests wait together even if a busy machine creates them slowly.
const STALL: Duration = Duration::from_secs(1);

fn scope(receiver: &FakeReceiver) -> Scope {
    Config::default().url(receiver.url()).unwrap().scope().unwrap()
}

/// Runs a task in this process, and waits until its requests have arrived.
fn run_task(name: &str, result: Result<(), &'static str>) {
    assert_eq!(Job::with_name(name).run(|_| result), result);
    flush();
}

#[test]
fn first_request_of_a_sink_is_empty() {
    let receiver = FakeReceiver::start();
    let _scope = scope(&receiver);
    for _ in 0..3 {
        run_task("first", Ok(()));
    }
    let is_empty: Vec<_> = receiver.requests().iter().map(|it| it.body == [0]).collect();
    assert!(is_empty[0] && is_empty.len() > 3, "{is_empty:?}");
    assert!(!is_empty[1..].contains(&true), "{is_empty:?}");
    receiver.after_run("first", &[]).assert_outcome("success");
}

#[test]
fn samples_whose_response_is_lost_are_sent_again_unchanged() {
    let receiver = FakeReceiver::start();
    // A batch sends the start and the end of a run in one request.
    let config = Config::default().url(receiver.url()).unwrap().batch(TIMEOUT);
    let _scope = config.scope().unwrap();
    run_task("first", Ok(()));
    let before = receiver.requests().len();
    receiver.fail_next(1, Fault::close().after_storing());
    let delay = delay_flushes();
    Job::with_name("lost").run(|_| Ok::<_, ()>(())).unwrap();
    drop(delay);
    flush();
    let bodies: Vec<_> =
        receiver.requests().split_off(before).into_iter().map(|it| it.body).collect();
    let [lost, again] = &bodies[..] else { panic!("{} requests", bodies.len()) };
    assert_eq!(lost, again);
}

#[test]
fn samples_have_the_time_of_the_receiver_if_this_clock_is_ahead() {
    let behind = Duration::from_secs(400 * 24 * 3_600);
    let receiver = FakeReceiver::builder().clock_behind(behind).start();
    let _scope = scope(&receiver);
    for result in [Ok(()), Err("no input"), Ok(())] {
        run_task("ahead", result);
    }
    let now = SystemTime::now() - behind;
    for point in receiver.series().iter().flat_map(|series| &series.samples) {
        assert!(point.time <= now && point.time + TIMEOUT > now, "{receiver}");
    }
    receiver.after_run("ahead", &[]).assert_outcome("success");
}

#[test]
fn every_request_has_the_headers_of_the_specification() {
    let receiver = FakeReceiver::start();
    let _scope = scope(&receiver);
    run_task("headers", Ok(()));
    for request in receiver.requests() {
        assert_eq!((&*request.method, &*request.path), ("POST", "/api/v1/write"));
        for (name, value) in [
            ("content-encoding", "snappy"),
            ("content-type", "application/x-protobuf"),
            ("x-prometheus-remote-write-version", "0.1.0"),
            ("user-agent", concat!("metrics-push/", env!("CARGO_PKG_VERSION"))),
        ] {
            assert_eq!(request.header(name), Some(value), "{request:?}");
        }
    }
}

#[test]
fn temporary_failure_is_retried() {
    let receiver = FakeReceiver::start();
    let _scope = scope(&receiver);
    receiver.fail_next(2, Fault::status(503));
    run_task("retried", Err("no input"));
    receiver.after_run("retried", &[]).assert_outcome("error");
}

#[test]
fn lost_answer_does_not_lose_the_outcome() {
    for fault in [Fault::close().after_storing(), Fault::cut_off(5), Fault::close()] {
        let receiver = FakeReceiver::start();
        let _scope = scope(&receiver);
        run_task("lost", Ok(()));
        receiver.fail_next(2, fault);
        run_task("lost", Err("no input"));
        receiver.after_run("lost", &[]).assert_outcome("error");
    }
}

#[test]
fn outcomes_that_wait_together_are_sent_in_few_calls() {
    const TASKS: usize = 60;
    let receiver = FakeReceiver::start();
    let _scope = scope(&receiver);
    receiver.fault(Fault::stall(STALL));
    for number in 0..TASKS {
        let result: Result<(), &str> = if number % 3 == 0 { Err("no input") } else { Ok(()) };
        let _ = Job::with_name(format!("together_{number}")).run(|_| result);
    }
    flush();
    for number in 0..TASKS {
        let outcome = if number % 3 == 0 { "error" } else { "success" };
        receiver.after_run(&format!("together_{number}"), &[]).assert_outcome(outcome);
    }
    let calls = receiver.requests().len();
    assert!(calls < TASKS * 2 / 3, "{calls} calls");
}

#[test]
fn reserved_header_and_credentials_in_the_url_are_refused() {
    let receiver = FakeReceiver::start();
    for header in ["X-Prometheus-Remote-Write-Version", "User-Agent", "Content-Encoding"] {
        let config = Config::default().url(receiver.url()).unwrap();
        let error = config.header(header, "1").scope().unwrap_err().to_string();
        assert!(error.contains("is set by every push"), "{error}");
    }
    let error = Config::default().url(format!("{}?token=hunter2", receiver.url())).unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn requests_that_wait_are_sent_in_one_call_in_both_versions() {
    const TASKS: usize = 60;
    for version in ["0.1.0", "2.0.0"] {
        let receiver = FakeReceiver::builder().prometheus_3().start();
        let config = Config::default().url(receiver.url()).unwrap();
        let config = if version == "2.0.0" { config.remote_write_2() } else { config };
        let _scope = config.scope().unwrap();
        run_task("first", Ok(()));
        receiver.fault(Fault::stall(STALL));
        for number in 0..TASKS {
            let job = Job::with_name(format!("joined_{number}"));
            job.run(|run| run.gauge("number", "A number.").map(|it| it.set(number as f64)))
                .unwrap();
        }
        flush();
        for number in 0..TASKS {
            let group = receiver.group(&format!("joined_{number}"), &[]);
            assert_eq!(group.value("number", &[]), number as f64, "{version}");
            group.assert_outcome("success");
        }
        let requests = receiver.requests();
        assert!(requests.len() < TASKS / 2, "{version}: {} requests", requests.len());
        let header = "x-prometheus-remote-write-version";
        assert!(requests.iter().all(|request| request.header(header) == Some(version)));
    }
}

#[test]
fn requests_in_one_call_are_sent_again_if_the_receiver_does_not_support_version_2() {
    const TASKS: usize = 20;
    let receiver = FakeReceiver::start();
    let config = Config::default().url(receiver.url()).unwrap().remote_write_2();
    let _scope = config.scope().unwrap();
    receiver.fault(Fault::stall(Duration::from_millis(50)));
    for number in 0..TASKS {
        Job::with_name(format!("again_{number}")).run(|_| Ok::<_, String>(())).unwrap();
    }
    flush();
    for number in 0..TASKS {
        receiver.group(&format!("again_{number}"), &[]).assert_outcome("success");
    }
}

/// Runs a job in another process.
fn run_process(receiver: &FakeReceiver, state: &StateDir, arguments: &[&str]) {
    let command = ending("ending", &receiver.url(), arguments);
    command.variable("METRICS_PUSH_STATE_DIR", state.path()).run_to_end();
}

/// Returns true if the series of the gauge exists and has not ended.
fn is_current(receiver: &FakeReceiver, gauge: &str) -> bool {
    receiver.find_series(gauge, &[("job", "ending")]).unwrap().last().is_some()
}

fn stored_series(state: &StateDir) -> usize {
    let files = std::fs::read_dir(state.path().join("series")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".series")).count()
}

#[test]
fn success_of_the_next_process_ends_metrics_that_it_does_not_have() {
    let (receiver, state) = (FakeReceiver::start(), StateDir::new());
    run_process(&receiver, &state, &["gauge=rows", "gauge=bytes", "ok"]);
    run_process(&receiver, &state, &["gauge=bytes", "err"]);
    assert!(is_current(&receiver, "rows"), "{receiver}");
    run_process(&receiver, &state, &["gauge=bytes", "ok"]);
    assert!(!is_current(&receiver, "rows") && is_current(&receiver, "bytes"), "{receiver}");
    run_process(&receiver, &state, &["gauge=rows", "ok"]);
    assert!(is_current(&receiver, "rows") && !is_current(&receiver, "bytes"), "{receiver}");
    receiver.after_run("ending", &[]).assert_outcome("success");
}

#[test]
fn metric_does_not_end_while_another_process_sends_the_group() {
    let (receiver, state) = (FakeReceiver::start(), StateDir::new());
    let config = Config::default().url(receiver.url()).unwrap().state_dir(state.path());
    let _scope = config.scope().unwrap();
    let job = Job::with_name("ending");
    job.run(|run| run.gauge("rows", "Rows.").map(|gauge| gauge.set(1.0))).unwrap();
    flush();
    run_process(&receiver, &state, &["gauge=bytes", "ok"]);
    run_process(&receiver, &state, &["ok"]);
    assert!(is_current(&receiver, "rows") && is_current(&receiver, "bytes"), "{receiver}");
}

#[test]
fn metric_does_not_end_if_another_process_ends_it_before_the_first_request() {
    let (receiver, state) = (FakeReceiver::start(), StateDir::new());
    run_process(&receiver, &state, &["gauge=rows", "ok"]);
    let config = Config::default().url(receiver.url()).unwrap().state_dir(state.path());
    let _scope = config.batch(Duration::from_secs(3_600)).scope().unwrap();
    let delay = delay_flushes();
    let job = Job::with_name("ending");
    job.run(|run| run.gauge("rows", "Rows.").map(|gauge| gauge.set(1.0))).unwrap();
    // The request of this process waits, so the state directory does not record yet that this process sends the group.
    run_process(&receiver, &state, &["ok"]);
    assert!(!is_current(&receiver, "rows"), "{receiver}");
    drop(delay);
    flush();
    assert!(is_current(&receiver, "rows"), "{receiver}");
}

#[test]
fn delete_ends_the_metrics_of_earlier_processes() {
    let (receiver, state) = (FakeReceiver::start(), StateDir::new());
    run_process(&receiver, &state, &["gauge=rows", "ok"]);
    assert_eq!(stored_series(&state), 1);
    let config = Config::default().url(receiver.url()).unwrap().state_dir(state.path());
    let _scope = config.scope().unwrap();
    let batcher = Batcher::new(Duration::from_secs(3_600));
    batcher.delete(GroupingKey::new("ending").unwrap());
    assert_eq!(batcher.flush(TIMEOUT), 0);
    assert!(!is_current(&receiver, "rows"), "{receiver}");
    assert_eq!(stored_series(&state), 0);
}

#[test]
fn corrupt_record_of_sent_series_ends_nothing() {
    let (receiver, state) = (FakeReceiver::start(), StateDir::new());
    run_process(&receiver, &state, &["gauge=rows", "ok"]);
    for file in std::fs::read_dir(state.path().join("series")).unwrap() {
        std::fs::write(file.unwrap().path(), "metrics-push series 1 0\n").unwrap();
    }
    run_process(&receiver, &state, &["ok"]);
    assert!(is_current(&receiver, "rows"), "{receiver}");
    receiver.after_run("ending", &[]).assert_outcome("success");
}

#[test]
fn pushgateway_needs_no_record_of_sent_series() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let command = ending("ending", &gateway.url(), &["gauge=rows", "ok"]);
    command.variable("METRICS_PUSH_STATE_DIR", state.path()).run_to_end();
    for folder in ["series", "processes"] {
        assert!(!state.path().join(folder).exists(), "{folder}");
    }
}
