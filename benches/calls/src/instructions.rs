//! Counts instructions per call with valgrind. The counts are the same in each run on all machines with a usable processor
//! counter; on other machines they include reading the system clock.

use std::process::Command;

use metrics_push_benches::Table;

use crate::rows::{INSTRUCTIONS, ROWS, position};
use crate::warm_up;

/// The argument that starts the child process, in which callgrind counts.
pub(crate) const COUNTED: &str = "counted";

/// The number of counted calls. A second count makes twice as many; the difference excludes the constant overhead.
const CALLS: u64 = 1_000;

/// Runs in the child process. Callgrind counts only in [`calls`], after the initialisation.
pub(crate) fn run_counted(row: usize, number: u64) {
    warm_up(&ROWS[row..=row]);
    calls(row, number);
}

#[inline(never)]
fn calls(row: usize, number: u64) {
    (ROWS[row].1)(number);
}

fn instructions_per_call(row: usize) -> f64 {
    let [once, twice] = [CALLS, 2 * CALLS].map(|number| count_instructions(row, number));
    (twice - once) as f64 / CALLS as f64
}

/// Returns the instructions that callgrind counts for this number of calls.
fn count_instructions(row: usize, number: u64) -> u64 {
    const COUNTED_FUNCTION: &str = "calls::instructions::calls*";
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={COUNTED_FUNCTION}"))
        .arg(std::env::current_exe().unwrap())
        .args([COUNTED, &row.to_string(), &number.to_string()])
        .output()
        .expect("valgrind is installed");
    let log = String::from_utf8_lossy(&output.stderr);
    let collected = log.lines().find_map(|line| line.split("Collected : ").nth(1));
    collected.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{log}"))
}

pub(crate) fn print() {
    let bare = instructions_per_call(position("bare"));
    let bare_async = instructions_per_call(position("async: bare"));
    let mut table = Table::new(&["instructions above the bare call", "measured", "at most", ""]);
    for (row, (name, _)) in ROWS.iter().enumerate() {
        let bare = if name.starts_with("async") { bare_async } else { bare };
        let above = instructions_per_call(row) - bare;
        match INSTRUCTIONS.iter().find(|(limited, _)| limited == name) {
            Some((_, target)) => table.ratio(name, above, *target as f64),
            None => table.row(&[*name, &format!("{above:.2}"), "", ""]),
        }
    }
    println!("{table}");
}
