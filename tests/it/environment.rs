//! Tests of the process environment: unknown and quoted variables, and the default state directory.

use metrics_push::testing::FakeGateway;

use crate::child::is_wait_notice;
use crate::programs::{command, program};

/// Runs a job without a state directory, unless a variable sets one. Returns the lines that the library writes to stderr.
fn log_lines(gateway: &FakeGateway, variables: &[(&str, &str)]) -> Vec<String> {
    let mut command = command(program("nothing"));
    command.env_clear().env("METRICS_PUSH_URL", gateway.url()).envs(variables.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("metrics-push: "));
    lines.filter(|line| !is_wait_notice(line)).map(str::to_owned).collect()
}

/// A directory in which not even the superuser can create another one.
const UNUSABLE: &str = "/proc";

#[test]
#[cfg(target_os = "linux")]
fn unusable_default_state_directory_is_not_logged() {
    let gateway = FakeGateway::start();
    for name in ["HOME", "XDG_STATE_HOME", "STATE_DIRECTORY"] {
        assert_eq!(log_lines(&gateway, &[(name, UNUSABLE)]), [""; 0], "{name}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn unusable_configured_state_directory_is_a_warning() {
    let gateway = FakeGateway::start();
    let lines = log_lines(&gateway, &[("METRICS_PUSH_STATE_DIR", UNUSABLE), ("HOME", UNUSABLE)]);
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(line.contains("the job runs without a state directory"), "{line}");
}

#[test]
fn misspelled_variable_is_reported_with_the_nearest_name() {
    let gateway = FakeGateway::start();
    let lines = log_lines(
        &gateway,
        &[("METRICS_PUSH_TIMEOT", "2s"), ("METRICS_PUSH_EMPTY", ""), ("OTHER", "\"x\"")],
    );
    let expected = "metrics-push: unknown variable \"METRICS_PUSH_TIMEOT\"; check the name: the nearest one is \
                    METRICS_PUSH_TIMEOUT; the job runs without this setting";
    assert_eq!(lines, [expected]);
}

#[test]
fn quoted_variable_is_reported_and_not_applied() {
    let gateway = FakeGateway::start();
    let lines = log_lines(&gateway, &[("METRICS_PUSH_JOB", "\"nightly\"")]);
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(line.contains("in quotes") && line.contains("METRICS_PUSH_JOB"), "{line}");
    assert!(gateway.find_group("\"nightly\"", &[]).is_none());
}

#[test]
fn contradictory_settings_of_a_sink_affect_no_other_sink() {
    for (variable, part) in [
        ("METRICS_PUSH_PASSWORD_2", "METRICS_PUSH_USERNAME_2"),
        ("METRICS_PUSH_CERT_FILE_2", "METRICS_PUSH_KEY_FILE"),
    ] {
        let (valid, invalid) = (FakeGateway::start(), FakeGateway::start());
        let urls = [valid.url(), invalid.url()].join(",");
        let lines = log_lines(&valid, &[("METRICS_PUSH_URL", &*urls), (variable, "x")]);
        let [line] = &lines[..] else { panic!("{variable}: {lines:?}") };
        for part in [part, &*invalid.url(), "nothing is pushed to this sink"] {
            assert!(line.contains(part), "{variable}: no {part} in {line}");
        }
        valid.group("nothing", &[]).assert_outcome("success");
        assert!(invalid.requests().is_empty(), "{variable}");
    }
}
