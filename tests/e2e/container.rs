//! Jobs as PID 1 of a container, and a state directory of another user. Both need root.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use metrics_push::Outcome;
use metrics_push::testing::{FakeGateway, Fault};

use crate::child::{FinishedJob, JobCommand, PanicStrategy, child_of, job, send_signal};
use crate::state_dir::StateDir;

const SIGNAL: &str = "batch_job_last_run_signal";

/// The outcomes of a job's last run; a correct group has exactly one.
pub(crate) fn outcomes(gateway: &FakeGateway, job: &str) -> Vec<&'static str> {
    let group = gateway.group(job, &[]);
    let value = |outcome: &str| group.value("batch_job_last_run_outcome", &[("outcome", outcome)]);
    Outcome::ALL.into_iter().map(Outcome::as_str).filter(|outcome| value(outcome) > 0.5).collect()
}

/// A job that is PID 1 of a new PID namespace.
fn job_as_pid_1(gateway: &FakeGateway, state: &StateDir, arguments: &[&str]) -> JobCommand {
    let command = job(PanicStrategy::Unwind, arguments).gateway(&gateway.url());
    command.variable("METRICS_PUSH_STATE_DIR", state.path()).within(&[
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
    ])
}

/// Returns true if this process may create PID namespaces.
fn can_unshare() -> bool {
    let unshare =
        Command::new("unshare").args(["--pid", "--fork", "true"]).stderr(Stdio::null()).status();
    unshare.is_ok_and(|status| status.success())
}

/// Stops a job as a container runtime does: TERM, then KILL as soon as `is_reported` returns true, if the job still runs.
#[track_caller]
fn stop_container(
    arguments: &[&str],
    is_reported: impl Fn(&FakeGateway) -> bool,
) -> (FakeGateway, FinishedJob) {
    assert!(can_unshare(), "run this test as root: it needs a PID namespace");
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let running = job_as_pid_1(&gateway, &state, arguments).start().ready();
    let pid_1 = child_of(running.id());
    send_signal(pid_1, "TERM");
    let is_running = || Path::new(&format!("/proc/{pid_1}")).exists();
    let deadline = Instant::now() + Duration::from_secs(60);
    while is_running() && !is_reported(&gateway) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    // Fails if the process has already exited.
    let _ = Command::new("kill").args(["-KILL", &pid_1.to_string()]).stderr(Stdio::null()).status();
    (gateway, running.wait())
}

#[test]
fn job_as_pid_1_reports_sigterm() {
    let signal = |gateway: &FakeGateway| gateway.find_group("ending", &[])?.get(SIGNAL, &[]);
    let (gateway, ended) = stop_container(&["wait"], |gateway| signal(gateway) == Some(15.0));
    assert_eq!(outcomes(&gateway, "ending"), ["signal"], "{ended:?}");
    assert_eq!(signal(&gateway), Some(15.0));
}

#[test]
fn job_as_pid_1_that_survives_sigterm_reports_its_own_ending() {
    assert!(can_unshare(), "run this test as root: it needs a PID namespace");
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let running = job_as_pid_1(&gateway, &state, &["wait-a-little"]).start().ready();
    send_signal(child_of(running.id()), "TERM");
    assert!(running.wait().status.success());
    assert_eq!(outcomes(&gateway, "ending"), ["success"]);
}

#[test]
fn job_as_pid_1_that_ends_during_the_report_of_sigterm_reports_its_real_end() {
    assert!(can_unshare(), "run this test as root: it needs a PID namespace");
    // The first one ends before the report is delivered, the second one has started to end before the signal.
    for arguments in [&["wait-a-little"][..], &["slow-collector", "ok"]] {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        gateway.fault(Fault::stall(Duration::from_millis(600)));
        let running = job_as_pid_1(&gateway, &state, arguments).start().ready();
        send_signal(child_of(running.id()), "TERM");
        assert!(running.wait().status.success());
        assert_eq!(outcomes(&gateway, "ending"), ["success"], "{arguments:?}");
    }
}

#[test]
fn supervisor_as_pid_1_exits_with_its_job() {
    let (gateway, ended) = stop_container(&["supervised", "wait"], |_| false);
    assert_eq!(outcomes(&gateway, "ending"), ["signal"], "{ended:?}");
    assert_eq!(ended.status.code(), Some(143), "{ended:?}");
}

#[test]
fn supervisor_as_pid_1_reaps_orphans() {
    assert!(can_unshare(), "run this test as root: it needs a PID namespace");
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let command = job_as_pid_1(&gateway, &state, &["supervised", "leave-an-orphan"]).with_input();
    let mut running = command.start().ready();
    let pid_1 = child_of(running.id());
    let children = || {
        let children = std::fs::read_to_string(format!("/proc/{pid_1}/task/{pid_1}/children"));
        children.unwrap().split_whitespace().count()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while children() > 1 {
        assert!(Instant::now() < deadline, "the orphan has not been reaped");
        std::thread::sleep(Duration::from_millis(5));
    }
    running.close_input();
    assert!(running.wait().status.success());
}

#[test]
fn state_dir_of_another_user_is_not_used() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let another_user = Some(65_534);
    std::os::unix::fs::chown(state.path(), another_user, another_user)
        .expect("run this test as root: it changes the owner of a directory");
    let ended = job(PanicStrategy::Unwind, &["kill"])
        .gateway(&gateway.url())
        .variable("METRICS_PUSH_STATE_DIR", state.path())
        .run_to_end();
    assert_eq!(ended.log_lines.len(), 1, "{ended:?}");
    assert!(ended.log_lines[0].contains("belongs to another user"), "{ended:?}");
    assert!(state.journals().is_empty());
}
