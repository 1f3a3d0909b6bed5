//! `metrics-push exec` with commands that fork, become daemons, close their descriptors or read the terminal.
//!
//! `exec` reports the end of the command itself, as a shell sees it, and never waits for processes that the command leaves.

use std::process::Command;
use std::time::{Duration, Instant};

use metrics_push::testing::FakeGateway;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::program::{Session, metrics_push, piped};

/// Far below the duration of the processes that the commands leave.
const MAX_DURATION: Duration = Duration::from_secs(15);

fn exec(gateway: &FakeGateway, script: &str) -> Command {
    let mut exec =
        metrics_push(&gateway.url(), &["exec", "--job", "backup", "--", "bash", "-c", script]);
    exec.env("PATH", "/usr/bin:/bin");
    exec
}

#[test]
fn exec_does_not_wait_for_processes_that_the_command_leaves() {
    for (leaves, script) in [
        ("a child in the background", "sleep 60 <&- >&- 2>&- & echo $!; exit 3"),
        ("a child that ignores hangups", "nohup sleep 60 <&- >/dev/null 2>&1 & echo $!; exit 3"),
        ("a grandchild", "(sleep 60 <&- >&- 2>&- & echo $!); exit 3"),
        (
            "a daemon in a session of its own",
            "setsid bash -c 'sleep 60 <&- >&- 2>&- & echo $!' </dev/null; exit 3",
        ),
    ] {
        let gateway = FakeGateway::start();
        let started = Instant::now();
        let ran = piped(exec(&gateway, script), "");
        assert!(started.elapsed() < MAX_DURATION, "{leaves}: {ran:?}");
        assert_eq!((ran.status, ran.stderr.as_str()), (3, ""), "{leaves}");
        let left = Pid::from_raw(ran.stdout.trim().parse().unwrap()).unwrap();
        test_kill_process(left).unwrap_or_else(|error| panic!("{leaves} is gone: {error}"));
        kill_process(left, Signal::KILL).unwrap();
        let group = gateway.after_run("backup", &[]);
        group.assert_value("batch_job_last_run_exit_code", &[], 3.0);
        assert!(gateway.requests().len() <= 2, "{leaves}: a start and an ending\n{gateway}");
    }
}

#[test]
fn exec_reports_a_command_that_closes_all_descriptors() {
    let close = "for fd in /proc/self/fd/*; do fd=${fd##*/}; eval \"exec $fd>&-\"; done";
    for (end, status, outcome) in
        [("exit 0", 0, "success"), ("exit 3", 3, "exit_code"), ("kill -KILL $$", 137, "signal")]
    {
        let gateway = FakeGateway::start();
        let ran = piped(exec(&gateway, &format!("{close}; {end}")), "");
        assert_eq!((ran.status, ran.stderr.as_str()), (status, ""), "{end}");
        gateway.after_run("backup", &[]).assert_outcome(outcome);
    }
}

#[test]
fn exec_reports_the_end_of_a_command_that_replaces_itself() {
    let gateway = FakeGateway::start();
    let ran = piped(exec(&gateway, "exec bash -c 'exec bash -c \"exit 3\"'"), "");
    assert_eq!((ran.status, ran.stderr.as_str()), (3, ""));
    let group = gateway.after_run("backup", &[]);
    group.assert_value("batch_job_last_run_exit_code", &[], 3.0);
    assert!(gateway.requests().len() <= 2, "a start and an ending\n{gateway}");
}

#[test]
fn command_reads_a_line_and_a_password_from_the_terminal() {
    let gateway = FakeGateway::start();
    let script = "read -p 'user: ' user; read -s -p 'password: ' password </dev/tty; \
                  test -t 0 && echo \"got $user and $password\"; exit 3";
    // A new session, because /dev/tty is the controlling terminal.
    let inner = exec(&gateway, script);
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait"]).arg(inner.get_program()).args(inner.get_args());
    command.env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut session = Session::start(command);
    session.expect("user: ").press("root\n");
    session.expect("password: ").press("secret\n");
    session.expect("got root and secret");
    assert_eq!(session.wait(), 3);
    gateway.after_run("backup", &[]).assert_value("batch_job_last_run_exit_code", &[], 3.0);
}
