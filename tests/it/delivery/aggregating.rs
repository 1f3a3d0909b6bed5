//! Tests of aggregating gateways: they add up what they receive, so they must not receive a request twice.

use std::time::Duration;

use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Config, GatewayKind, Outcome};

use super::{TIMEOUT, config, job, pusher, succeed};
use crate::temp_dir::TempDir;

/// The timeout of pushes that may get no response: long enough for a busy machine to send them.
const UNANSWERED_TIMEOUT: Duration = Duration::from_secs(5);

/// Counts the pushes and adds.
fn pushes(gateway: &FakeGateway) -> usize {
    gateway.requests().iter().filter(|request| ["PUT", "POST"].contains(&&*request.method)).count()
}

/// Returns a configuration with the gateway kind from a variable.
fn aggregating(gateway: &FakeGateway, state: &TempDir) -> Config {
    let (config, errors) = Config::from_variables(|name| match name {
        "METRICS_PUSH_URL" => Some(gateway.url().into()),
        "METRICS_PUSH_GATEWAY_KIND" => Some("aggregating".into()),
        "METRICS_PUSH_STATE_DIR" => Some(state.path().into()),
        _ => None,
    });
    assert!(errors.is_empty(), "{errors:?}");
    // Long enough for a busy machine: a request that times out is not sent again, even if it did not arrive.
    config.timeout(UNANSWERED_TIMEOUT)
}

/// The faults after which the gateway may have applied the request.
fn ambiguous_faults() -> [(&'static str, Fault); 6] {
    [
        ("hanging", Fault::hang()),
        ("closed", Fault::close()),
        ("closed after storing", Fault::close().after_storing()),
        ("cut off", Fault::cut_off(10)),
        ("broken", Fault::status(500)),
        ("lost behind a proxy", Fault::status(502).after_storing()),
    ]
}

#[test]
fn request_that_may_have_arrived_is_not_retried() {
    for (name, fault) in ambiguous_faults() {
        let gateway = FakeGateway::start();
        gateway.fault(fault);
        let pusher = pusher(&gateway).map_gateway(|gateway| {
            gateway.kind(GatewayKind::Aggregating).timeout(UNANSWERED_TIMEOUT)
        });
        let error = pusher.push().unwrap_err();
        assert!(error.is_retryable(), "{name}: {error:?}");
        assert_eq!(pushes(&gateway), 1, "{name}");
    }
}

#[test]
fn request_that_may_have_arrived_is_not_spooled() {
    for (name, fault) in ambiguous_faults() {
        let (gateway, state) = (FakeGateway::start(), TempDir::new());
        let _scope = aggregating(&gateway, &state).scope().unwrap();
        let run = job("summed").start();
        gateway.wait_for(TIMEOUT, |gateway| pushes(gateway) == 1);
        gateway.fault(fault);
        run.finish(Outcome::Success);
        assert_eq!((pushes(&gateway), state.records().len()), (2, 0), "{name}");
        gateway.heal();
        assert_eq!(metrics_push::recover(TIMEOUT), metrics_push::Recovery::default(), "{name}");
        assert_eq!(pushes(&gateway), 2, "{name}");
    }
}

#[test]
fn request_that_cannot_have_arrived_is_retried_and_spooled() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = aggregating(&gateway, &state).scope().unwrap();
    gateway.refuse_connections();
    succeed("absent");
    assert_eq!(state.records().len(), 1);
    gateway.accept_connections();
    assert_eq!(metrics_push::recover(TIMEOUT).delivered, 1);
    assert_eq!(pushes(&gateway), 1);
    for status in [408, 425, 429] {
        gateway.clear();
        gateway.fail_next(1, Fault::status(status));
        let pusher = pusher(&gateway).map_gateway(|gateway| gateway.kind(GatewayKind::Aggregating));
        pusher.push().unwrap();
        assert_eq!(pushes(&gateway), 2, "{status}");
    }
}

#[test]
fn spooled_request_without_a_response_is_removed() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = aggregating(&gateway, &state).scope().unwrap();
    gateway.refuse_connections();
    succeed("once");
    gateway.accept_connections();
    gateway.fault(Fault::close().after_storing());
    metrics_push::recover(TIMEOUT);
    gateway.heal();
    metrics_push::recover(TIMEOUT);
    assert_eq!((pushes(&gateway), state.records().len()), (1, 0));
}

#[test]
fn pushgateway_receives_an_unacknowledged_request_again() {
    let gateway = FakeGateway::start();
    let _scope = config(&gateway).scope().unwrap();
    let run = job("usual").start();
    gateway.wait_for(TIMEOUT, |gateway| pushes(gateway) == 1);
    gateway.fail_next(1, Fault::close().after_storing());
    run.finish(Outcome::Success);
    assert_eq!(pushes(&gateway), 3);
}
