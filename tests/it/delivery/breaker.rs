//! Tests of the circuit breaker: a gateway that is down gets few requests and does not delay others.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{BreakerState, Job, Outcome};

use super::{TIMEOUT, config, succeed, value};
use crate::temp_dir::TempDir;

#[test]
fn hanging_gateway_does_not_delay_another() {
    let (broken, healthy, state) = (FakeGateway::start(), FakeGateway::start(), TempDir::new());
    broken.fault(Fault::hang());
    let config = || config(&broken).url(healthy.url()).unwrap().state_dir(state.path());
    {
        let _scope = config().timeout(TIMEOUT * 2).scope().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                healthy.wait_for(TIMEOUT, |healthy| {
                    let group = healthy.find_group("both", &[]);
                    group.is_some_and(|group| value(&group, "last_run_success") == Some(1.0))
                });
                // Ends the wait for this gateway.
                broken.refuse_connections();
            });
            succeed("both");
        });
    }
    assert_eq!(state.records().len(), 1, "one record, for the hanging gateway");
    broken.heal();
    broken.accept_connections();
    let _scope = config().scope().unwrap();
    assert_eq!(metrics_push::recover(TIMEOUT).delivered, 1);
    assert_eq!(value(&broken.group("both", &[]), "last_run_success"), Some(1.0));
}

/// The timeout of an outcome that must get a response, even on a busy machine.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(4);

/// Finishes a task and waits until its outcome, number `number` in `state`, is spooled.
fn spool_task(number: usize, state: &TempDir) {
    Job::with_name(format!("task_{number}")).start().finish(Outcome::Success);
    let deadline = Instant::now() + TIMEOUT;
    while state.records().len() <= number {
        assert!(Instant::now() < deadline, "task {number} is neither delivered nor spooled");
        std::thread::yield_now();
    }
}

/// The groups for which the gateway received requests.
fn keys(gateway: &FakeGateway) -> BTreeSet<String> {
    gateway.requests().iter().map(|request| request.path.clone()).collect()
}

#[test]
fn open_breaker_blocks_tasks_until_a_final_push_succeeds() {
    const TASKS: usize = 12;
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let config = config(&gateway).state_dir(state.path()).timeout(RESPONSE_TIMEOUT);
    let _scope = config.scope().unwrap();
    gateway.fault(Fault::status(503));
    for number in 0..TASKS {
        spool_task(number, &state);
    }
    assert!(keys(&gateway).len() <= 3, "requests for {:?}", keys(&gateway));
    gateway.heal();
    succeed("final_push");
    gateway.wait_for(TIMEOUT, |gateway| gateway.groups().len() == TASKS + 1);
}

#[test]
fn short_timeouts_do_not_open_the_breaker() {
    const TASKS: usize = 5;
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    // Shorter than a timeout that opens the breaker.
    let config = config(&gateway).state_dir(state.path()).timeout(Duration::from_millis(900));
    let _scope = config.scope().unwrap();
    gateway.fault(Fault::hang());
    let mut tasks = 0..4 * TASKS;
    // A busy machine may not send every request in time. With an open breaker, it sends those of three tasks.
    while keys(&gateway).len() < TASKS {
        let number = tasks.next().unwrap_or_else(|| panic!("requests for {:?}", keys(&gateway)));
        spool_task(number, &state);
    }
}

/// Returns the state of each circuit breaker of the scope, in the order of the gateways.
fn breaker_states() -> Vec<BreakerState> {
    metrics_push::circuit_breakers().into_iter().map(|breaker| breaker.state).collect()
}

#[test]
fn breaker_state_is_exported_per_gateway() {
    let (broken, healthy, state) = (FakeGateway::start(), FakeGateway::start(), TempDir::new());
    let config = config(&broken).url(healthy.url()).unwrap().state_dir(state.path());
    let _scope = config.timeout(RESPONSE_TIMEOUT).scope().unwrap();
    broken.fault(Fault::status(503));
    assert_eq!(breaker_states(), [BreakerState::Closed; 2]);
    for number in 0..3 {
        spool_task(number, &state);
    }
    assert_eq!(breaker_states(), [BreakerState::Open, BreakerState::Closed]);
    let gateways: Vec<_> =
        metrics_push::circuit_breakers().into_iter().map(|b| b.gateway).collect();
    assert_eq!(metrics_push::gateway_urls(), gateways);
    assert_eq!(gateways, [broken.url(), healthy.url()]);
    broken.heal();
    // A final push is sent even if the breaker is open, and exports the breaker's state before that push.
    succeed("first");
    succeed("second");
    let exported = |gateway: &FakeGateway, job: &str| {
        value(&gateway.group(job, &[]), "push_breaker_open").unwrap()
    };
    assert_eq!([exported(&broken, "first"), exported(&broken, "second")], [1.0, 0.0]);
    assert_eq!([exported(&healthy, "first"), exported(&healthy, "second")], [0.0, 0.0]);
    assert_eq!(breaker_states(), [BreakerState::Closed; 2]);
}
