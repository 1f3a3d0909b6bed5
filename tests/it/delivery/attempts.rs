//! Attempts: how often and how long a push is tried within its budget.

use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Config, Outcome};

use super::{SLACK, config, job, pusher, refusal, succeed, value};
use crate::temp_dir::TempDir;

#[test]
fn a_gateway_that_is_silent_is_asked_again_before_the_time_is_over() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::hang());
    let started = Instant::now();
    pusher(&gateway).map_gateway(|gateway| gateway.timeout(Duration::from_secs(4))).push().unwrap();
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn a_redirect_is_told_without_what_its_target_keeps_secret() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::redirect(302, "http://user:hunter2@elsewhere/login?session=hunter2"));
    let error = refusal(&gateway).to_string();
    assert!(error.contains("elsewhere/login") && !error.contains("hunter2"), "{error}");
}

#[test]
fn nobody_there_is_told_as_such() {
    let gateway = FakeGateway::start();
    gateway.refuse_connections();
    let error = refusal(&gateway);
    assert!(error.is_unreachable() && error.to_string().contains("check the URL"), "{error:?}");
}

/// Its budget is too short for a second attempt to say that the gateway is silent.
#[test]
fn what_the_end_of_the_time_cuts_short_hides_no_cause() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::hang());
    gateway.fail_next(1, Fault::close());
    let error = refusal(&gateway);
    assert!(error.is_unreachable(), "{error:?}");
    assert!(gateway.requests().len() > 1);
}

#[test]
fn an_answer_cut_off_anywhere_is_tried_again() {
    let gateway = FakeGateway::start();
    for bytes in 0..40 {
        gateway.fail_next(1, Fault::cut_off(bytes));
        pusher(&gateway).push().unwrap_or_else(|error| panic!("after {bytes} bytes: {error:?}"));
    }
    assert!(gateway.requests().len() >= 60, "{}", gateway.requests().len());
}

#[test]
fn a_gateway_that_comes_back_in_time_is_found() {
    let gateway = FakeGateway::start();
    gateway.refuse_connections();
    std::thread::scope(|scope| {
        let push = scope.spawn(|| {
            pusher(&gateway).map_gateway(|gateway| gateway.timeout(Duration::from_secs(20))).push()
        });
        gateway.accept_connections();
        push.join().unwrap().unwrap();
    });
}

#[test]
fn a_job_tells_how_many_attempts_its_push_took() {
    let gateway = FakeGateway::start();
    let state = TempDir::new();
    let _scope =
        config(&gateway).timeout(Duration::from_secs(20)).state_dir(state.path()).scope().unwrap();
    let run = job("stubborn").start();
    gateway.wait_for(SLACK, |gateway| gateway.find_group("stubborn", &[]).is_some());
    gateway.fail_next(2, Fault::status(503));
    run.finish(Outcome::Success);
    let group = gateway.group("stubborn", &[]);
    assert_eq!(value(&group, "push_attempts"), Some(3.0));
    assert_eq!(value(&group, "spool_pending"), Some(0.0));
    assert_eq!(value(&group, "spool_dropped"), Some(0.0));
}

#[test]
fn the_server_says_when_to_come_again() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::status(429).header("Retry-After", "1"));
    pusher(&gateway)
        .map_gateway(|gateway| gateway.timeout(Duration::from_secs(20)))
        .push()
        .unwrap();
    let requests = gateway.requests();
    let pause = requests[1].received - requests[0].received;
    assert!(pause >= Duration::from_secs(1), "{pause:?}");
}

#[test]
fn who_is_told_to_come_after_the_budget_does_not_wait_for_it() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::status(503).header("Retry-After", "3600"));
    let started = Instant::now();
    let error = pusher(&gateway)
        .map_gateway(|gateway| gateway.timeout(Duration::from_secs(60)))
        .push()
        .unwrap_err();
    assert!(
        started.elapsed() < Duration::from_secs(30) && error.status() == Some(503),
        "{error:?}"
    );
    assert_eq!(gateway.requests().len(), 1);
}

#[test]
fn a_rotated_token_is_read_again_when_it_is_refused() {
    let (gateway, place) = (FakeGateway::start(), TempDir::new());
    std::fs::create_dir_all(place.path()).unwrap();
    let file = place.path().join("token");
    std::fs::write(&file, "old\n").unwrap();
    gateway.require_bearer_token("new");
    let (config, problems) = Config::from_variables(|name| match name {
        "METRICS_PUSH_URL" => Some(gateway.url().into()),
        "METRICS_PUSH_TOKEN_FILE" => Some(file.clone().into()),
        "METRICS_PUSH_STATE_DIR" => Some("off".into()),
        _ => None,
    });
    assert!(problems.is_empty(), "{problems:?}");
    let _scope = config.scope().unwrap();
    let rotate = file.clone();
    gateway.fail_next(1, Fault::status(401).when(move |_| std::fs::write(&rotate, "new").is_ok()));
    succeed("rotated");
    assert_eq!(value(&gateway.group("rotated", &[]), "last_run_success"), Some(1.0));
}

#[test]
fn a_value_of_two_megabytes_is_not_told_in_full() {
    let gateway = FakeGateway::start();
    let pusher = pusher(&gateway).grouping("shard", "x".repeat(2_000_000)).unwrap();
    let error = pusher.push().unwrap_err();
    let told = format!("{error:?}");
    assert!(told.len() < 2_000, "{} bytes", told.len());
    let name = "x".repeat(2_000_000) + "-";
    let refused = metrics_push::GroupingKey::new("job").unwrap().label(name, "v").unwrap_err();
    assert!(refused.to_string().len() < 2_000, "{} bytes", refused.to_string().len());
}
