//! Jobs against a real gateway that freezes, stops, is killed, or restarts with and without its stored groups.
//!
//! A job succeeds while the gateway is up and fails while it is down. After the recovery, the group must contain the
//! failure and the earlier success, even if the gateway has lost its groups.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use metrics_push::prometheus::{Counter, Registry};
use metrics_push::{Config, Error, Gateway, GroupingKey, Job, Outcome, Pusher, Scope};

use crate::real::Pushgateway;
use crate::restarting_gateway::RestartingGateway;
use crate::state_dir::StateDir;

/// The timeout of pushes that must fail.
const SHORT_TIMEOUT: Duration = Duration::from_millis(900);
/// The timeout of requests that must succeed.
const LONG_TIMEOUT: Duration = Duration::from_secs(30);
/// The extra time that a busy machine may take.
const SLACK: Duration = Duration::from_secs(3);

fn empty_registry() -> &'static Registry {
    static EMPTY: OnceLock<Registry> = OnceLock::new();
    EMPTY.get_or_init(Registry::new)
}

fn configure(url: &str, state: &Path, timeout: Duration) -> Scope {
    let config = Config::default().url(url).unwrap().timeout(timeout);
    config.state_dir(state).scope().unwrap()
}

fn run(result: Result<u8, &'static str>) -> Result<u8, &'static str> {
    Job::new("faulty").registry(empty_registry).whole_process().run(|_| result)
}

/// Returns the stored values of these metrics of the job, `None` for a missing metric.
fn values<const N: usize>(url: &str, names: [&str; N]) -> [Option<f64>; N] {
    let key = GroupingKey::new("faulty").unwrap();
    let groups = Gateway::new(url).unwrap().timeout(LONG_TIMEOUT).metrics().unwrap();
    let group = groups.into_iter().find(|group| group.labels["job"] == key.job());
    names.map(|name| group.as_ref()?.value(&format!("batch_job_{name}"), &[]))
}

fn push(url: &str) -> Error {
    let counter = Counter::new("rows_total", "Rows.").unwrap();
    let pusher = Pusher::new(url, "direct").unwrap().collector(counter).unwrap();
    pusher.map_gateway(|gateway| gateway.timeout(SHORT_TIMEOUT)).push().unwrap_err()
}

const SUCCESS: &str = "last_success_timestamp_seconds";
const FAILURE: &str = "last_failure_timestamp_seconds";

#[test]
fn failure_during_an_outage_is_delivered_and_keeps_last_success() {
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
            "killed while frozen",
            RestartingGateway::without_persistence,
            |gateway| {
                gateway.freeze();
                gateway.kill();
            },
            RestartingGateway::restart,
            Error::is_unreachable,
        ),
    ];
    for (name, start, break_it, repair, is_expected) in rows {
        let mut gateway = start();
        let (url, state) = (gateway.url(), gateway.directory().join("state"));
        let scope = configure(&url, &state, LONG_TIMEOUT);
        assert_eq!(run(Ok(7)), Ok(7));
        drop(scope);
        let [success] = values(&url, [SUCCESS]);
        assert!(success.is_some(), "{name}");

        break_it(&mut gateway);
        let error = push(&url);
        assert!(is_expected(&error) && error.is_retryable(), "{name}: {error:?}");
        let scope = configure(&url, &state, SHORT_TIMEOUT);
        let started = Instant::now();
        assert_eq!(run(Err("no input")), Err("no input"));
        assert!(started.elapsed() < SHORT_TIMEOUT + SLACK, "{name} took {:?}", started.elapsed());
        drop(scope);
        assert_eq!(spooled(&state), 1, "{name}");

        repair(&mut gateway);
        gateway.wait_until_ready();
        let _scope = configure(&url, &state, LONG_TIMEOUT);
        assert_eq!(metrics_push::recover(LONG_TIMEOUT).delivered, 1, "{name}");
        assert_eq!(spooled(&state), 0, "{name}");
        let [last_success, failure, flag] = values(&url, [SUCCESS, FAILURE, "last_run_success"]);
        assert_eq!((last_success, flag), (success, Some(0.0)), "{name}");
        assert!(failure > success, "{name}: {failure:?} {success:?}");
    }
}

/// Returns true if the gateway would respond within the shortest timeout of an attempt, even to the last of the requests that
/// a process may send at once. The gateway processes them one after another.
fn responds_in_time(gateway: &Pushgateway) -> bool {
    const MAX_IN_FLIGHT: u32 = 16;
    const MIN_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
    let key = GroupingKey::new("another").unwrap();
    let client = Gateway::new(gateway.url()).unwrap().timeout(LONG_TIMEOUT);
    let started = Instant::now();
    client.add(&key, &"rows 1\n".parse().unwrap()).unwrap();
    started.elapsed() * MAX_IN_FLIGHT < MIN_ATTEMPT_TIMEOUT
}

/// Pushes many groups at once, and asserts that a busy gateway does not open the circuit breaker as long as it responds in
/// time. Returns the number of groups in the spool.
fn push_groups(gateway: &Pushgateway, state: &Path, groups: usize) -> usize {
    let _scope = configure(&gateway.url(), state, Duration::from_secs(10));
    let started = Instant::now();
    for number in 0..groups {
        let job = Job::new("task").registry(empty_registry);
        job.start_with(&[("tenant", &number)]).finish(Outcome::Success);
    }
    let submitted = started.elapsed();
    // Requests that were not delivered in time are in the spool until the next recovery.
    assert_eq!(metrics_push::flush(Duration::from_secs(120)), 0, "{:?}", started.elapsed());
    let states: Vec<_> = metrics_push::circuit_breakers().into_iter().map(|b| b.state).collect();
    let is_closed = states == [metrics_push::BreakerState::Closed];
    assert!(is_closed || !responds_in_time(gateway), "{groups} groups: {states:?}");
    let spooled = spooled(state);
    println!(
        "{groups} groups: submitted in {submitted:?}, flushed in {:?}, {spooled} spooled",
        started.elapsed()
    );
    spooled
}

/// The number of stored groups whose last run succeeded.
fn stored_successes(gateway: &Pushgateway) -> usize {
    let groups = Gateway::new(gateway.url()).unwrap().timeout(LONG_TIMEOUT).metrics().unwrap();
    let has_succeeded = |group: &&metrics_push::StoredGroup| {
        group.value("batch_job_last_run_success", &[]) == Some(1.0)
    };
    groups.iter().filter(has_succeeded).count()
}

/// The number of requests in the spool.
fn spooled(state: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(state.join("spool")) else { return 0 };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "request")).count()
}

#[test]
fn many_groups_within_capacity_are_delivered() {
    const GROUPS: usize = 400;
    let (gateway, state) = (Pushgateway::start(), StateDir::new());
    push_groups(&gateway, state.path(), GROUPS);
    let _scope = configure(&gateway.url(), state.path(), LONG_TIMEOUT);
    let recovery = metrics_push::recover(LONG_TIMEOUT);
    let pending = (recovery.left, spooled(state.path()));
    assert_eq!((pending, stored_successes(&gateway)), ((0, 0), GROUPS));
}

/// Pushes more groups than the gateway can store in time, and asserts that each group is stored or spooled.
#[track_caller]
fn assert_no_group_is_lost(groups: usize) {
    let (gateway, state) = (Pushgateway::start(), StateDir::new());
    let spooled = push_groups(&gateway, state.path(), groups);
    // A request that was applied but not acknowledged in time is both stored and spooled.
    let stored = stored_successes(&gateway);
    assert!(stored + spooled >= groups, "{stored} are stored and {spooled} are spooled");
}

#[test]
fn many_groups_beyond_capacity_are_delivered_or_spooled() {
    assert_no_group_is_lost(1_200);
}

#[test]
#[ignore = "uses two cores for a minute"]
fn very_many_groups_beyond_capacity_are_delivered_or_spooled() {
    assert_no_group_is_lost(3_200);
}
