//! The spool as processes meet it: what they leave behind, and what others do with it.

use std::ffi::OsStr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use metrics_push::prometheus::Registry;
use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Config, Job, Outcome};

use crate::programs::{command, program};
use crate::temp_dir::TempDir;

const BUDGET: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(20);

fn nothing() -> &'static Registry {
    static NOTHING: OnceLock<Registry> = OnceLock::new();
    NOTHING.get_or_init(Registry::new)
}

fn config(gateway: &FakeGateway, state: &TempDir) -> Config {
    Config::default().url(gateway.url()).unwrap().state_dir(state.path()).timeout(BUDGET)
}

fn succeed(name: String) {
    let job = Job::with_name(name).registry(nothing).whole_process();
    job.start().finish(Outcome::Success);
}

#[test]
fn two_that_drain_at_once_deliver_everything_and_fail_at_nothing() {
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
                assert_eq!(metrics_push::recover(PATIENCE).left, 0);
            });
        }
    });
    assert!(state.records().is_empty());
    assert_eq!(gateway.groups().len(), JOBS);
}

#[test]
fn what_waits_for_one_gateway_is_not_taken_to_another() {
    let (down, other, state) = (FakeGateway::start(), FakeGateway::start(), TempDir::new());
    down.refuse_connections();
    {
        let _scope = config(&down, &state).scope().unwrap();
        succeed("here".into());
    }
    {
        let _scope = config(&other, &state).scope().unwrap();
        assert_eq!(metrics_push::recover(PATIENCE), metrics_push::Recovery::default());
        succeed("there".into());
    }
    assert_eq!((state.records().len(), other.groups().len()), (1, 1));
}

#[test]
fn a_gateway_that_can_not_be_asked_gets_what_waits_nevertheless() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    gateway.refuse_connections();
    let _scope = config(&gateway, &state).scope().unwrap();
    succeed("compatible".into());
    gateway.accept_connections();
    gateway.fault(Fault::status(404).when(|request| request.path.contains("/api/")));
    assert_eq!(metrics_push::recover(PATIENCE).delivered, 1);
    assert!(gateway.find_group("compatible", &[]).is_some());
}

#[test]
fn a_directory_that_can_not_be_used_costs_a_push_nothing() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    std::fs::write(state.path(), "a file").unwrap();
    let _scope = config(&gateway, &state).scope().unwrap();
    succeed("elsewhere".into());
    assert!(gateway.find_group("elsewhere", &[]).is_some());
    gateway.refuse_connections();
    let started = Instant::now();
    succeed("elsewhere".into());
    assert!(started.elapsed() < BUDGET * 8, "{:?}", started.elapsed());
    std::fs::remove_file(state.path()).unwrap();
}

/// Runs these jobs in a child process whose gateway is down. Returns the lines that the library writes to stderr.
fn stderr_lines(jobs: &[impl AsRef<OsStr>], state: Option<&TempDir>) -> Vec<String> {
    let mut command = command(program("succeeds"));
    command.args(jobs).env("METRICS_PUSH_URL", "http://user:password@127.0.0.1:9");
    command.env("METRICS_PUSH_TIMEOUT", "300ms");
    if let Some(state) = state {
        command.env("METRICS_PUSH_STATE_DIR", state.path());
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    text.lines().filter(|line| line.starts_with("metrics-push: ")).map(str::to_owned).collect()
}

#[test]
fn a_process_that_could_not_deliver_says_so_in_one_line() {
    let state = TempDir::new();
    let lines = stderr_lines(&["nightly"], Some(&state));
    let [line] = &lines[..] else { panic!("{lines:?}") };
    for part in [
        r#"the outcome of {job="nightly"} is not delivered yet after "#,
        "attempts: no connection to the gateway (url: http://127.0.0.1:9, ",
        "refused",
        "check the URL, and that the gateway is running",
        &format!(
            "it waits in {} and the next run delivers it",
            state.path().join("spool").display()
        ),
    ] {
        assert!(line.contains(part), "{part}\n{line}");
    }
    assert_eq!(state.records().len(), 1);

    let lines = stderr_lines(&["nightly"], None);
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(line.contains("is lost after") && line.contains("METRICS_PUSH_STATE_DIR"), "{line}");
}

#[test]
fn many_outcomes_that_can_t_be_delivered_are_told_as_a_few_and_a_count() {
    let state = TempDir::new();
    let jobs: Vec<_> = (0..12).map(|number| format!("task_{number}")).collect();
    let lines = stderr_lines(&jobs, Some(&state));
    let in_full = lines.iter().filter(|line| line.contains("is not delivered yet")).count();
    let count =
        lines.iter().filter(|line| line.ends_with(": 7 wait on disk and go with later runs"));
    assert_eq!((in_full, count.count()), (5, 1), "{lines:#?}");
    assert_eq!(state.records().len(), 12);
}
