//! Refused: a metric that a gateway does not take harms neither the outcome nor others.

use metrics_push::prometheus::{Counter, Gauge, Registry};
use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Job, Outcome, Pusher};

use super::{config, deployed, value};
use crate::temp_dir::TempDir;

fn clashing() -> &'static Registry {
    static CLASHING: std::sync::OnceLock<Registry> = std::sync::OnceLock::new();
    CLASHING.get_or_init(|| {
        let registry = Registry::new();
        registry.register(Box::new(Counter::new("orders", "As a counter.").unwrap())).unwrap();
        registry
    })
}

/// A gateway on which another group has `orders` as a gauge.
fn gateway_with_orders() -> FakeGateway {
    let gateway = FakeGateway::start();
    let orders = Gauge::new("orders", "As a gauge.").unwrap();
    Pusher::new(gateway.url(), "other").unwrap().collector(orders).unwrap().push().unwrap();
    gateway
}

#[test]
fn a_refused_metric_does_not_take_the_outcome_with_it() {
    let (gateway, state) = (gateway_with_orders(), TempDir::new());
    let _scope = deployed(&gateway, &state);
    Job::new("clash").registry(clashing).whole_process().start().finish(Outcome::Success);
    let group = gateway.group("clash", &[]);
    assert_eq!(value(&group, "last_run_success"), Some(1.0));
    assert!(!group.has_family("orders"));
    assert!(state.records().is_empty());
}

#[test]
fn a_push_that_is_too_large_still_tells_the_outcome() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::status(413).when(|request| request.text().contains("orders")));
    let _scope = config(&gateway).scope().unwrap();
    Job::new("large").registry(clashing).whole_process().start().finish(Outcome::Error);
    assert_eq!(value(&gateway.group("large", &[]), "last_run_success"), Some(0.0));
}

#[test]
fn a_refused_first_push_leaves_no_ghost() {
    let gateway = gateway_with_orders();
    let push = |job: &str| {
        let orders = Counter::new("orders", "As a counter.").unwrap();
        Pusher::new(gateway.url(), job).unwrap().collector(orders).unwrap().push()
    };
    let error = push("mistyped").unwrap_err();
    assert!(error.is_rejected() && error.to_string().contains("\"orders\""), "{error:?}");
    assert!(gateway.find_group("mistyped", &[]).is_none());
}

#[test]
fn a_refused_push_leaves_a_group_that_holds_something_alone() {
    let gateway = gateway_with_orders();
    let rows = Counter::new("rows", "Rows.").unwrap();
    Pusher::new(gateway.url(), "known").unwrap().collector(rows).unwrap().push().unwrap();
    let orders = Counter::new("orders", "As a counter.").unwrap();
    Pusher::new(gateway.url(), "known").unwrap().collector(orders).unwrap().push().unwrap_err();
    assert!(gateway.group("known", &[]).has_family("rows"));
}
