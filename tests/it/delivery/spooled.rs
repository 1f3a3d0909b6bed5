//! Tests of spooled outcomes: a later run delivers them, and they never overwrite newer data.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Job, Outcome};

use super::{
    SHORT_TIMEOUT, SLACK, TIMEOUT, config, fail, open_scope, spool_failure_before_a_success,
    succeed, value,
};
use crate::flushes::flush;
use crate::temp_dir::TempDir;

#[test]
fn spooled_outcome_is_delivered_by_the_next_run_of_any_job() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = open_scope(&gateway, &state);
    gateway.refuse_connections();
    succeed("unlucky");
    assert_eq!(state.records().len(), 1);
    gateway.accept_connections();
    succeed("later");
    gateway.wait_for(TIMEOUT, |gateway| {
        gateway
            .find_group("unlucky", &[])
            .is_some_and(|group| value(&group, "last_run_success") == Some(1.0))
    });
    gateway.wait_for(TIMEOUT, |_| state.records().is_empty());
}

#[test]
fn spooled_success_and_new_failure_are_sent_as_one() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = open_scope(&gateway, &state);
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
fn recover_delivers_all_spooled_outcomes() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = open_scope(&gateway, &state);
    gateway.refuse_connections();
    for name in ["one", "two", "three"] {
        fail(name);
    }
    let recovery = metrics_push::recover(SHORT_TIMEOUT);
    assert_eq!((recovery.delivered, recovery.left), (0, 3));
    gateway.accept_connections();
    let recovery = metrics_push::recover(TIMEOUT);
    assert_eq!((recovery.delivered, recovery.left), (3, 0));
    for name in ["one", "two", "three"] {
        assert_eq!(value(&gateway.group(name, &[]), "last_run_success"), Some(0.0), "{name}");
    }
    assert_eq!(metrics_push::recover(SHORT_TIMEOUT), metrics_push::Recovery::default());
}

/// Spools outcomes of many groups while the gateway refuses connections, and recovers them while it has this fault, or
/// still refuses connections. Returns the number of requests.
fn recover_many(
    gateway: &FakeGateway,
    timeout: Duration,
    fault: Option<Fault>,
) -> (usize, Duration) {
    const GROUPS: usize = 40;
    let state = TempDir::new();
    let _scope = open_scope(gateway, &state);
    gateway.refuse_connections();
    for number in 0..GROUPS {
        Job::with_name(format!("task_{number}")).start().finish(Outcome::Success);
    }
    flush();
    assert_eq!(state.records().len(), GROUPS);
    if let Some(fault) = fault {
        gateway.accept_connections();
        gateway.fault(fault);
    }
    let before = gateway.requests().len();
    let started = Instant::now();
    let recovery = metrics_push::recover(timeout);
    assert_eq!((recovery.delivered, recovery.left), (0, GROUPS));
    (gateway.requests().len() - before, started.elapsed())
}

/// A Pushgateway with thousands of groups takes about 0.4 s for each push, because it compares the push with all of them.
#[test]
fn recover_delivers_to_a_gateway_that_processes_one_push_after_another() {
    const GROUPS: usize = 20;
    const SERVICE_TIME: Duration = Duration::from_millis(400);
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = open_scope(&gateway, &state);
    gateway.refuse_connections();
    for number in 0..GROUPS {
        Job::with_name(format!("task_{number}")).start().finish(Outcome::Success);
    }
    flush();
    let turn = Mutex::new(());
    gateway.fault(Fault::hang().when(move |request| {
        if request.method != "GET" {
            let _turn = turn.lock();
            std::thread::sleep(SERVICE_TIME);
        }
        false
    }));
    gateway.accept_connections();
    let recovery = metrics_push::recover(Duration::from_secs(120));
    assert_eq!((recovery.delivered, recovery.left), (GROUPS, 0));
}

#[test]
fn recover_gives_up_early_if_the_gateway_is_down() {
    let gateway = FakeGateway::start();
    let (_, took) = recover_many(&gateway, Duration::from_secs(60), None);
    assert!(took < Duration::from_secs(1) + SLACK, "{took:?}");
    let fault = Fault::status(503);
    let (requests, took) = recover_many(&gateway, Duration::from_secs(60), Some(fault));
    assert!(requests <= 3 && took < SHORT_TIMEOUT + SLACK, "{requests} requests in {took:?}");
}

#[test]
fn recover_ends_at_its_timeout_if_the_gateway_is_silent() {
    let gateway = FakeGateway::start();
    let (requests, took) = recover_many(&gateway, SHORT_TIMEOUT, Some(Fault::hang()));
    assert!(requests <= 3 && took < SHORT_TIMEOUT + SLACK, "{requests} requests in {took:?}");
}

#[test]
fn recover_reports_runs_for_its_whole_timeout() {
    const RUNS: usize = 64;
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = open_scope(&gateway, &state);
    let mut journal = "metrics-push journal 1\tprocess=999999\tboot=earlier\n".to_owned();
    for run in 0..RUNS {
        let url = gateway.url();
        journal += &format!("started\tid={run}\tat=1764000000\tsink={url}\tjob=dead_{run}\n");
    }
    std::fs::create_dir_all(state.path().join("journal")).unwrap();
    std::fs::write(state.path().join("journal/1-999999.journal"), journal).unwrap();
    // At most 16 requests are in flight, so that all of them take longer than the timeout of a job.
    gateway.fault(Fault::stall(SHORT_TIMEOUT / 2).when(|request| request.method != "GET"));
    let recovery = metrics_push::recover(TIMEOUT);
    assert_eq!((recovery.abandoned, recovery.left), (RUNS, 0));
}

#[test]
fn outcomes_are_moved_from_any_spelling_of_a_url() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let old = metrics_push::Config::default().url("http://old.invalid").unwrap();
    let scope = old.state_dir(state.path()).timeout(SHORT_TIMEOUT).scope().unwrap();
    fail("nightly");
    drop(scope);
    let _scope = open_scope(&gateway, &state);
    let (from, to) = ("HTTP://user:word@OLD.invalid:80/", gateway.url() + "/");
    assert_eq!(metrics_push::move_undelivered(from, &to).unwrap(), 1);
    assert_eq!(metrics_push::recover(TIMEOUT).delivered, 1);
    assert_eq!(value(&gateway.group("nightly", &[]), "last_run_success"), Some(0.0));
}

#[test]
fn replay_does_not_overwrite_newer_data() {
    let gateway = FakeGateway::start();
    let here = spool_failure_before_a_success(&gateway);
    let before = gateway.group("shared", &[]);
    let _scope = open_scope(&gateway, &here);
    assert_eq!(metrics_push::recover(TIMEOUT).delivered, 1);
    let after = gateway.group("shared", &[]);
    for name in
        ["last_run_success", "last_completion_timestamp_seconds", "pushed_at_timestamp_seconds"]
    {
        assert_eq!(value(&after, name), value(&before, name), "{name}");
    }
    // The gateway did not have the timestamp of the failure.
    let failure = value(&after, "last_failure_timestamp_seconds").unwrap();
    assert!(failure < value(&after, "last_success_timestamp_seconds").unwrap());
    assert!(here.records().is_empty());
}

#[test]
fn outcome_spooled_for_wrong_credentials_is_delivered_later() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    gateway.require_bearer_token("right");
    {
        let config = config(&gateway).bearer_token("wrong").timeout(Duration::from_secs(30));
        let _scope = config.state_dir(state.path()).scope().unwrap();
        let started = Instant::now();
        succeed("locked_out");
        assert!(started.elapsed() < Duration::from_secs(15), "the push was retried");
    }
    let _scope = config(&gateway).bearer_token("right").state_dir(state.path()).scope().unwrap();
    assert_eq!(metrics_push::recover(TIMEOUT).delivered, 1);
    assert_eq!(value(&gateway.group("locked_out", &[]), "last_run_success"), Some(1.0));
}

#[test]
fn replay_of_an_applied_push_changes_nothing() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = config(&gateway).timeout(SHORT_TIMEOUT).state_dir(state.path()).scope().unwrap();
    gateway.fault(Fault::close().after_storing());
    succeed("unsure");
    let before = gateway.group("unsure", &[]);
    gateway.heal();
    assert_eq!(metrics_push::recover(TIMEOUT).delivered, 1);
    let after = gateway.group("unsure", &[]);
    for name in ["last_success_timestamp_seconds", "last_run_duration_seconds", "last_run_success"]
    {
        assert_eq!(value(&after, name), value(&before, name), "{name}");
    }
}

#[test]
fn outcome_stays_on_disk_if_too_little_time_is_left_to_confirm_it() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let in_time = |timeout| config(&gateway).timeout(timeout).state_dir(state.path());
    let scope = in_time(Duration::from_millis(500)).scope().unwrap();
    gateway.fault(Fault::hang());
    fail("nightly");
    gateway.heal();
    // The gateway could still apply the failure.
    succeed("nightly");
    let last_success = || value(&gateway.group("nightly", &[]), "last_run_success");
    assert_eq!((state.records().len(), last_success()), (1, Some(1.0)));
    drop(scope);
    let _scope = in_time(TIMEOUT).scope().unwrap();
    succeed("nightly");
    assert_eq!((state.records().len(), last_success()), (0, Some(1.0)));
}

/// The timeout of a push whose response is missing: longer than a busy machine needs for a push.
const UNCONFIRMED_TIMEOUT: Duration = Duration::from_secs(3);

/// Ends two runs after a failure that the gateway may still apply. The query API hangs, so that no outcome can be confirmed.
/// Only the first of the two runs stores its outcome.
fn end_unconfirmed(ending: fn(&'static str)) {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let config = || config(&gateway).timeout(UNCONFIRMED_TIMEOUT).state_dir(state.path());
    let scope = config().scope().unwrap();
    gateway.fault(Fault::hang());
    fail("nightly");
    gateway.heal();
    gateway.fault(Fault::hang().when(|request| request.method == "GET"));
    succeed("nightly");
    assert_eq!(state.records().len(), 1);
    drop(scope);
    let _scope = config().scope().unwrap();
    ending("nightly");
    assert!(state.records().is_empty());
}

#[test]
fn unconfirmed_outcome_is_stored_by_one_run_only() {
    std::thread::scope(|scope| {
        for ending in [succeed, fail] {
            scope.spawn(move || end_unconfirmed(ending));
        }
    });
}

#[test]
fn unconfirmed_outcome_is_compared_with_the_group_by_recover() {
    const FAILED: &str = "batch_job_last_run_success 0\n";
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let config = config(&gateway).timeout(UNCONFIRMED_TIMEOUT).state_dir(state.path());
    let _scope = config.scope().unwrap();
    gateway.fault(Fault::hang());
    fail("nightly");
    gateway.heal();
    gateway.fault(Fault::hang().when(|request| request.method == "GET"));
    succeed("nightly");
    gateway.heal();
    let failure = gateway.requests().into_iter().find(|request| request.text().contains(FAILED));
    let key = metrics_push::GroupingKey::new("nightly").unwrap();
    let client = metrics_push::Gateway::new(gateway.url()).unwrap();
    client.add(&key, &failure.unwrap().text().parse().unwrap()).unwrap();
    let last_success = || value(&gateway.group("nightly", &[]), "last_run_success");
    assert_eq!(last_success(), Some(0.0));
    let recovery = metrics_push::recover(TIMEOUT);
    assert_eq!((recovery.delivered, recovery.left), (1, 0));
    assert_eq!(last_success(), Some(1.0));
}
