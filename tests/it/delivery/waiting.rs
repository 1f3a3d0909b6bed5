//! Waiting: what could not be delivered goes later, and never over what is newer.

use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault};

use super::{BUDGET, PATIENCE, SLACK, config, deployed, fail, succeed, value};
use crate::temp_dir::TempDir;

#[test]
fn what_could_not_be_delivered_goes_with_the_next_run_of_any_job() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = deployed(&gateway, &state);
    gateway.refuse_connections();
    let started = Instant::now();
    succeed("unlucky");
    assert!(started.elapsed() < BUDGET + SLACK, "{:?}", started.elapsed());
    assert_eq!(state.records().len(), 1);
    gateway.accept_connections();
    succeed("later");
    gateway.wait_for(Duration::from_secs(10), |gateway| {
        gateway
            .find_group("unlucky", &[])
            .is_some_and(|group| value(&group, "last_run_success") == Some(1.0))
    });
    gateway.wait_for(Duration::from_secs(10), |_| state.records().is_empty());
}

#[test]
fn a_waiting_success_and_a_fresh_failure_arrive_as_one() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = deployed(&gateway, &state);
    gateway.refuse_connections();
    succeed("nightly");
    gateway.accept_connections();
    fail("nightly");
    let group = gateway.group("nightly", &[]);
    let (success, failure) = (
        value(&group, "last_success_timestamp_seconds").unwrap(),
        value(&group, "last_failure_timestamp_seconds").unwrap(),
    );
    assert!(success < failure);
    assert_eq!(value(&group, "last_run_success"), Some(0.0));
    assert!(state.records().is_empty());
}

#[test]
fn recovery_delivers_all_that_waits() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = deployed(&gateway, &state);
    gateway.refuse_connections();
    for name in ["one", "two", "three"] {
        fail(name);
    }
    let recovery = metrics_push::recover(BUDGET);
    assert_eq!((recovery.delivered, recovery.left), (0, 3));
    gateway.accept_connections();
    let recovery = metrics_push::recover(PATIENCE);
    assert_eq!((recovery.delivered, recovery.left), (3, 0));
    for name in ["one", "two", "three"] {
        assert_eq!(value(&gateway.group(name, &[]), "last_run_success"), Some(0.0), "{name}");
    }
    assert_eq!(metrics_push::recover(BUDGET), metrics_push::Recovery::default());
}

#[test]
fn a_replay_never_moves_a_group_back() {
    let gateway = FakeGateway::start();
    let (here, there) = (TempDir::new(), TempDir::new());
    gateway.refuse_connections();
    let scope = deployed(&gateway, &here);
    fail("shared");
    drop(scope);
    gateway.accept_connections();
    let scope = deployed(&gateway, &there);
    succeed("shared");
    drop(scope);
    let before = gateway.group("shared", &[]);
    let _scope = deployed(&gateway, &here);
    assert_eq!(metrics_push::recover(PATIENCE).delivered, 1);
    let after = gateway.group("shared", &[]);
    for name in
        ["last_run_success", "last_completion_timestamp_seconds", "pushed_at_timestamp_seconds"]
    {
        assert_eq!(value(&after, name), value(&before, name), "{name}");
    }
    // The failure did happen, and nobody had told of it.
    let failure = value(&after, "last_failure_timestamp_seconds").unwrap();
    assert!(failure < value(&after, "last_success_timestamp_seconds").unwrap());
    assert!(here.records().is_empty());
}

#[test]
fn wrong_settings_lose_nothing_once_they_are_mended() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    gateway.require_bearer_token("right");
    {
        let config = config(&gateway).bearer_token("wrong").timeout(Duration::from_secs(30));
        let _scope = config.state_dir(state.path()).scope().unwrap();
        let started = Instant::now();
        succeed("locked_out");
        assert!(started.elapsed() < Duration::from_secs(15), "waiting does not help");
    }
    let _scope = config(&gateway).bearer_token("right").state_dir(state.path()).scope().unwrap();
    assert_eq!(metrics_push::recover(PATIENCE).delivered, 1);
    assert_eq!(value(&gateway.group("locked_out", &[]), "last_run_success"), Some(1.0));
}

#[test]
fn a_push_that_was_applied_and_not_acknowledged_is_told_once_more_and_changes_nothing() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = deployed(&gateway, &state);
    gateway.fault(Fault::close().after_storing());
    succeed("unsure");
    let before = gateway.group("unsure", &[]);
    gateway.heal();
    assert_eq!(metrics_push::recover(PATIENCE).delivered, 1);
    let after = gateway.group("unsure", &[]);
    for name in ["last_success_timestamp_seconds", "last_run_duration_seconds", "last_run_success"]
    {
        assert_eq!(value(&after, name), value(&before, name), "{name}");
    }
}
