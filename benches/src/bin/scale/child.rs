//! The work of the measured processes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use metrics_push::{Config, Job, Outcome};
use metrics_push_benches::journals;
use metrics_push_benches::usage::{cpu_seconds, resident_mib};

pub(crate) const COMMAND: &str = "child";

/// The state directory of a child, if it has one.
const STATE_VARIABLE: &str = "SCALE_STATE";

/// Longer than any measurement.
const TIMEOUT: Duration = Duration::from_secs(1_800);

/// The timeout of tasks that are open at once.
const OPEN_TIMEOUT: Duration = Duration::from_secs(120);

/// How long the process without work is measured.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// How often each group runs in a long outage.
const ROUNDS: usize = 20;

/// Returns a process that does this work.
pub(crate) fn command(work: &str, number: usize, url: &str, state: Option<&Path>) -> Command {
    let mut command = Command::new(env::current_exe().expect("the path of this program"));
    command.args([COMMAND, work, &number.to_string(), url]).env_clear();
    command.envs(state.map(|state| (STATE_VARIABLE, state)));
    command
}

/// Does the work of a child.
pub(crate) fn run(work: &str, number: usize, url: &str) {
    let mut config = Config::default().url(url).expect("the URL is valid");
    if let Some(state) = state() {
        config = config.state_dir(state);
    }
    if work == "open" {
        // By default, what a slow gateway has not accepted after 10 s is dropped without a state directory.
        config = config.timeout(OPEN_TIMEOUT);
    }
    if work == "journals" {
        journals::create_many(number, config, &state().expect("a state directory"));
        return;
    }
    let _scope = config.scope().expect("the configuration is valid");
    match work {
        "runs" | "open" => finish_runs(number),
        "recover" => recover(),
        "scheduler" => run_until_drained(),
        "long" => live_through_an_outage(number),
        _ => unreachable!("{work}"),
    }
}

fn state() -> Option<PathBuf> {
    env::var_os(STATE_VARIABLE).map(PathBuf::from)
}

fn flush() {
    assert_eq!(metrics_push::flush(TIMEOUT), 0, "requests that are not settled");
}

/// Starts runs of different groups, and then finishes all of them.
fn finish_runs(number: usize) {
    let start = |tenant: usize| Job::new("task").start_with(&[("tenant", &tenant)]);
    let runs: Vec<_> = (0..number).map(start).collect();
    runs.into_iter().for_each(|run| run.finish(Outcome::Success));
    flush();
}

fn recover() {
    assert_eq!(metrics_push::recover(TIMEOUT).left, 0, "outcomes that are not delivered");
}

/// Runs a job at short intervals until the process has delivered all stored outcomes.
fn run_until_drained() {
    const INTERVAL: Duration = Duration::from_millis(100);

    let spool = state().expect("a state directory").join("spool");
    let is_record = |path: PathBuf| path.extension().is_some_and(|it| it == "request");
    let has_records = || {
        let files = fs::read_dir(&spool).expect("the spool is readable");
        files.map_while(Result::ok).any(|file| is_record(file.path()))
    };
    while has_records() {
        Job::new("ticker").start().finish(Outcome::Success);
        thread::sleep(INTERVAL);
    }
    flush();
}

/// Runs each group many times and then none, while the gateway is down. Prints the memory after the first rounds and at
/// the end, in MiB, and the CPU time of the last part, in seconds.
fn live_through_an_outage(groups: usize) {
    finish_runs(groups);
    finish_runs(groups);
    let early = resident_mib("self");
    (2..ROUNDS).for_each(|_| finish_runs(groups));
    let late = resident_mib("self");
    let (started, cpu) = (Instant::now(), cpu_seconds("self"));
    while started.elapsed() < IDLE_TIME {
        thread::sleep(IDLE_TIME - started.elapsed().min(IDLE_TIME));
    }
    println!("{early} {late} {}", cpu_seconds("self") - cpu);
}
