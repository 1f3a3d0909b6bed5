//! Where log lines go: each one either to the program's `tracing` subscriber or to stderr.

use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault};

use crate::programs::{command, program};
use crate::temp_dir::TempDir;

const TIMEOUT: Duration = Duration::from_millis(300);
/// The extra time that a busy machine may take.
const SLACK: Duration = Duration::from_secs(3);

/// Runs a job whose gateway is down, and returns the lines about its outcome.
fn lines_about_the_outcome(subscriber: &str, state: &TempDir) -> Vec<String> {
    let mut command = command(program("subscribers"));
    command.arg(subscriber).env("METRICS_PUSH_URL", "http://127.0.0.1:9");
    command.env("METRICS_PUSH_TIMEOUT", format!("{TIMEOUT:?}"));
    command.env("METRICS_PUSH_STATE_DIR", state.path());
    let started = Instant::now();
    let output = command.output().unwrap();
    assert!(started.elapsed() < TIMEOUT + SLACK, "{subscriber}: {:?}", started.elapsed());
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
        let lines = lines_about_the_outcome(subscriber, &TempDir::new());
        let [line] = &lines[..] else { panic!("{subscriber}: {lines:#?}") };
        assert!(line.starts_with(prefix), "{subscriber}: {line}");
    }
}

#[test]
fn subscriber_that_blocks_does_not_delay_the_exit() {
    let lines = lines_about_the_outcome("block", &TempDir::new());
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
    let lines: Vec<_> = text.lines().collect();
    let [line] = &lines[..] else { panic!("{lines:#?}") };
    for part in ["the gateway rejected the outcome of", "; the program's own metrics are dropped: "]
    {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
}
