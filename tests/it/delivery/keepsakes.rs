//! Keepsakes: what a group is to show for ever survives successes, and gateways that forget.

use metrics_push::testing::{FakeGateway, Fault, Group};
use metrics_push::{Config, Outcome, Scope};

use super::{PATIENCE, job, value};
use crate::temp_dir::TempDir;

const SUCCESS: &str = "last_success_timestamp_seconds";
const FAILURE: &str = "last_failure_timestamp_seconds";
const SKIPPED: &str = "last_skipped_timestamp_seconds";

fn using(gateway: &FakeGateway, state: &TempDir) -> Scope {
    let config = Config::default().url(gateway.url()).unwrap().timeout(PATIENCE);
    config.state_dir(state.path()).scope().unwrap()
}

/// The group after a run that ended so.
fn after(gateway: &FakeGateway, outcome: Outcome) -> Group {
    job("kept").start().finish(outcome);
    gateway.group("kept", &[])
}

/// The same gateway, started anew, without what it held.
fn restarted(gateway: FakeGateway) -> FakeGateway {
    let port = gateway.address().port();
    drop(gateway);
    FakeGateway::builder().port(port).start()
}

/// How often the gateway was asked what it holds, or since when.
fn questions(gateway: &FakeGateway) -> usize {
    gateway.requests().iter().filter(|request| request.method == "GET").count()
}

#[test]
fn a_success_takes_nothing_from_a_group_that_is_to_stay() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = using(&gateway, &state);
    let failure = value(&after(&gateway, Outcome::Error), FAILURE);
    let skipped = value(&after(&gateway, Outcome::Skipped), SKIPPED);
    for _ in 0..2 {
        let group = after(&gateway, Outcome::Success);
        assert_eq!((value(&group, FAILURE), value(&group, SKIPPED)), (failure, skipped));
        assert!(value(&group, SUCCESS) > failure && failure.is_some() && skipped.is_some());
        assert!(!group.has_family("batch_job_last_run_exit_code"), "the rest goes");
    }
}

#[test]
fn a_failure_that_waited_is_not_forgotten_by_a_success() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let before = {
        let config = Config::default().url(gateway.url()).unwrap();
        let config = config.timeout(std::time::Duration::from_millis(300));
        let _scope = config.state_dir(state.path()).scope().unwrap();
        gateway.refuse_connections();
        job("kept").start().finish(Outcome::Error);
        state.records().len()
    };
    gateway.accept_connections();
    let _scope = using(&gateway, &state);
    let group = after(&gateway, Outcome::Success);
    assert_eq!((before, state.records().len()), (1, 0));
    assert!(value(&group, FAILURE) < value(&group, SUCCESS) && value(&group, FAILURE).is_some());
}

#[test]
fn a_gateway_that_forgets_is_told_of_the_last_success_by_the_next_failure() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let scope = using(&gateway, &state);
    let success = value(&after(&gateway, Outcome::Success), SUCCESS);
    drop(scope);
    let gateway = restarted(gateway);
    // As another process would.
    let _scope = using(&gateway, &state);
    let group = after(&gateway, Outcome::Error);
    assert_eq!(value(&group, SUCCESS), success);
    assert!(value(&group, FAILURE) > success && success.is_some());
    assert_eq!(value(&group, "last_run_success"), Some(0.0));
    // And once it has been told, it still is.
    let group = after(&gateway, Outcome::Error);
    assert_eq!(value(&group, SUCCESS), success);
}

#[test]
fn what_another_machine_told_later_is_not_moved_back() {
    let (gateway, here, there) = (FakeGateway::start(), TempDir::new(), TempDir::new());
    let scope = using(&gateway, &here);
    let old = value(&after(&gateway, Outcome::Success), SUCCESS);
    drop(scope);
    let gateway = restarted(gateway);
    let scope = using(&gateway, &there);
    let new = value(&after(&gateway, Outcome::Success), SUCCESS);
    drop(scope);
    let _scope = using(&gateway, &here);
    let group = after(&gateway, Outcome::Error);
    assert!(new > old);
    assert_eq!(value(&group, SUCCESS), new);
}

#[test]
fn nobody_asks_while_all_is_well() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = using(&gateway, &state);
    // Of a group that never succeeded, nothing can be lost but its failures.
    for outcome in [Outcome::Success, Outcome::Success] {
        after(&gateway, outcome);
    }
    assert_eq!(questions(&gateway), 0);
    after(&gateway, Outcome::Error);
    assert!(questions(&gateway) > 0);
}

#[test]
fn without_a_state_directory_nobody_asks_at_all() {
    let gateway = FakeGateway::start();
    let _scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
    for outcome in [Outcome::Success, Outcome::Error] {
        after(&gateway, outcome);
    }
    assert_eq!(questions(&gateway), 0);
}

#[test]
fn a_gateway_that_says_nothing_of_itself_is_told_of_the_failure_all_the_same() {
    for fault in [Fault::status(404), Fault::status(500), Fault::close(), Fault::status(200)] {
        let (gateway, state) = (FakeGateway::start(), TempDir::new());
        let _scope = using(&gateway, &state);
        let success = value(&after(&gateway, Outcome::Success), SUCCESS);
        gateway.fault(fault.when(|request| request.method == "GET"));
        let group = after(&gateway, Outcome::Error);
        assert_eq!(value(&group, "last_run_success"), Some(0.0));
        assert_eq!(value(&group, "push_attempts"), Some(1.0));
        assert_eq!(value(&group, SUCCESS), success, "it had it all the time");
    }
}

#[test]
fn what_could_not_be_found_out_is_found_out_later() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let scope = using(&gateway, &state);
    let success = value(&after(&gateway, Outcome::Success), SUCCESS);
    drop(scope);
    let gateway = restarted(gateway);
    let _scope = using(&gateway, &state);
    gateway.fault(Fault::status(500).when(|request| request.method == "GET"));
    assert_eq!(value(&after(&gateway, Outcome::Error), SUCCESS), None);
    gateway.heal();
    assert_eq!(value(&after(&gateway, Outcome::Error), SUCCESS), success);
}
