//! Instructions per call, counted one by one: a child process runs a row and is stepped through it.
//!
//! Valgrind counts as well, but has no processor's counter to offer, so that calls would be timed by another clock
//! there than everywhere else.

use std::process::{Child, Command};

use metrics_push_benches::Table;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::rows::{INSTRUCTIONS, ROWS, position};
use crate::warm_up;

/// The word for the child.
pub(crate) const STEPPED: &str = "stepped";

const CALLS: u64 = 1_000;

/// The child: asks for being traced, and stops before and after the calls.
pub(crate) fn run_stepped(row: usize, calls: u64) {
    let (_, run) = ROWS[row];
    warm_up(&ROWS[row..=row]);
    ptrace::traceme().expect("a process may be traced by its parent");
    raise(Signal::SIGSTOP).unwrap();
    run(calls);
    raise(Signal::SIGSTOP).unwrap();
}

/// How many instructions a child takes between its two stops.
fn steps(row: usize, calls: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([STEPPED, &row.to_string(), &calls.to_string()])
        .spawn()
        .unwrap();
    let steps = count_steps(&child);
    child.wait().unwrap();
    steps
}

fn count_steps(child: &Child) -> u64 {
    let pid = Pid::from_raw(child.id().cast_signed());
    let stopped_by = || match waitpid(pid, None).unwrap() {
        WaitStatus::Stopped(_, signal) => signal,
        other => panic!("the child ended: {other:?}"),
    };
    assert_eq!(stopped_by(), Signal::SIGSTOP);
    let mut steps = 0;
    loop {
        ptrace::step(pid, None).unwrap();
        match stopped_by() {
            Signal::SIGTRAP => steps += 1,
            Signal::SIGSTOP => break,
            other => panic!("the child got {other}"),
        }
    }
    ptrace::detach(pid, None).unwrap();
    steps
}

fn instructions_per_call(row: usize) -> f64 {
    (steps(row, 2 * CALLS) - steps(row, CALLS)) as f64 / CALLS as f64
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
