//! The fault matrix of a real gateway: frozen, stopped, killed, started anew with and without its memory.
//!
//! A job succeeds while it is there, fails while it is away, and the failure arrives later. Whatever the gateway has
//! forgotten, in the end the group shows the failure and the success before it.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use metrics_push::prometheus::{Counter, Registry};
use metrics_push::{Config, Error, Gateway, GroupingKey, Job, Outcome, Pusher, Scope};

use crate::real::Pushgateway;
use crate::restarting_gateway::RestartingGateway;
use crate::state_dir::StateDir;

const BUDGET: Duration = Duration::from_millis(900);
/// What a machine that has other things to do may add.
const SLACK: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(30);

fn nothing() -> &'static Registry {
    static NOTHING: OnceLock<Registry> = OnceLock::new();
    NOTHING.get_or_init(Registry::new)
}

fn using(url: &str, state: &Path, timeout: Duration) -> Scope {
    let config = Config::default().url(url).unwrap().timeout(timeout);
    config.state_dir(state).scope().unwrap()
}

fn run(result: Result<u8, &'static str>) -> Result<u8, &'static str> {
    Job::new("faulty").registry(nothing).whole_process().run(|_| result)
}

/// What the group holds of these instants and flags.
fn values<const N: usize>(url: &str, names: [&str; N]) -> [Option<f64>; N] {
    let key = GroupingKey::new("faulty").unwrap();
    let groups = Gateway::new(url).unwrap().timeout(PATIENCE).metrics().unwrap();
    let group = groups.into_iter().find(|group| group.labels["job"] == key.job());
    names.map(|name| group.as_ref()?.value(&format!("batch_job_{name}"), &[]))
}

fn push(url: &str) -> Error {
    let counter = Counter::new("rows_total", "Rows.").unwrap();
    let pusher = Pusher::new(url, "direct").unwrap().collector(counter).unwrap();
    pusher.map_gateway(|gateway| gateway.timeout(BUDGET)).push().unwrap_err()
}

const SUCCESS: &str = "last_success_timestamp_seconds";
const FAILURE: &str = "last_failure_timestamp_seconds";

#[test]
fn whatever_becomes_of_the_gateway_the_failure_arrives_and_the_success_stays() {
    type Row = (
        &'static str,
        fn() -> RestartingGateway,
        fn(&mut RestartingGateway),
        fn(&mut RestartingGateway),
        fn(&Error) -> bool,
    );
    let rows: [Row; 6] = [
        (
            "frozen",
            RestartingGateway::without_persistence,
            RestartingGateway::freeze,
            RestartingGateway::thaw,
            Error::is_timeout,
        ),
        (
            "stopped, with persistence",
            RestartingGateway::with_persistence,
            RestartingGateway::stop,
            RestartingGateway::restart,
            Error::is_unreachable,
        ),
        (
            "stopped, without persistence",
            RestartingGateway::without_persistence,
            RestartingGateway::stop,
            RestartingGateway::restart,
            Error::is_unreachable,
        ),
        (
            "killed, with persistence",
            RestartingGateway::with_persistence,
            RestartingGateway::kill,
            RestartingGateway::restart,
            Error::is_unreachable,
        ),
        (
            "killed, without persistence",
            RestartingGateway::without_persistence,
            RestartingGateway::kill,
            RestartingGateway::restart,
            Error::is_unreachable,
        ),
        (
            "killed while it was frozen",
            RestartingGateway::without_persistence,
            |gateway| {
                gateway.freeze();
                gateway.kill();
            },
            RestartingGateway::restart,
            Error::is_unreachable,
        ),
    ];
    for (name, start, trouble, end, kind) in rows {
        let mut gateway = start();
        let (url, state) = (gateway.url(), gateway.directory().join("state"));
        let scope = using(&url, &state, PATIENCE);
        assert_eq!(run(Ok(7)), Ok(7));
        drop(scope);
        let [success] = values(&url, [SUCCESS]);
        assert!(success.is_some(), "{name}");

        trouble(&mut gateway);
        let error = push(&url);
        assert!(kind(&error) && error.is_retryable(), "{name}: {error:?}");
        let scope = using(&url, &state, BUDGET);
        let started = Instant::now();
        assert_eq!(run(Err("as it would")), Err("as it would"));
        assert!(started.elapsed() < BUDGET + SLACK, "{name} took {:?}", started.elapsed());
        drop(scope);
        assert_eq!(waiting(&state), 1, "{name}");

        end(&mut gateway);
        gateway.wait_until_ready();
        let _scope = using(&url, &state, PATIENCE);
        assert_eq!(metrics_push::recover(PATIENCE).delivered, 1, "{name}");
        assert_eq!(waiting(&state), 0, "{name}");
        let [last_success, failure, flag] = values(&url, [SUCCESS, FAILURE, "last_run_success"]);
        assert_eq!((last_success, flag), (success, Some(0.0)), "{name}");
        assert!(failure > success, "{name}: {failure:?} {success:?}");
    }
}

/// Many groups at once, more than a gateway can take in the time they have: each of them is on the gateway or on disk, and
/// nobody takes a gateway for dead that is only busy. Returns how many are on disk.
fn crowd(gateway: &Pushgateway, state: &Path, groups: usize) -> usize {
    let _scope = using(&gateway.url(), state, Duration::from_secs(10));
    let started = Instant::now();
    for number in 0..groups {
        let job = Job::new("task").registry(nothing);
        job.start_with(&[("tenant", &number)]).finish(Outcome::Success);
    }
    let handed_in = started.elapsed();
    // What was not taken in time is not tried again before somebody asks for it.
    assert_eq!(metrics_push::flush(Duration::from_secs(120)), 0, "{:?}", started.elapsed());
    let states: Vec<_> = metrics_push::circuit_breakers().into_iter().map(|b| b.state).collect();
    assert_eq!(states, [metrics_push::BreakerState::Closed]);
    let waiting = waiting(state);
    println!(
        "{groups} groups: handed in {handed_in:?}, flushed {:?}, {waiting} wait",
        started.elapsed()
    );
    waiting
}

fn tenants(gateway: &Pushgateway) -> usize {
    let groups = Gateway::new(gateway.url()).unwrap().timeout(PATIENCE).metrics().unwrap();
    let has_succeeded = |group: &&metrics_push::StoredGroup| {
        group.value("batch_job_last_run_success", &[]) == Some(1.0)
    };
    groups.iter().filter(has_succeeded).count()
}

fn waiting(state: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(state.join("spool")) else { return 0 };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "request")).count()
}

#[test]
fn a_crowd_that_a_gateway_can_take_arrives() {
    const GROUPS: usize = 400;
    let (gateway, state) = (Pushgateway::start(), StateDir::new());
    crowd(&gateway, state.path(), GROUPS);
    let _scope = using(&gateway.url(), state.path(), PATIENCE);
    let recovery = metrics_push::recover(PATIENCE);
    assert_eq!((recovery.left, waiting(state.path()), tenants(&gateway)), (0, 0, GROUPS));
}

fn overwhelm(groups: usize) {
    let (gateway, state) = (Pushgateway::start(), StateDir::new());
    let waiting = crowd(&gateway, state.path(), groups);
    // What has been applied and not acknowledged in time is on both sides.
    let held = tenants(&gateway);
    assert!(held + waiting >= groups, "{held} are there and {waiting} wait");
}

#[test]
fn a_crowd_that_overwhelms_a_gateway_is_there_or_waits() {
    overwhelm(1_200);
}

#[test]
#[ignore = "takes a minute of two cores"]
fn so_is_a_larger_one() {
    overwhelm(3_200);
}
