//! Aggregating gateways add up what they get, so nothing may reach them twice.

use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Config, GatewayKind, Outcome};

use super::{BUDGET, PATIENCE, config, job, pusher, succeed};
use crate::temp_dir::TempDir;

/// How often something was pushed.
fn pushes(gateway: &FakeGateway) -> usize {
    gateway.requests().iter().filter(|request| ["PUT", "POST"].contains(&&*request.method)).count()
}

/// A configuration that is told of the gateway by a variable.
fn aggregating(gateway: &FakeGateway, state: &TempDir) -> Config {
    let (config, problems) = Config::from_variables(|name| match name {
        "METRICS_PUSH_URL" => Some(gateway.url().into()),
        "METRICS_PUSH_GATEWAY_KIND" => Some("aggregating".into()),
        "METRICS_PUSH_STATE_DIR" => Some(state.path().into()),
        _ => None,
    });
    assert!(problems.is_empty(), "{problems:?}");
    config.timeout(BUDGET)
}

/// What leaves open whether the push has been applied.
fn unclear() -> [(&'static str, Fault); 6] {
    [
        ("silent", Fault::hang()),
        ("closed", Fault::close()),
        ("closed after storing", Fault::close().after_storing()),
        ("cut off", Fault::cut_off(10)),
        ("broken", Fault::status(500)),
        ("lost behind a proxy", Fault::status(502).after_storing()),
    ]
}

#[test]
fn what_may_have_arrived_is_not_sent_again() {
    for (name, fault) in unclear() {
        let gateway = FakeGateway::start();
        gateway.fault(fault);
        let pusher = pusher(&gateway).map_gateway(|gateway| gateway.kind(GatewayKind::Aggregating));
        let error = pusher.push().unwrap_err();
        assert!(error.is_retryable(), "{name}: {error:?}");
        assert_eq!(pushes(&gateway), 1, "{name}");
    }
}

#[test]
fn nor_does_it_wait_for_a_later_run() {
    for (name, fault) in unclear() {
        let (gateway, state) = (FakeGateway::start(), TempDir::new());
        let _scope = aggregating(&gateway, &state).scope().unwrap();
        let run = job("summed").start();
        gateway.wait_for(PATIENCE, |gateway| pushes(gateway) == 1);
        gateway.fault(fault);
        run.finish(Outcome::Success);
        assert_eq!((pushes(&gateway), state.records().len()), (2, 0), "{name}");
        gateway.heal();
        assert_eq!(metrics_push::recover(PATIENCE), metrics_push::Recovery::default(), "{name}");
        assert_eq!(pushes(&gateway), 2, "{name}");
    }
}

#[test]
fn what_can_t_have_arrived_is_tried_again_and_waits_as_ever() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = aggregating(&gateway, &state).scope().unwrap();
    gateway.refuse_connections();
    succeed("absent");
    assert_eq!(state.records().len(), 1);
    gateway.accept_connections();
    assert_eq!(metrics_push::recover(PATIENCE).delivered, 1);
    assert_eq!(pushes(&gateway), 1);
    for status in [408, 425, 429] {
        gateway.clear();
        gateway.fail_next(1, Fault::status(status));
        let pusher = pusher(&gateway)
            .map_gateway(|gateway| gateway.kind(GatewayKind::Aggregating).timeout(PATIENCE));
        pusher.push().unwrap();
        assert_eq!(pushes(&gateway), 2, "{status}");
    }
}

#[test]
fn a_record_that_was_sent_and_not_acknowledged_is_gone() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = aggregating(&gateway, &state).scope().unwrap();
    gateway.refuse_connections();
    succeed("once");
    gateway.accept_connections();
    gateway.fault(Fault::close().after_storing());
    let started = Instant::now();
    metrics_push::recover(Duration::from_secs(5));
    assert!(started.elapsed() < Duration::from_secs(4), "it was not tried again");
    gateway.heal();
    metrics_push::recover(PATIENCE);
    assert_eq!((pushes(&gateway), state.records().len()), (1, 0));
}

#[test]
fn others_are_sent_what_may_have_arrived() {
    let gateway = FakeGateway::start();
    let _scope = config(&gateway).timeout(PATIENCE).scope().unwrap();
    let run = job("usual").start();
    gateway.wait_for(PATIENCE, |gateway| pushes(gateway) == 1);
    gateway.fail_next(1, Fault::close().after_storing());
    run.finish(Outcome::Success);
    assert_eq!(pushes(&gateway), 3);
}
