//! The table of guarantees, read from the documentation and brought about line by line.

use std::time::{Duration, Instant};

use crate::child::{Ended, Panics, Start, child_of, job, send_signal};
use crate::lifecycle::{held, stored};
use crate::real::Pushgateway;
use crate::state::StateDir;
use crate::supervise::MemoryGroup;

const DOCUMENTATION: &str = include_str!("../../metrics-push/src/guarantees.rs");

/// One line of the table.
#[derive(Debug)]
struct Line {
    how: String,
    ending: String,
    flags: Vec<String>,
    /// By level: L0, L2, L3.
    promised: [String; 3],
}

impl Line {
    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }

    fn signal(&self) -> Option<&str> {
        const SIGNALS: [&str; 6] = ["TERM", "INT", "HUP", "QUIT", "USR1", "KILL"];
        self.flags.iter().map(String::as_str).find(|flag| SIGNALS.contains(flag))
    }

    /// Starts the job and sees it to its end.
    fn bring_about(&self, gateway: &Pushgateway, with: &[&str], state: Option<&StateDir>) -> Ended {
        let panics = if self.has("aborting") { Panics::Abort } else { Panics::Unwind };
        let options = ["signals-off", "limited"].into_iter().filter(|option| self.has(option));
        let arguments: Vec<_> =
            with.iter().copied().chain(options).chain([self.ending.as_str()]).collect();
        let start = with_state(job(panics, &arguments).gateway(&gateway.url()), state);
        if self.has("oom") {
            let group = MemoryGroup::new(64 << 20);
            let launcher = group.launcher();
            return start.within(&launcher.each_ref().map(String::as_str)).run_to_end();
        }
        let Some(signal) = self.signal() else { return start.run_to_end() };
        let running = start.start().ready();
        wait_for(|| {
            stored(gateway, "ending").contains_key("batch_job_last_start_timestamp_seconds")
        });
        match (signal, with) {
            // The kernel's or a person's choice is the job, not its parent.
            ("KILL", ["supervised"]) => send_signal(child_of(running.id()), signal),
            _ => running.signal(signal),
        }
        running.wait()
    }
}

fn with_state(start: Start, state: Option<&StateDir>) -> Start {
    match state {
        Some(state) => start.variable("METRICS_PUSH_STATE_DIR", state.path()),
        None => start,
    }
}

#[track_caller]
fn wait_for(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn table() -> Vec<Line> {
    let (_, table) = DOCUMENTATION.split_once("| in the tests |").unwrap();
    let rows = table.lines().skip(2).map_while(|line| line.strip_prefix("//! |"));
    let lines: Vec<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let promised = |cell: usize| cells[cell].trim_matches('`').to_owned();
            let mut words = cells[1].split_whitespace();
            Line {
                how: cells[0].to_owned(),
                ending: words.next().unwrap().trim_matches('`').to_owned(),
                flags: words.map(str::to_owned).collect(),
                promised: [promised(2), promised(3), promised(4)],
            }
        })
        .collect();
    assert!(lines.len() > 30, "the table is gone: {lines:?}");
    lines
}

#[track_caller]
fn assert_kept(line: &Line, level: usize, gateway: &Pushgateway, ended: &Ended) {
    let group = if line.has("task") { "task" } else { "ending" };
    let stored = stored(gateway, group);
    let held = held(&stored);
    match line.promised[level].as_str() {
        "open" => {
            assert!(held.is_empty(), "{}: {held:?} {ended:?}", line.how);
            assert!(
                !stored.contains_key("batch_job_last_completion_timestamp_seconds"),
                "{}",
                line.how
            );
        }
        promised => assert_eq!(held, [promised], "{}: {ended:?}", line.how),
    }
    let is_success = stored.contains_key("batch_job_last_success_timestamp_seconds");
    assert_eq!(is_success, held == ["success"], "{}", line.how);
}

#[test]
fn level_0_in_the_process() {
    for line in table() {
        let gateway = Pushgateway::start();
        let ended = line.bring_about(&gateway, &[], None);
        assert_kept(&line, 0, &gateway, &ended);
    }
}

#[test]
fn level_2_with_a_state_directory() {
    for line in table() {
        let (gateway, state) = (Pushgateway::start(), StateDir::new());
        let ended = line.bring_about(&gateway, &[], Some(&state));
        let later = job(Panics::Unwind, &["ok"])
            .gateway(&gateway.url())
            .variable("METRICS_PUSH_JOB", "later");
        assert!(with_state(later, Some(&state)).run_to_end().status.success());
        assert_kept(&line, 1, &gateway, &ended);
        assert!(state.journals().is_empty(), "{}", line.how);
    }
}

#[test]
fn level_3_with_a_supervisor() {
    for line in table() {
        let (gateway, state) = (Pushgateway::start(), StateDir::new());
        let ended = line.bring_about(&gateway, &["supervised"], Some(&state));
        assert_kept(&line, 2, &gateway, &ended);
        assert!(state.journals().is_empty(), "{}", line.how);
    }
}
