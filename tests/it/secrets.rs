//! Secrets are never in log lines, events, errors, `Debug` output or files.

use crate::programs::{command, program};
use crate::temp_dir::TempDir;

/// A password, and its encoding in the header of basic authentication.
const PASSWORD: &str = "hunter2-Zq9";
const ENCODED: &str = "YmF0Y2g6aHVudGVyMi1acTk=";
const USERINFO: &str = "wander3-Xw7";
const TOKEN: &str = "sesame4-Yt5";
const HEADER: &str = "orgkey5-Lm3";

#[test]
fn secrets_are_in_no_output_and_no_file() {
    let state = TempDir::new();
    let output = command(program("secrets"))
        .arg(state.path())
        .args([PASSWORD, USERINFO, TOKEN, HEADER])
        .output()
        .unwrap();
    let mut output_text = String::from_utf8_lossy(&output.stdout).into_owned();
    output_text.push_str(&String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{output_text}");
    let lines = output_text.lines().filter(|line| line.starts_with("metrics-push: ")).count();
    let events =
        output_text.lines().filter(|line| line.starts_with("metrics_push message")).count();
    assert!(lines > 5 && events > 100, "{lines} lines and {events} events:\n{output_text}");
    assert!(!state.records().is_empty());
    for path in state.records() {
        output_text.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
    }
    for secret in [PASSWORD, ENCODED, USERINFO, TOKEN, HEADER] {
        let at = output_text.find(secret);
        assert!(
            at.is_none(),
            "{secret} is in: {:?}",
            &output_text[at.unwrap().saturating_sub(200)..][..300]
        );
    }
}
