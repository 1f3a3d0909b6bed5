//! Jobs whose state files cannot be read, written or synced, with a healthy gateway: each ending is reported, with at most
//! one line on stderr.
//!
//! `strace` fails the calls. It selects calls by path only for paths that it knows when it starts, and the name of a journal
//! contains the time. So a first run of the job finds the numbers of the calls that use state files, and later runs fail one of
//! them. From then on, calls fail in a job that waits for input, whose journal exists.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use crate::child::{FinishedJob, child_of, send_signal};
use crate::failing_disk::{assert_reported, bare, command, count_failures};
use crate::real::Pushgateway;
use crate::state_dir::StateDir;

const ERRORS: [&str; 3] = ["ENOSPC", "EIO", "EDQUOT"];

/// The calls that fail, by the pattern that `strace` takes.
const CALLS: [&str; 3] = ["write", "read", "/^f(data)?sync$"];

/// The maximum time until the threads of a process are stopped or traced.
const THREADS_TIMEOUT: Duration = Duration::from_secs(60);

/// A job whose process is the second one to which `strace` attaches.
const SUPERVISED: &[&str] = &["supervised", "wait-for-input"];

/// A name of a job that is valid as a part of a file name.
fn job_name(arguments: &[&str], parts: &[&str]) -> String {
    let words: String = [arguments, parts].concat().join("-");
    words.replace(|character: char| !character.is_ascii_alphanumeric(), "-")
}

/// Runs a job within `strace` with this option after a run that leaves files in its state directory. Returns the trace.
/// `expected` is the job without a gateway.
fn trace(
    gateway: &Pushgateway,
    name: &str,
    option: &str,
    (arguments, outcome): (&[&str], &str),
    expected: &FinishedJob,
) -> (StateDir, String) {
    let state = StateDir::new();
    command(gateway, state.path(), name, &["ok"]).run_to_end();
    let output = state.path().with_extension("trace");
    let output_option = format!("--output={}", output.display());
    let launcher =
        ["strace", "--follow-forks", "--quiet=all", "--decode-fds=path", &output_option, "-e"];
    let launcher = [&launcher[..], &[option]].concat();
    let ended = command(gateway, state.path(), name, arguments).within(&launcher).run_to_end();
    let trace = fs::read_to_string(&output).unwrap();
    fs::remove_file(&output).unwrap();
    // A failing call of another file, such as a pipe, may have other consequences.
    let has_failed_elsewhere = trace
        .lines()
        .any(|line| line.contains("(INJECTED)") && !line.contains(state.path().to_str().unwrap()));
    if !has_failed_elsewhere {
        ended.assert_same_as(expected);
        assert_reported(gateway, name, &ended, outcome);
    }
    (state, trace)
}

/// Returns the numbers that calls of state files have in their thread.
fn positions(trace: &str, state: &Path) -> BTreeSet<usize> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut positions = BTreeSet::new();
    let is_call = |line: &&str| !line.contains(" resumed>") && line.contains('(');
    for line in trace.lines().filter(is_call) {
        let thread = line.split_whitespace().next().unwrap();
        let count = counts.entry(thread).or_default();
        *count += 1;
        if line.contains(state.to_str().unwrap()) {
            positions.insert(*count);
        }
    }
    positions
}

#[test]
fn job_is_reported_whichever_read_write_or_sync_fails() {
    let gateway = Pushgateway::start();
    let injected = count_failures(&CALLS, |call, job| {
        let (name, bare) = (job_name(job.0, &[call]), bare(job.0));
        let (state, healthy) = trace(&gateway, &name, &format!("trace={call}"), job, &bare);
        let fail_at = |(number, position): (usize, usize)| {
            let error = ERRORS[number % ERRORS.len()];
            let name = job_name(job.0, &[call, &position.to_string()]);
            let fault = format!("inject={call}:error={error}:when={position}");
            let (state, faulty) = trace(&gateway, &name, &fault, job, &bare);
            let state = state.path().to_str().unwrap();
            let is_failure = |line: &&str| line.contains("(INJECTED)") && line.contains(state);
            faulty.lines().filter(is_failure).count()
        };
        positions(&healthy, state.path()).into_iter().enumerate().map(fail_at).sum()
    });
    assert!(injected >= 8, "{injected}");
}

/// Returns the state files that a process may use from now on: those that exist, and the new versions that replace them.
fn state_files(state: &Path, processes: &[u32]) -> Vec<PathBuf> {
    let folders = ["journal", "history"].map(|folder| fs::read_dir(state.join(folder)).unwrap());
    let files = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    let versions = |file: PathBuf| {
        let names = processes
            .iter()
            .flat_map(|process| (0..4).map(move |number| format!("{process}-{number}.new")));
        let new = names.map(|name| PathBuf::from(format!("{}.{name}", file.display())));
        new.chain([file.clone()]).collect::<Vec<_>>()
    };
    files.flat_map(versions).collect()
}

/// Starts a `strace` that makes calls with these files fail in these processes.
///
/// The processes are stopped while `strace` attaches to their threads. A running thread could make calls that do not fail,
/// start another thread, or be at the end of a call, which `strace` would take for the start of one.
fn fail_from_now_on(processes: &[u32], files: &[PathBuf], fault: &str, output: &Path) -> Child {
    let signal = |name| processes.iter().for_each(|process| send_signal(*process, name));
    signal("STOP");
    wait_for_threads(processes, |status| status.contains("State:\tT"));
    let mut strace = Command::new("strace");
    strace.args(["--follow-forks", "--quiet=all", "-e", fault]);
    strace.arg(format!("--output={}", output.display()));
    strace.args(processes.iter().map(|process| format!("--attach={process}")));
    strace.args(files.iter().flat_map(|file| [OsStr::new("-P"), file.as_os_str()]));
    let strace = strace.spawn().unwrap();
    wait_for_threads(processes, |status| status.contains("State:\tt"));
    // `strace` gives up on a thread that continues before it has handled its stop. It sleeps once it has handled all of them.
    wait_for_threads(&[strace.id()], |status| status.contains("State:\tS"));
    signal("CONT");
    strace
}

/// Waits until the condition is true for the status of all threads of these processes.
fn wait_for_threads(processes: &[u32], condition: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + THREADS_TIMEOUT;
    let is_true_for = |process: &u32| {
        let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
        let statuses =
            threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("status")));
        // A thread may have ended.
        statuses.flatten().all(|status| condition(&status))
    };
    while !processes.iter().all(is_true_for) {
        assert!(
            Instant::now() < deadline,
            "not all threads of {processes:?} are stopped or traced"
        );
        thread::sleep(Duration::from_millis(1));
    }
}

/// Runs a job whose state files fail once it waits for input.
fn assert_reported_with_failing_files(
    gateway: &Pushgateway,
    arguments: &[&str],
    call: &str,
    error: &str,
) {
    let (state, name) = (StateDir::new(), job_name(arguments, &[call, error]));
    command(gateway, state.path(), &name, &["ok"]).run_to_end();
    let job = command(gateway, state.path(), &name, arguments).with_input();
    let mut running = job.start().ready();
    let mut processes = vec![running.id()];
    processes.extend((arguments == SUPERVISED).then(|| child_of(running.id())));
    let output = state.path().with_extension("trace");
    let files = state_files(state.path(), &processes);
    let fault = format!("inject={call}:error={error}");
    let mut strace = fail_from_now_on(&processes, &files, &fault, &output);
    let outcome = if arguments == SUPERVISED {
        send_signal(processes[1], "KILL");
        "signal"
    } else {
        running.close_input();
        "success"
    };
    assert_reported(gateway, &name, &running.wait(), outcome);
    strace.wait().unwrap();
    let trace = fs::read_to_string(&output).unwrap();
    fs::remove_file(&output).unwrap();
    assert!(call == "read" || trace.contains("(INJECTED)"), "{name}: no call failed: {trace}");
}

#[test]
fn job_whose_files_fail_from_then_on_is_reported() {
    let gateway = Pushgateway::start();
    thread::scope(|scope| {
        for arguments in
            [&["wait-for-input"][..], &["durable-journal", "wait-for-input"], SUPERVISED]
        {
            let gateway = &gateway;
            scope.spawn(move || {
                for error in ERRORS {
                    for call in ["write", "read", "write,read,fsync,fdatasync"] {
                        assert_reported_with_failing_files(gateway, arguments, call, error);
                    }
                }
            });
        }
    });
}
