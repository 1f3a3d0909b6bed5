//! Tests of the timestamps that outlive pushes: pushes and restarts of a gateway without persistence do not lose them.

use metrics_push::testing::{FakeGateway, Fault, Group};
use metrics_push::{Config, Outcome, Scope};

use super::{TIMEOUT, job, value};
use crate::temp_dir::TempDir;

const SUCCESS: &str = "last_success_timestamp_seconds";
const FAILURE: &str = "last_failure_timestamp_seconds";
const SKIPPED: &str = "last_skipped_timestamp_seconds";

fn open_scope(gateway: &FakeGateway, state: &TempDir) -> Scope {
    let config = Config::default().url(gateway.url()).unwrap().timeout(TIMEOUT);
    config.state_dir(state.path()).scope().unwrap()
}

/// Finishes a run and returns the group. A failed run has counted records.
fn finish_run(gateway: &FakeGateway, outcome: Outcome) -> Group {
    let run = job("shared").start();
    if outcome == Outcome::Error {
        run.add_processed(1);
    }
    run.finish(outcome);
    gateway.group("shared", &[])
}

/// Restarts a gateway on its port, without its groups.
fn restart(gateway: FakeGateway) -> FakeGateway {
    let port = gateway.address().port();
    drop(gateway);
    FakeGateway::builder().port(port).start()
}

/// Counts the requests to the query API.
fn queries(gateway: &FakeGateway) -> usize {
    gateway.requests().iter().filter(|request| request.method == "GET").count()
}

#[test]
fn success_keeps_the_timestamps_of_other_outcomes() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = open_scope(&gateway, &state);
    let failure = value(&finish_run(&gateway, Outcome::Error), FAILURE);
    let skipped = value(&finish_run(&gateway, Outcome::Skipped), SKIPPED);
    for _ in 0..2 {
        let group = finish_run(&gateway, Outcome::Success);
        assert_eq!((value(&group, FAILURE), value(&group, SKIPPED)), (failure, skipped));
        assert!(value(&group, SUCCESS) > failure && failure.is_some() && skipped.is_some());
        assert!(
            !group.has_family("batch_job_last_run_records"),
            "a push replaces the other families"
        );
    }
}

#[test]
fn success_keeps_the_timestamp_of_a_spooled_failure() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let before = {
        let _scope = open_scope(&gateway, &state);
        gateway.refuse_connections();
        job("shared").start().finish(Outcome::Error);
        state.records().len()
    };
    gateway.accept_connections();
    let _scope = open_scope(&gateway, &state);
    let group = finish_run(&gateway, Outcome::Success);
    assert_eq!((before, state.records().len()), (1, 0));
    assert!(value(&group, FAILURE) < value(&group, SUCCESS) && value(&group, FAILURE).is_some());
}

#[test]
fn failure_restores_the_last_success_after_a_restart() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let scope = open_scope(&gateway, &state);
    let success = value(&finish_run(&gateway, Outcome::Success), SUCCESS);
    drop(scope);
    let gateway = restart(gateway);
    // A new scope represents another process.
    let _scope = open_scope(&gateway, &state);
    let group = finish_run(&gateway, Outcome::Error);
    assert_eq!(value(&group, SUCCESS), success);
    assert!(value(&group, FAILURE) > success && success.is_some());
    assert_eq!(value(&group, "last_run_success"), Some(0.0));
    let group = finish_run(&gateway, Outcome::Error);
    assert_eq!(value(&group, SUCCESS), success);
}

#[test]
fn later_success_of_another_machine_is_preserved() {
    let (gateway, here, there) = (FakeGateway::start(), TempDir::new(), TempDir::new());
    let scope = open_scope(&gateway, &here);
    let old = value(&finish_run(&gateway, Outcome::Success), SUCCESS);
    drop(scope);
    let gateway = restart(gateway);
    let scope = open_scope(&gateway, &there);
    let new = value(&finish_run(&gateway, Outcome::Success), SUCCESS);
    drop(scope);
    let _scope = open_scope(&gateway, &here);
    let group = finish_run(&gateway, Outcome::Error);
    assert!(new > old);
    assert_eq!(value(&group, SUCCESS), new);
}

#[test]
fn success_sends_no_queries() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = open_scope(&gateway, &state);
    for outcome in [Outcome::Success, Outcome::Success] {
        finish_run(&gateway, outcome);
    }
    assert_eq!(queries(&gateway), 0);
    finish_run(&gateway, Outcome::Error);
    assert!(queries(&gateway) > 0);
}

#[test]
fn run_without_a_state_directory_sends_no_queries() {
    let gateway = FakeGateway::start();
    let _scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
    for outcome in [Outcome::Success, Outcome::Error] {
        finish_run(&gateway, outcome);
    }
    assert_eq!(queries(&gateway), 0);
}

#[test]
fn failure_is_delivered_if_the_query_api_fails() {
    for fault in [Fault::status(404), Fault::status(500), Fault::close(), Fault::status(200)] {
        let (gateway, state) = (FakeGateway::start(), TempDir::new());
        let _scope = open_scope(&gateway, &state);
        let success = value(&finish_run(&gateway, Outcome::Success), SUCCESS);
        gateway.fault(fault.when(|request| request.method == "GET"));
        let group = finish_run(&gateway, Outcome::Error);
        assert_eq!(value(&group, "last_run_success"), Some(0.0));
        assert_eq!(value(&group, "push_attempts"), Some(1.0));
        assert_eq!(value(&group, SUCCESS), success, "an add keeps the other families");
    }
}

#[test]
fn failed_query_is_repeated_by_the_next_run() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let scope = open_scope(&gateway, &state);
    let success = value(&finish_run(&gateway, Outcome::Success), SUCCESS);
    drop(scope);
    let gateway = restart(gateway);
    let _scope = open_scope(&gateway, &state);
    gateway.fault(Fault::status(500).when(|request| request.method == "GET"));
    assert_eq!(value(&finish_run(&gateway, Outcome::Error), SUCCESS), None);
    gateway.heal();
    assert_eq!(value(&finish_run(&gateway, Outcome::Error), SUCCESS), success);
}
