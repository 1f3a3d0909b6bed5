//! Tests of the spool across processes and scopes.

use std::ffi::OsStr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use metrics_push::prometheus::Registry;
use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Config, Job, Outcome};

use crate::child::is_wait_notice;
use crate::programs::{command, program};
use crate::temp_dir::TempDir;

/// Longer than a busy machine needs for a push. A gateway that refuses connections ends a push earlier, if it is spooled.
const TIMEOUT: Duration = Duration::from_secs(20);

fn empty_registry() -> &'static Registry {
    static EMPTY: OnceLock<Registry> = OnceLock::new();
    EMPTY.get_or_init(Registry::new)
}

fn config(gateway: &FakeGateway, state: &TempDir) -> Config {
    Config::default().url(gateway.url()).unwrap().state_dir(state.path()).timeout(TIMEOUT)
}

fn succeed(name: String) {
    let job = Job::with_name(name).registry(empty_registry).whole_process();
    job.start().finish(Outcome::Success);
}

#[test]
fn concurrent_recoveries_deliver_all_outcomes() {
    const JOBS: usize = 24;
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    gateway.refuse_connections();
    std::thread::scope(|scope| {
        for number in 0..JOBS {
            let config = config(&gateway, &state);
            scope.spawn(move || {
                let _scope = config.scope().unwrap();
                succeed(format!("job_{number}"));
            });
        }
    });
    assert_eq!(state.records().len(), JOBS);
    gateway.accept_connections();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let config = config(&gateway, &state);
            scope.spawn(move || {
                let _scope = config.scope().unwrap();
                assert_eq!(metrics_push::recover(TIMEOUT).left, 0);
            });
        }
    });
    assert!(state.records().is_empty());
    assert_eq!(gateway.groups().len(), JOBS);
}

#[test]
fn outcome_for_one_gateway_is_not_sent_to_another() {
    let (down, other, state) = (FakeGateway::start(), FakeGateway::start(), TempDir::new());
    down.refuse_connections();
    {
        let _scope = config(&down, &state).scope().unwrap();
        succeed("here".into());
    }
    {
        let _scope = config(&other, &state).scope().unwrap();
        assert_eq!(metrics_push::recover(TIMEOUT), metrics_push::Recovery::default());
        succeed("there".into());
    }
    assert_eq!((state.records().len(), other.groups().len()), (1, 1));
}

#[test]
fn spooled_outcome_waits_without_a_query_api() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    gateway.refuse_connections();
    let _scope = config(&gateway, &state).scope().unwrap();
    succeed("compatible".into());
    gateway.accept_connections();
    gateway.fault(Fault::status(404).when(|request| request.path.contains("/api/")));
    let recovery = metrics_push::recover(TIMEOUT);
    assert_eq!((recovery.delivered, recovery.left), (0, 1));
    assert!(gateway.find_group("compatible", &[]).is_none());
    // The next success replaces the group, and what waits for it.
    succeed("compatible".into());
    assert!(gateway.find_group("compatible", &[]).is_some());
    assert!(state.records().is_empty());
}

#[test]
fn push_succeeds_without_a_usable_state_directory() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    std::fs::write(state.path(), "a file").unwrap();
    let scope = config(&gateway, &state).scope().unwrap();
    succeed("elsewhere".into());
    assert!(gateway.find_group("elsewhere", &[]).is_some());
    drop(scope);
    gateway.refuse_connections();
    let _scope = config(&gateway, &state).timeout(Duration::from_secs(1)).scope().unwrap();
    let started = Instant::now();
    succeed("elsewhere".into());
    assert!(started.elapsed() < TIMEOUT / 4, "{:?}", started.elapsed());
    std::fs::remove_file(state.path()).unwrap();
}

/// Runs these jobs in a child process whose gateway is down. Returns the lines that the library writes to stderr.
fn stderr_lines(jobs: &[impl AsRef<OsStr>], state: Option<&TempDir>) -> Vec<String> {
    let mut command = command(program("succeeds"));
    command.args(jobs).env("METRICS_PUSH_URL", "http://user:password@127.0.0.1:9");
    // Long enough for several attempts, even on a busy machine.
    command.env("METRICS_PUSH_TIMEOUT", "2s");
    if let Some(state) = state {
        command.env("METRICS_PUSH_STATE_DIR", state.path());
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("metrics-push: "));
    lines.filter(|line| !is_wait_notice(line)).map(str::to_owned).collect()
}

#[test]
fn undelivered_outcome_is_logged_in_one_line() {
    let state = TempDir::new();
    let lines = stderr_lines(&["nightly"], Some(&state));
    let [line] = &lines[..] else { panic!("{lines:?}") };
    for part in [
        r#"the outcome of {job="nightly"} is not delivered yet after "#,
        "attempts: no connection to the gateway (url: http://127.0.0.1:9, ",
        "refused",
        "check the URL, and that the gateway is running",
        &format!(
            "it is stored in {}, and the next run for this URL delivers it",
            state.path().join("spool").display()
        ),
    ] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    assert_eq!(state.records().len(), 1);

    let lines = stderr_lines(&["nightly"], None);
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(line.contains("is lost after") && line.contains("METRICS_PUSH_STATE_DIR"), "{line}");
}

#[test]
fn many_undelivered_outcomes_are_logged_as_a_summary() {
    let state = TempDir::new();
    let jobs: Vec<_> = (0..12).map(|number| format!("task_{number}")).collect();
    let lines = stderr_lines(&jobs, Some(&state));
    let in_full = lines.iter().filter(|line| line.contains("is not delivered yet")).count();
    let count = lines.iter().filter(|line| line.ends_with(": 7 stored on disk for a later run"));
    assert_eq!((in_full, count.count()), (5, 1), "{lines:#?}");
    assert_eq!(state.records().len(), 12);
}
