//! The wall clock is set while a job runs: durations stay monotonic, and no run ends before its start.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::child::{JobCommand, PanicStrategy, child_of, job, job_command, send_signal};
use crate::cli::metrics_push_program;
use crate::faketime;
use crate::lifecycle::{outcomes, stored};
use crate::real::Pushgateway;
use crate::state_dir::StateDir;

const STEPS: [&str; 6] = ["+5", "-5", "+3600", "-3600", "+34560000", "-34560000"];

/// The ways to run a job that waits for input.
const JOBS: [&[&str]; 3] = [
    &["wait-for-input"],
    &["supervised", "wait-for-input"],
    &["exec", "sh", "-c", "echo ready; cat"],
];

/// Returns the command of a job, or of `metrics-push exec` with a command.
fn waiting_job(arguments: &[&str]) -> JobCommand {
    match arguments {
        ["exec", ..] => job_command(metrics_push_program(), arguments),
        _ => job(PanicStrategy::Unwind, arguments),
    }
}

/// Runs a job whose clock is set by this number of seconds while it runs.
fn assert_ordered(gateway: &Pushgateway, library: &str, step: &str, arguments: &[&str]) {
    let (state, name) = (StateDir::new(), format!("{}{step}", arguments[0]));
    let clock = state.path().with_extension("clock");
    let set = |clock: &Path, seconds: &str| fs::write(clock, seconds).unwrap();
    set(&clock, "+0");
    let command = waiting_job(arguments).gateway(&gateway.url()).variable("PATH", "/usr/bin:/bin");
    let command = command.variable("METRICS_PUSH_JOB", &name);
    let command = command.variable("METRICS_PUSH_STATE_DIR", state.path());
    let command = command.variable("LD_PRELOAD", library).variable("FAKETIME_NO_CACHE", "1");
    let command = command.variable("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let command = command.variable("FAKETIME_TIMESTAMP_FILE", &clock);
    let started = Instant::now();
    let mut running = command.with_input().start().ready();
    let is_ready = Instant::now();
    set(&clock, step);
    // The duration of the run is compared with this pause.
    thread::sleep(Duration::from_millis(300));
    let min_duration = is_ready.elapsed().as_secs_f64();
    let outcome = if arguments[0] == "supervised" {
        send_signal(child_of(running.id()), "KILL");
        "signal"
    } else {
        running.close_input();
        "success"
    };
    let ended = running.wait();
    fs::remove_file(clock).unwrap();
    let stored = stored(gateway, &name);
    assert_eq!(outcomes(&stored), [outcome], "{name}: {ended:?}");
    let duration = stored["batch_job_last_run_duration_seconds"];
    // A supervisor measures from its receipt of the start, at any time after it.
    let min = if arguments[0] == "supervised" { 0.0 } else { min_duration };
    let max = started.elapsed().as_secs_f64();
    assert!(min < duration && duration < max, "{name}: {duration}, {min} to {max}");
    let start = stored["batch_job_last_start_timestamp_seconds"];
    let completion = stored["batch_job_last_completion_timestamp_seconds"];
    assert!(completion - start >= duration - 1e-3, "{name}: {start} {completion}");
    assert!(ended.log_lines.is_empty(), "{name}: {ended:?}");
}

#[test]
fn instants_and_duration_are_in_order_if_the_clock_is_set() {
    let (gateway, library) = (Pushgateway::start(), faketime::library());
    thread::scope(|scope| {
        for step in STEPS {
            let (gateway, library) = (&gateway, &library);
            scope.spawn(move || {
                for arguments in JOBS {
                    assert_ordered(gateway, library, step, arguments);
                }
            });
        }
    });
}
