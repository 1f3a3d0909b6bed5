//! Jobs in a container, and other things that only root can arrange.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use metrics_push::Outcome;
use metrics_push::testing::FakeGateway;

use crate::child::{Ended, Panics, Start, child_of, job, send_signal};
use crate::state_dir::StateDir;

/// The outcomes that hold for the job.
fn outcomes(gateway: &FakeGateway) -> Vec<&'static str> {
    let group = gateway.group("ending", &[]);
    let value = |outcome: &str| group.value("batch_job_last_run_outcome", &[("outcome", outcome)]);
    Outcome::ALL.into_iter().map(Outcome::as_str).filter(|outcome| value(outcome) > 0.5).collect()
}

/// The job below another in a PID namespace of its own, where it is the first process.
fn first_process(gateway: &FakeGateway, state: &StateDir, arguments: &[&str]) -> Start {
    let start = job(Panics::Unwind, arguments).gateway(&gateway.url());
    start.variable("METRICS_PUSH_STATE_DIR", state.path()).within(&[
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
    ])
}

/// Whether this machine lets the test make namespaces; root may.
fn may_unshare() -> bool {
    let unshare =
        Command::new("unshare").args(["--pid", "--fork", "true"]).stderr(Stdio::null()).status();
    unshare.is_ok_and(|status| status.success())
}

#[track_caller]
fn stopped_like_a_container(arguments: &[&str]) -> (FakeGateway, Ended) {
    assert!(may_unshare(), "run this test as root: it needs a PID namespace");
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let running = first_process(&gateway, &state, arguments).start().ready();
    let first = child_of(running.id());
    send_signal(first, "TERM");
    std::thread::sleep(Duration::from_secs(2));
    // Whoever is gone by now has ended in time.
    let _ = Command::new("kill").args(["-KILL", &first.to_string()]).stderr(Stdio::null()).status();
    (gateway, running.wait())
}

#[test]
fn as_the_first_process_of_a_container_the_job_is_told_of_and_lives_as_long_as_without_us() {
    let (gateway, ended) = stopped_like_a_container(&["wait"]);
    assert_eq!(outcomes(&gateway), ["signal"], "{ended:?}");
    assert_eq!(gateway.group("ending", &[]).get("batch_job_last_run_signal", &[]), Some(15.0));
}

#[test]
fn a_first_process_that_outlives_its_signal_tells_how_it_really_ended() {
    assert!(may_unshare(), "run this test as root: it needs a PID namespace");
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let running = first_process(&gateway, &state, &["wait-a-little"]).start().ready();
    send_signal(child_of(running.id()), "TERM");
    assert!(running.wait().status.success());
    assert_eq!(outcomes(&gateway), ["success"]);
}

#[test]
fn a_supervisor_that_is_the_first_process_ends_with_its_job() {
    let (gateway, ended) = stopped_like_a_container(&["supervised", "wait"]);
    assert_eq!(outcomes(&gateway), ["signal"], "{ended:?}");
    assert_eq!(ended.status.code(), Some(143), "{ended:?}");
}

#[test]
fn a_supervisor_that_is_the_first_process_waits_for_orphans() {
    assert!(may_unshare(), "run this test as root: it needs a PID namespace");
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let start = first_process(&gateway, &state, &["supervised", "leave-an-orphan"]).with_input();
    let mut running = start.start().ready();
    let first = child_of(running.id());
    let children = || {
        let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children"));
        children.unwrap().split_whitespace().count()
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while children() > 1 {
        assert!(Instant::now() < deadline, "it is a zombie");
        std::thread::sleep(Duration::from_millis(5));
    }
    running.close_input();
    assert!(running.wait().status.success());
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let somebody = Some(65_534);
    std::os::unix::fs::chown(state.path(), somebody, somebody).expect("run this test as root");
    let ended = job(Panics::Unwind, &["kill"])
        .gateway(&gateway.url())
        .variable("METRICS_PUSH_STATE_DIR", state.path())
        .run_to_end();
    assert_eq!(ended.notices.len(), 1, "{ended:?}");
    assert!(ended.notices[0].contains("belongs to another user"), "{ended:?}");
    assert!(state.journals().is_empty());
}
