//! Breaker: a gateway that is down is left alone, and costs others nothing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{BreakerState, Job, Outcome};

use super::{PATIENCE, SLACK, config, succeed, value};
use crate::temp_dir::TempDir;

#[test]
fn a_dead_gateway_delays_no_other() {
    let (dead, alive, state) = (FakeGateway::start(), FakeGateway::start(), TempDir::new());
    dead.fault(Fault::hang());
    let config = config(&dead).url(alive.url()).unwrap().state_dir(state.path());
    let _scope = config.timeout(Duration::from_secs(3)).scope().unwrap();
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            alive.wait_for(Duration::from_secs(2), |alive| {
                let group = alive.find_group("both", &[]);
                group.is_some_and(|group| value(&group, "last_run_success") == Some(1.0))
            });
        });
        succeed("both");
    });
    assert!(started.elapsed() < Duration::from_secs(3) + SLACK, "{:?}", started.elapsed());
    assert_eq!(state.records().len(), 1, "for the dead one alone");
    dead.heal();
    assert_eq!(metrics_push::recover(PATIENCE).delivered, 1);
    assert_eq!(value(&dead.group("both", &[]), "last_run_success"), Some(1.0));
}

/// Ends a task whose outcome is not delivered, the next one in `state`.
fn spool_task(number: usize, state: &TempDir) {
    Job::with_name(format!("task_{number}")).start().finish(Outcome::Success);
    let deadline = Instant::now() + PATIENCE;
    while state.records().len() <= number {
        assert!(Instant::now() < deadline, "task {number} is neither delivered nor spooled");
        std::thread::yield_now();
    }
}

#[test]
fn a_gateway_that_is_down_is_left_alone_until_a_last_word_finds_it_again() {
    const TASKS: usize = 12;
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let config = config(&gateway).state_dir(state.path()).timeout(Duration::from_millis(200));
    let _scope = config.scope().unwrap();
    gateway.fault(Fault::status(503));
    for number in 0..TASKS {
        spool_task(number, &state);
    }
    let keys: BTreeSet<_> = gateway.requests().iter().map(|request| request.path.clone()).collect();
    assert!(keys.len() <= 3, "the gateway was asked for {keys:?}");
    gateway.heal();
    succeed("last_word");
    gateway.wait_for(PATIENCE, |gateway| gateway.groups().len() == TASKS + 1);
}

#[test]
fn a_gateway_that_had_no_time_to_answer_is_not_left_alone() {
    const TASKS: usize = 6;
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let config = config(&gateway).state_dir(state.path()).timeout(Duration::from_millis(200));
    let _scope = config.scope().unwrap();
    gateway.fault(Fault::hang());
    for number in 0..TASKS {
        spool_task(number, &state);
    }
    let keys: BTreeSet<_> = gateway.requests().iter().map(|request| request.path.clone()).collect();
    assert_eq!(keys.len(), TASKS, "the gateway was asked for {keys:?}");
}

/// The states of all breakers here, and what a gateway was last told of its own.
fn states() -> Vec<BreakerState> {
    metrics_push::circuit_breakers().into_iter().map(|breaker| breaker.state).collect()
}

#[test]
fn the_state_of_each_breaker_is_exported() {
    let (dead, alive, state) = (FakeGateway::start(), FakeGateway::start(), TempDir::new());
    let config = config(&dead).url(alive.url()).unwrap().state_dir(state.path());
    let _scope = config.timeout(Duration::from_millis(200)).scope().unwrap();
    dead.fault(Fault::status(503));
    assert_eq!(states(), [BreakerState::Closed; 2]);
    for number in 0..3 {
        spool_task(number, &state);
    }
    assert_eq!(states(), [BreakerState::Open, BreakerState::Closed]);
    let gateways: Vec<_> =
        metrics_push::circuit_breakers().into_iter().map(|b| b.gateway).collect();
    assert_eq!(gateways, [dead.url(), alive.url()]);
    dead.heal();
    // Last words go all the same, and tell what they had to pass.
    succeed("first_word");
    succeed("second_word");
    let told = |gateway: &FakeGateway, job: &str| {
        value(&gateway.group(job, &[]), "push_breaker_open").unwrap()
    };
    assert_eq!([told(&dead, "first_word"), told(&dead, "second_word")], [1.0, 0.0]);
    assert_eq!([told(&alive, "first_word"), told(&alive, "second_word")], [0.0, 0.0]);
    assert_eq!(states(), [BreakerState::Closed; 2]);
}
