//! Checks the reader of a supervisor's socket with arbitrary bytes.

use super::active_runs::ActiveRuns;

/// Reads the lines that a job has written to its supervisor. Each run that is still active was started by a line.
///
/// # Panics
/// If the reader is wrong.
pub fn supervisor_link(bytes: &[u8]) {
    let mut runs = ActiveRuns::default();
    let _ = runs.read_from(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').count();
    assert!(runs.into_runs().count() <= lines);
}
