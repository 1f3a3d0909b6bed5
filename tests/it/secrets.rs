//! Secrets are never in log lines, events, errors, `Debug` output or files.

use crate::programs::{command, program};
use crate::temp_dir::TempDir;

const PASSWORD: &str = "hunter2-Zq9";
/// The user and the password, as encoded in the header of basic authentication.
const ENCODED: &str = "YmF0Y2g6aHVudGVyMi1acTk=";
const USERINFO: &str = "wander3-Xw7";
const TOKEN: &str = "sesame4-Yt5";
const HEADER: &str = "orgkey5-Lm3";

#[test]
fn secrets_are_absent_from_events_and_files() {
    let shown = output_and_files("events");
    let events = shown.lines().filter(|line| line.starts_with("metrics_push message")).count();
    assert!(events > 100, "{events} events:\n{shown}");
    assert_no_secret(&shown);
}

#[test]
fn secrets_are_absent_from_lines_and_files() {
    let shown = output_and_files("lines");
    let lines = shown.lines().filter(|line| line.starts_with("metrics-push: ")).count();
    assert!(lines > 5, "{lines} lines:\n{shown}");
    assert_no_secret(&shown);
}

/// Runs the program and returns its output and the contents of its spool.
fn output_and_files(kind_of_output: &str) -> String {
    let state = TempDir::new();
    let output = command(program("secrets"))
        .arg(kind_of_output)
        .arg(state.path())
        .args([PASSWORD, USERINFO, TOKEN, HEADER])
        .output()
        .unwrap();
    let mut shown = String::from_utf8_lossy(&output.stdout).into_owned();
    shown.push_str(&String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{shown}");
    assert!(!state.records().is_empty());
    for path in state.records() {
        shown.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
    }
    shown
}

#[track_caller]
fn assert_no_secret(shown: &str) {
    for secret in [PASSWORD, ENCODED, USERINFO, TOKEN, HEADER] {
        if let Some(at) = shown.find(secret) {
            panic!("{secret} is in the output: {:?}", &shown[at.saturating_sub(200)..][..300]);
        }
    }
}
