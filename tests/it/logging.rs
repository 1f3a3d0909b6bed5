//! Where log lines go: each one either to the program's `tracing` subscriber or to stderr.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use metrics_push::Config;
use metrics_push::testing::{FakeGateway, Fault};

use crate::child::is_wait_notice;
use crate::programs::{command, program};
use crate::temp_dir::TempDir;

/// The timeout of a job that reaches it.
const SHORT_TIMEOUT: Duration = Duration::from_millis(300);
/// The timeout of a job that ends before the timeout, even on a busy machine: it stores its outcome and ends early.
const LONG_TIMEOUT: Duration = Duration::from_secs(10);
/// The extra time that a busy machine may take.
const SLACK: Duration = Duration::from_secs(5);

/// Runs a job whose gateway is down, and returns the lines about its outcome.
fn lines_about_the_outcome(subscriber: &str, timeout: Duration, state: &TempDir) -> Vec<String> {
    let mut command = command(program("subscribers"));
    command.arg(subscriber).env("METRICS_PUSH_URL", "http://127.0.0.1:9");
    command.env("METRICS_PUSH_TIMEOUT", format!("{timeout:?}"));
    command.env("METRICS_PUSH_STATE_DIR", state.path());
    let started = Instant::now();
    let output = command.output().unwrap();
    assert!(started.elapsed() < timeout + SLACK, "{subscriber}: {:?}", started.elapsed());
    assert!(output.status.success(), "{subscriber}: {output:?}");
    assert_eq!(state.records().len(), 1, "{subscriber}: {output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    text.lines().filter(|line| line.contains("the outcome of")).map(str::to_owned).collect()
}

#[test]
fn line_goes_to_the_subscriber_or_to_stderr() {
    for (subscriber, prefix) in [
        ("none", "metrics-push: "),
        ("global", "event: "),
        // Installed in the body of the run.
        ("later", "event: "),
        // Records nothing of this library.
        ("filter", "metrics-push: "),
        // Of the main thread only. Another thread logs the line.
        ("thread", "metrics-push: "),
        ("panic", "metrics-push: "),
    ] {
        let lines = lines_about_the_outcome(subscriber, LONG_TIMEOUT, &TempDir::new());
        let [line] = &lines[..] else { panic!("{subscriber}: {lines:#?}") };
        assert!(line.starts_with(prefix), "{subscriber}: {line}");
    }
}

#[test]
fn subscriber_that_blocks_does_not_delay_the_exit() {
    let lines = lines_about_the_outcome("block", SHORT_TIMEOUT, &TempDir::new());
    assert!(lines.len() <= 1, "{lines:#?}");
}

#[test]
fn rejected_metrics_and_rejected_outcome_are_logged_in_one_line() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    gateway.fault(Fault::status(413));
    let mut command = command(program("subscribers"));
    command.arg("none").env("METRICS_PUSH_URL", gateway.url());
    let output = command.env("METRICS_PUSH_STATE_DIR", state.path()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !is_wait_notice(line)).collect();
    let [line] = &lines[..] else { panic!("{lines:#?}") };
    for part in ["the gateway rejected the outcome of", "; the program's own metrics are dropped: "]
    {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
}

/// Returns the events of the program `spans`, each with the span that it belongs to.
fn events(behaviour: &str, url: &str) -> Vec<(String, String)> {
    let mut command = command(program("spans"));
    let output = command.arg(behaviour).env("METRICS_PUSH_URL", url).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let events = text.lines().map(|line| line.split_once('|').unwrap());
    events.map(|(event, span)| (event.to_owned(), span.to_owned())).collect()
}

#[test]
fn events_of_a_body_belong_to_the_span_of_its_run() {
    let gateway = FakeGateway::start();
    let events = events("print", &gateway.url());
    let mut names = Vec::new();
    for (event, span) in &events {
        match event.as_str() {
            "outside" => assert_eq!(span, "-"),
            "in a future" => assert!(span.starts_with("run job=future id="), "{span}"),
            run => assert_eq!(span, &format!("run {run}")),
        }
        names.push(event.split(' ').next().unwrap());
    }
    let expected = [&["job=sync"][..], &["job=async"; 6], &["in", "job=on-caller"]];
    let rest = ["job=by-hand", "job=panics", "outside"];
    assert_eq!(names, [expected.concat(), rest.to_vec()].concat());
    let ids: BTreeSet<_> = events[1..7].iter().map(|(_, span)| span).collect();
    assert_eq!(ids.len(), 2, "two interleaved runs");
}

#[test]
fn subscriber_that_an_async_body_installs_gets_the_span() {
    let gateway = FakeGateway::start();
    let events = events("later", &gateway.url());
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].1, format!("run {}", events[0].0));
}

#[test]
fn run_has_no_span_if_nothing_is_pushed_or_the_subscriber_panics() {
    let gateway = FakeGateway::start();
    for (behaviour, url) in [("print", ""), ("panic", &gateway.url())] {
        let events = events(behaviour, url);
        assert_eq!(events.len(), 12, "{behaviour}: {events:#?}");
        assert!(events.iter().all(|(_, span)| span == "-"), "{behaviour}: {events:#?}");
    }
}

#[test]
fn line_about_an_outcome_ends_with_the_id_of_its_run() {
    let state = TempDir::new();
    let lines = lines_about_the_outcome("none", LONG_TIMEOUT, &state);
    let _scope = Config::default().state_dir(state.path()).scope().unwrap();
    let history = &metrics_push::histories()[0];
    let end = format!("; run {}", history.runs()[0].id());
    assert!(lines[0].ends_with(&end), "{lines:?}");
}

#[test]
fn line_about_an_attempt_ends_with_the_id_of_its_run() {
    let state = TempDir::new();
    let mut command = command(program("subscribers"));
    command.arg("debug").env("METRICS_PUSH_URL", "http://127.0.0.1:9");
    let output = command.env("METRICS_PUSH_STATE_DIR", state.path()).output().unwrap();
    let _scope = Config::default().state_dir(state.path()).scope().unwrap();
    let end = format!("; run {}", metrics_push::histories()[0].runs()[0].id());
    let text = String::from_utf8(output.stderr).unwrap();
    let attempts: Vec<_> = text.lines().filter(|line| line.contains("event: push ")).collect();
    assert!(attempts.iter().any(|line| line.contains(": in flight (")), "{text}");
    assert!(attempts.iter().all(|line| line.ends_with(&end)), "{text}");
}
