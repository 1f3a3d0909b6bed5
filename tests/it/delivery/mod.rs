//! Delivery: what a gateway does to a push, and what becomes of the push then.

mod aggregating;
mod attempts;
mod breaker;
mod faults;
mod keepsakes;
mod refused;
mod waiting;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use metrics_push::prometheus::{Counter, Registry};
use metrics_push::testing::{FakeGateway, Group};
use metrics_push::{Config, Error, Job, Outcome, Pusher, Scope};

use crate::temp_dir::TempDir;

/// Long enough for a few attempts, short enough for a test.
const BUDGET: Duration = Duration::from_millis(700);
/// What a machine that has other things to do may add.
const SLACK: Duration = Duration::from_millis(1_500);
/// For what has to happen some time.
const PATIENCE: Duration = Duration::from_secs(20);

fn nothing() -> &'static Registry {
    static NOTHING: OnceLock<Registry> = OnceLock::new();
    NOTHING.get_or_init(Registry::new)
}

/// A job whose runs wait for their receipt.
fn job(name: &'static str) -> Job {
    Job::new(name).registry(nothing).whole_process()
}

fn config(gateway: &FakeGateway) -> Config {
    Config::default().url(gateway.url()).unwrap().timeout(BUDGET)
}

fn deployed(gateway: &FakeGateway, state: &TempDir) -> Scope {
    config(gateway).state_dir(state.path()).scope().unwrap()
}

fn succeed(name: &'static str) {
    job(name).start().finish(Outcome::Success);
}

fn fail(name: &'static str) {
    job(name).start().finish(Outcome::Error);
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
        .map_gateway(|gateway| gateway.timeout(BUDGET))
}

fn refusal(gateway: &FakeGateway) -> Error {
    let started = Instant::now();
    let error = pusher(gateway).push().unwrap_err();
    assert!(started.elapsed() < BUDGET + SLACK, "{:?}", started.elapsed());
    error
}
