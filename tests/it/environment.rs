//! Tests of the process environment: the default state directory.

use metrics_push::testing::FakeGateway;

use crate::programs::{command, program};

/// Runs a job without a state directory, unless a variable sets one. Returns the lines that the library writes to stderr.
fn log_lines(gateway: &FakeGateway, variables: &[(&str, &str)]) -> Vec<String> {
    let mut command = command(program("nothing"));
    command.env_clear().env("METRICS_PUSH_URL", gateway.url()).envs(variables.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    text.lines().filter(|line| line.starts_with("metrics-push: ")).map(str::to_owned).collect()
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
