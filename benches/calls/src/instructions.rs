//! Instructions per call, counted by Debian's `valgrind`: the same in each run, on whatever machine whose counter can be
//! trusted. Elsewhere the way to the system's clock is in them.

use std::process::Command;

use metrics_push_benches::Table;

use crate::rows::{INSTRUCTIONS, ROWS, position};
use crate::warm_up;

/// The word for a child that Callgrind counts.
pub(crate) const COUNTED: &str = "counted";

/// Calls that are counted, and then twice as many: what both have in common is not the calls'.
const CALLS: u64 = 1_000;

/// The child's part: all is resolved before Callgrind begins to count, in [`calls`].
pub(crate) fn run_counted(row: usize, number: u64) {
    warm_up(&ROWS[row..=row]);
    calls(row, number);
}

#[inline(never)]
fn calls(row: usize, number: u64) {
    (ROWS[row].1)(number);
}

fn instructions_per_call(row: usize) -> f64 {
    let [once, twice] = [CALLS, 2 * CALLS].map(|number| instructions(row, number));
    (twice - once) as f64 / CALLS as f64
}

/// What Callgrind says that so many calls took.
fn instructions(row: usize, number: u64) -> u64 {
    const COUNTS: &str = "calls::instructions::calls*";
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={COUNTS}"))
        .arg(std::env::current_exe().unwrap())
        .args([COUNTED, &row.to_string(), &number.to_string()])
        .output()
        .expect("Debian's `valgrind` is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split("Collected : ").nth(1));
    collected.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{said}"))
}

pub(crate) fn print() {
    let bare = instructions_per_call(position("bare"));
    let bare_async = instructions_per_call(position("async: bare"));
    let mut table = Table::new(&["instructions beyond the bare call", "measured", "at most", ""]);
    for (row, (name, _)) in ROWS.iter().enumerate() {
        let bare = if name.starts_with("async") { bare_async } else { bare };
        let beyond = instructions_per_call(row) - bare;
        match INSTRUCTIONS.iter().find(|(promised, _)| promised == name) {
            Some((_, target)) => table.ratio(name, beyond, *target as f64),
            None => table.row(&[*name, &format!("{beyond:.2}"), "", ""]),
        }
    }
    println!("{table}");
}
