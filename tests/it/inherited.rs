//! Jobs that inherit unusual process state: the outcome is correct, and the exit status and the output are the same as
//! without this library.

use std::thread;

use metrics_push::testing::FakeGateway;

use crate::child::{JobCommand, PanicStrategy, job};
use crate::lifecycle::outcomes;
use crate::state_dir::StateDir;

/// Ways to run a job: in one process, and under a supervisor that reports the end.
const JOBS: [&[&str]; 4] =
    [&["exit-3"], &["supervised", "_exit"], &["supervised", "run-exec"], &["copied", "run-exec"]];

/// A job that hangs is killed.
fn within(command: JobCommand, script: &str) -> JobCommand {
    let script = format!("{script} exec timeout --signal=KILL --foreground 30 \"$@\"");
    command.within(&["sh", "-c", &script, "sh"])
}

/// Runs each job after this shell script, which changes the state that it inherits.
fn assert_reported(script: &str) {
    for arguments in JOBS {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        let bare = within(job(PanicStrategy::Unwind, arguments), script).run_to_end();
        let command = job(PanicStrategy::Unwind, arguments).gateway(&gateway.url());
        let command = command.variable("METRICS_PUSH_STATE_DIR", state.path());
        let ended = within(command, script).run_to_end();
        ended.assert_same_as(&bare);
        let group = gateway.group("ending", &[]);
        assert_eq!(outcomes(&group), ["exit_code"], "{script} {arguments:?}: {ended:?}");
    }
}

fn assert_all_reported(scripts: impl IntoIterator<Item = String>) {
    let scripts: Vec<_> = scripts.into_iter().collect();
    thread::scope(|scope| {
        for chunk in scripts.chunks(scripts.len().div_ceil(4)) {
            scope.spawn(move || chunk.iter().for_each(|script| assert_reported(script)));
        }
    });
}

#[test]
fn job_with_inherited_signals_is_reported() {
    let signals = ["HUP", "INT", "QUIT", "TERM", "PIPE", "CHLD", "USR1", "XCPU", "ALRM", "TSTP"];
    let each = signals.map(|signal| format!("={signal}")).into_iter().chain([String::new()]);
    assert_all_reported(each.flat_map(|which| {
        ["ignore", "block"].map(|option| format!("set -- env --{option}-signal{which} \"$@\";"))
    }));
}

#[test]
fn job_with_closed_streams_is_reported() {
    let closed = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"];
    assert_all_reported(closed.map(|closed| format!("exec {closed};")));
}

/// If a stream were closed, the next file would get its number and receive the next log line.
#[test]
fn command_that_cannot_be_executed_leaves_the_streams_open() {
    for options in [&[][..], &["supervised"], &["copied"]] {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        let arguments = [options, &["run-exec-missing"]].concat();
        let command = job(PanicStrategy::Unwind, &arguments).gateway(&gateway.url());
        let command = command.variable("METRICS_PUSH_STATE_DIR", state.path());
        let ended = within(command, "exec <&- >&- 2>&-;").run_to_end();
        assert_eq!(ended.status.code(), Some(3), "{options:?}: {ended:?}");
        assert_eq!(outcomes(&gateway.group("ending", &[])), ["exit_code"], "{options:?}");
    }
}

#[test]
fn job_with_limits_is_reported() {
    let limits = ["fsize=0", "fsize=100", "nofile=32", "core=0", "data=2000000000"];
    assert_all_reported(limits.map(|limit| format!("prlimit --pid $$ --{limit};")));
}

#[test]
fn job_with_an_unusual_environment_is_reported() {
    let scripts = [
        "umask 0000;",
        "umask 0777;",
        "export LC_ALL=tr_TR.UTF-8 LANG=C TZ=:/nonsense;",
        "unset HOME;",
        "directory=$(mktemp -d); cd $directory; rmdir $directory;",
    ];
    assert_all_reported(scripts.map(str::to_owned));
}
