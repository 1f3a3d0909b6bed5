//! Jobs with a parent of ours: whatever ends them is told at once, and passes through.

use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use metrics_push::testing::FakeGateway;

use crate::child::{Panics, Start, job};
use crate::lifecycle::{assert_value, completions, outcomes};
use crate::state::StateDir;

fn supervised(gateway: &FakeGateway, state: &StateDir, ending: &str) -> Start {
    let start = job(Panics::Unwind, &["supervised", ending]).gateway(&gateway.url());
    start.variable("METRICS_PUSH_STATE_DIR", state.path())
}

#[track_caller]
fn assert_nothing_left(state: &StateDir) {
    let left: Vec<PathBuf> = std::fs::read_dir(state.path().join("journal"))
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    assert!(left.iter().all(|path| path.ends_with("recovery.lock")), "{left:?}");
}

/// Runs it bare and supervised, compares, and gives the outcome.
#[track_caller]
fn told_once(ending: &str) -> (&'static str, metrics_push::testing::Group) {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let bare = job(Panics::Unwind, &[ending]).run_to_end();
    let ended = supervised(&gateway, &state, ending).run_to_end();
    ended.assert_same_as(&bare);
    assert!(ended.notices.is_empty(), "{ending}: {ended:?}");
    assert_eq!(completions(&gateway, "ending"), 1, "{ending}");
    assert_nothing_left(&state);
    let group = gateway.group("ending", &[]);
    let outcomes = outcomes(&group);
    assert_eq!(outcomes.len(), 1, "{ending}: {outcomes:?}");
    (outcomes[0], group)
}

#[test]
fn what_the_job_tells_by_itself_is_not_told_again() {
    for (ending, outcome) in [
        ("ok", "success"),
        ("err", "error"),
        ("panic", "panic"),
        ("exit-3", "exit_code"),
        ("exit-in-worker", "exit_code"),
    ] {
        assert_eq!(told_once(ending).0, outcome, "{ending}");
    }
}

#[test]
fn what_the_job_can_not_tell_its_parent_tells_at_once() {
    for (ending, outcome, code, signal) in [
        ("_exit", "exit_code", Some(9.0), None),
        ("kill", "signal", None, Some(9.0)),
        ("abort", "signal", None, Some(6.0)),
        ("segv", "signal", None, Some(11.0)),
        ("overflow", "signal", None, Some(6.0)),
        ("exec", "success", Some(0.0), None),
    ] {
        let (told, group) = told_once(ending);
        assert_eq!(told, outcome, "{ending}");
        assert_value(&group, "exit_code", code);
        assert_value(&group, "signal", signal);
        assert!(group.value("batch_job_last_run_max_resident_memory_bytes", &[]) > 1e5);
    }
}

#[test]
fn without_a_state_directory_the_parent_tells_as_well() {
    let gateway = FakeGateway::start();
    let start = job(Panics::Unwind, &["supervised", "kill"]).gateway(&gateway.url());
    let temporary = StateDir::new();
    let ended = start.variable("TMPDIR", temporary.path()).run_to_end();
    assert_eq!(ended.status.signal(), Some(9));
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["signal"]);
    let left = std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(left, 1, "only the test's own folder");
}

#[test]
fn running_out_of_address_space_is_an_abort() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let launcher = ["sh", "-c", "ulimit -v 2000000; exec \"$@\"", "sh"];
    let ended = supervised(&gateway, &state, "out-of-memory").within(&launcher).run_to_end();
    assert_eq!(ended.status.signal(), Some(6), "{ended:?}");
    assert_value(&gateway.group("ending", &[]), "signal", Some(6.0));
}

#[test]
fn signals_reach_the_job_and_pass_through() {
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("QUIT", 3), ("USR1", 10)] {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        let running = supervised(&gateway, &state, "wait").start().ready();
        running.signal(signal);
        let ended = running.wait();
        assert_eq!(ended.status.signal(), Some(number), "{ended:?}");
        let group = gateway.group("ending", &[]);
        assert_eq!(outcomes(&group), ["signal"]);
        assert_value(&group, "signal", Some(f64::from(number)));
        assert_eq!(completions(&gateway, "ending"), 1, "{signal}");
    }
}

#[test]
fn a_signal_that_the_job_takes_is_its_own() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let running = supervised(&gateway, &state, "tokio-signal").start().ready();
    running.signal("TERM");
    assert!(running.wait().status.success());
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["success"]);
}

#[test]
fn who_kills_the_parent_kills_the_job() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let running = supervised(&gateway, &state, "wait").start().ready();
    running.kill();
    // Its end closes the output that the test reads.
    running.wait();
    let other =
        job(Panics::Unwind, &["ok"]).gateway(&gateway.url()).variable("METRICS_PUSH_JOB", "other");
    let ended = other.variable("METRICS_PUSH_STATE_DIR", state.path()).run_to_end();
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["abandoned"], "{ended:?}");
    assert_nothing_left(&state);
}

#[test]
fn input_passes_through() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let mut start = supervised(&gateway, &state, "wait-for-input");
    let mut child = start.command().stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"some input\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "before\nready\nsome input\nafter\n");
}

#[test]
fn a_stream_that_the_job_closes_is_closed() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let mut start = supervised(&gateway, &state, "close-output-and-wait-for-input");
    let mut child = start.command().stdin(Stdio::piped()).spawn().unwrap();
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert_eq!(output, "before\nready\n");
    assert_eq!(child.try_wait().unwrap(), None, "it has closed its output, and goes on");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());

    let running = supervised(&gateway, &state, "close-input-and-wait").with_input();
    let mut running = running.start().ready();
    let written = running.input().write_all(b"to nobody");
    assert_eq!(written.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    running.signal("TERM");
    running.wait();
}

#[test]
fn the_jobs_own_children_inherit_what_they_would_without_us() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let bare = job(Panics::Unwind, &["what-children-inherit"])
        .variable("PATH", "/usr/bin:/bin")
        .run_to_end();
    assert!(bare.stdout.contains("SigBlk"), "{bare:?}");
    let unsupervised = job(Panics::Unwind, &["what-children-inherit"]).gateway(&gateway.url());
    unsupervised.variable("PATH", "/usr/bin:/bin").run_to_end().assert_same_as(&bare);
    let start = supervised(&gateway, &state, "what-children-inherit");
    start.variable("PATH", "/usr/bin:/bin").run_to_end().assert_same_as(&bare);
}

#[test]
fn a_job_that_takes_too_long_is_ended_and_was_a_timeout() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    for options in [&["limited", "wait"][..], &["signals-off", "limited", "wait"]] {
        let start = job(Panics::Unwind, options).gateway(&gateway.url());
        let begun = Instant::now();
        let ended = start.variable("METRICS_PUSH_STATE_DIR", state.path()).run_to_end();
        assert_eq!(ended.status.signal(), Some(15), "{ended:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let group = gateway.group("ending", &[]);
        assert_eq!(outcomes(&group), ["timeout"], "{options:?}");
        assert_value(&group, "signal", Some(15.0));
        assert_eq!(completions(&gateway, "ending"), 1);
        gateway.clear();
    }
}

#[test]
fn the_parent_stays_small_and_alone() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let running = supervised(&gateway, &state, "wait").start().ready();
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
    let number = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    println!("{} kB resident, {} anonymous", number("VmRSS:"), number("RssAnon:"));
    assert_eq!(number("Threads:"), 1);
    // The program's own pages are shared with the job.
    assert!(number("RssAnon:") < 1_024, "{status}");
    running.signal("TERM");
    running.wait();
}
