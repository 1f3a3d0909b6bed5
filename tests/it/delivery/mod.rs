//! Tests of delivery: how gateways fail, and whether the outcome of a run is delivered, spooled or dropped.

mod aggregating;
mod attempts;
mod breaker;
mod faults;
mod last_times;
mod late_requests;
mod rejected;
mod shards;
mod spooled;
mod unreadable;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use metrics_push::prometheus::{Counter, Registry};
use metrics_push::testing::{FakeGateway, Group};
use metrics_push::{Config, Error, Job, Outcome, Pusher, Scope};

use crate::temp_dir::TempDir;

/// The timeout of pushes that must fail: long enough for a few attempts, short enough for a test.
const SHORT_TIMEOUT: Duration = Duration::from_secs(2);
/// The extra time that a busy machine may take.
const SLACK: Duration = Duration::from_secs(4);
/// The timeout of pushes and events that must succeed.
const TIMEOUT: Duration = Duration::from_secs(20);

fn empty_registry() -> &'static Registry {
    static EMPTY: OnceLock<Registry> = OnceLock::new();
    EMPTY.get_or_init(Registry::new)
}

/// A job whose runs wait until their outcome is delivered or the timeout passes.
fn job(name: &'static str) -> Job {
    Job::new(name).registry(empty_registry).whole_process()
}

fn config(gateway: &FakeGateway) -> Config {
    Config::default().url(gateway.url()).unwrap().timeout(TIMEOUT)
}

fn open_scope(gateway: &FakeGateway, state: &TempDir) -> Scope {
    config(gateway).state_dir(state.path()).scope().unwrap()
}

fn succeed(name: &'static str) {
    job(name).start().finish(Outcome::Success);
}

fn fail(name: &'static str) {
    job(name).start().finish(Outcome::Error);
}

/// Spools a failure of the job `shared`, and then delivers a success of it with another state directory. Returns the state
/// directory with the failure.
fn spool_failure_before_a_success(gateway: &FakeGateway) -> TempDir {
    let (here, there) = (TempDir::new(), TempDir::new());
    gateway.refuse_connections();
    let scope = open_scope(gateway, &here);
    fail("shared");
    drop(scope);
    gateway.accept_connections();
    let _scope = open_scope(gateway, &there);
    succeed("shared");
    here
}

fn value(group: &Group, name: &str) -> Option<f64> {
    group.get(&format!("batch_job_{name}"), &[])
}

fn pusher(gateway: &FakeGateway) -> Pusher {
    let counter = Counter::new("rows_total", "Rows.").unwrap();
    Pusher::new(gateway.url(), "direct")
        .unwrap()
        .collector(counter)
        .unwrap()
        .map_gateway(|gateway| gateway.timeout(TIMEOUT))
}

/// Pushes to a failing gateway. Returns the error, which must arrive in time.
fn push_error(gateway: &FakeGateway) -> Error {
    let started = Instant::now();
    let pusher = pusher(gateway).map_gateway(|gateway| gateway.timeout(SHORT_TIMEOUT));
    let error = pusher.push().unwrap_err();
    assert!(started.elapsed() < SHORT_TIMEOUT + SLACK, "{:?}", started.elapsed());
    error
}
