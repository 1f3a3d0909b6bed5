//! Jobs whose state directory fails, with a healthy gateway: each ending is reported, with at most one line on stderr.
//!
//! Full and read-only file systems are real ones, in a mount namespace. The operations on folders also fail one by one,
//! once and from then on, with each error that a disk reports.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::child::{FinishedJob, JobCommand, PanicStrategy, RunningJob, child_of, ending, job};
use crate::lifecycle::{outcomes, stored};
use crate::real::Pushgateway;
use crate::state_dir::StateDir;

/// Ways to run a job, each with its outcome: in one process, and under a supervisor that reports the end.
pub(crate) const JOBS: [(&[&str], &str); 5] = [
    (&["err"], "error"),
    (&["durable-journal", "exit-3"], "exit_code"),
    (&["supervised", "_exit"], "exit_code"),
    (&["supervised", "run-exec"], "exit_code"),
    (&["copied", "run-exec"], "exit_code"),
];

/// The name of each file system, its mount options, and the shell command that breaks it at the path `$0`.
const FILE_SYSTEMS: [(&str, &str, &str); 3] = [
    ("full", "size=64k", "cat /dev/zero > $0/filler"),
    ("without-inodes", "nr_inodes=64", "for i in $(seq 64); do touch $0/$i; done"),
    ("read-only", "size=64k", "mount -o remount,ro $0"),
];

pub(crate) fn command(
    gateway: &Pushgateway,
    state: &Path,
    name: &str,
    arguments: &[&str],
) -> JobCommand {
    ending(name, &gateway.url(), arguments).variable("METRICS_PUSH_STATE_DIR", state)
}

#[track_caller]
pub(crate) fn assert_reported(
    gateway: &Pushgateway,
    name: &str,
    ended: &FinishedJob,
    outcome: &str,
) {
    let stored = stored(gateway, name);
    assert_eq!(outcomes(&stored), [outcome], "{name}: {ended:?} {stored:?}");
    assert!(ended.log_lines.len() <= 1, "{name}: {ended:?}");
}

pub(crate) fn bare(arguments: &[&str]) -> FinishedJob {
    job(PanicStrategy::Unwind, arguments).run_to_end()
}

/// Calls `check` with each combination of a file system and a job, all at the same time.
fn for_each_file_system<T: Copy + Sync>(jobs: &[T], check: impl Fn((&str, &str, &str), T) + Sync) {
    thread::scope(|scope| {
        for file_system in FILE_SYSTEMS {
            for job in jobs {
                let check = &check;
                scope.spawn(move || check(file_system, *job));
            }
        }
    });
}

#[test]
fn job_on_a_failing_file_system_is_reported() {
    let gateway = Pushgateway::start();
    for_each_file_system(&JOBS, |(kind, options, fail), (arguments, outcome)| {
        let (state, name) = (StateDir::new(), format!("{kind}-{}", arguments.concat()));
        let script = format!(
            "mount -t tmpfs -o mode=700,{options} tmpfs $0 && {{ {fail}; }} 2> /dev/null; exec \"$@\""
        );
        let launcher = ["unshare", "--mount", "sh", "-c", &script, state.path().to_str().unwrap()];
        let ended =
            command(&gateway, state.path(), &name, arguments).within(&launcher).run_to_end();
        ended.assert_same_as(&bare(arguments));
        assert_reported(&gateway, &name, &ended, outcome);
    });
}

/// Runs a command in the mount namespace of a job.
fn run_in_namespace_of(job: &RunningJob, state: &Path, script: &str) {
    let mut command = Command::new("nsenter");
    command.args(["--mount", "--target", &job.id().to_string(), "sh", "-c", script]).arg(state);
    command.stderr(std::process::Stdio::null());
    command.status().unwrap();
}

#[test]
fn job_whose_file_system_fails_while_it_runs_is_reported() {
    const KILLED: &[&str] = &["supervised", "wait-for-input"];
    let jobs = [&["wait-for-input"][..], &["durable-journal", "wait-for-input"], KILLED];
    let gateway = Pushgateway::start();
    for_each_file_system(&jobs, |(kind, options, fail), arguments| {
        for is_repaired in [false, true] {
            let state = StateDir::new();
            let name = format!("{kind}-{}-{is_repaired}", arguments.concat());
            let script = format!("mount -t tmpfs -o mode=700,{options} tmpfs $0 && exec \"$@\"");
            let state_path = state.path().to_str().unwrap();
            let launcher = ["unshare", "--mount", "sh", "-c", &script, state_path];
            let command = command(&gateway, state.path(), &name, arguments).within(&launcher);
            let mut running = command.with_input().start().ready();
            run_in_namespace_of(&running, state.path(), fail);
            if is_repaired {
                let repair = "mount -o remount,rw $0; rm -f $0/filler $0/[0-9]*";
                run_in_namespace_of(&running, state.path(), repair);
            }
            let outcome = if arguments == KILLED { "signal" } else { "success" };
            if arguments == KILLED {
                crate::child::send_signal(child_of(running.id()), "KILL");
            }
            running.close_input();
            assert_reported(&gateway, &name, &running.wait(), outcome);
        }
    });
}

/// The operations on the folders of a state directory.
const CALLS: [&str; 6] = ["openat", "/^mkdir", "/^rename", "/^unlink", "fsync", "getdents64"];

const ERRORS: [&str; 4] = ["ENOSPC", "EIO", "EROFS", "EDQUOT"];

/// More than the calls of one kind that any thread of a job makes.
const MAX_CALLS: usize = 100;

/// Runs a job whose n-th call fails. Returns false if the job makes fewer calls.
fn fail_at(
    gateway: &Pushgateway,
    (call, when): (&str, &str),
    error: &str,
    (arguments, outcome): (&[&str], &str),
) -> bool {
    let state = StateDir::new();
    let name = format!("{}-{when}-{error}-{}", call.trim_start_matches("/^"), arguments.concat());
    let trace = state.path().with_extension("trace");
    let fault = format!("inject={call}:error={error}:when={when}");
    let output = format!("--output={}", trace.display());
    let folders = ["", "journal", "spool", "history"].map(|folder| state.path().join(folder));
    let folders = folders.iter().flat_map(|folder| ["-P", folder.to_str().unwrap()]);
    let launcher = ["strace", "--follow-forks", "--quiet=all", &output, "-e", &fault];
    let launcher: Vec<_> = launcher.into_iter().chain(folders).collect();
    let ended = command(gateway, state.path(), &name, arguments).within(&launcher).run_to_end();
    let calls = std::fs::read_to_string(&trace).unwrap();
    std::fs::remove_file(&trace).unwrap();
    ended.assert_same_as(&bare(arguments));
    assert_reported(gateway, &name, &ended, outcome);
    calls.contains("(INJECTED)")
}

/// Calls `fail_each` for each call of each job, and returns the sum of its results: the number of calls that failed.
pub(crate) fn count_failures(
    calls: &[&str],
    fail_each: impl Fn(&str, (&[&str], &str)) -> usize + Sync,
) -> usize {
    let injected = AtomicUsize::new(0);
    thread::scope(|scope| {
        for job in JOBS {
            let (injected, fail_each) = (&injected, &fail_each);
            scope.spawn(move || {
                for call in calls {
                    injected.fetch_add(fail_each(call, job), Ordering::Relaxed);
                }
            });
        }
    });
    let injected = injected.into_inner();
    println!("{injected} failing calls");
    injected
}

#[test]
fn job_is_reported_whichever_folder_operation_fails() {
    let gateway = Pushgateway::start();
    let injected = count_failures(&CALLS, |call, job| {
        let fail_each = |suffix| {
            let has_failed = |number: usize| {
                let (when, error) = (format!("{number}{suffix}"), ERRORS[number % ERRORS.len()]);
                fail_at(&gateway, (call, &when), error, job)
            };
            (1..MAX_CALLS).take_while(|number| has_failed(*number)).count()
        };
        ["", "+"].map(fail_each).into_iter().sum()
    });
    assert!(injected > 50, "{injected}");
}
