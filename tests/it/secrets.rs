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
fn secrets_are_absent_from_output_and_files() {
    let state = TempDir::new();
    let output = command(program("secrets"))
        .arg(state.path())
        .args([PASSWORD, USERINFO, TOKEN, HEADER])
        .output()
        .unwrap();
    let mut shown = String::from_utf8_lossy(&output.stdout).into_owned();
    shown.push_str(&String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{shown}");
    let lines = shown.lines().filter(|line| line.starts_with("metrics-push: ")).count();
    let events = shown.lines().filter(|line| line.starts_with("metrics_push message")).count();
    assert!(lines > 5 && events > 100, "{lines} lines and {events} events:\n{shown}");
    assert!(!state.records().is_empty());
    for path in state.records() {
        shown.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
    }
    for secret in [PASSWORD, ENCODED, USERINFO, TOKEN, HEADER] {
        let at = shown.find(secret);
        assert!(
            at.is_none(),
            "{secret} is in the output: {:?}",
            &shown[at.unwrap().saturating_sub(200)..][..300]
        );
    }
}
