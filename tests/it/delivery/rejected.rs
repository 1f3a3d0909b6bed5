//! Tests of metrics that the gateway rejects: the outcome is delivered without them.

use metrics_push::prometheus::{Counter, Gauge, Registry};
use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Job, Outcome, Pusher};

use super::{config, open_scope, value};
use crate::temp_dir::TempDir;

fn registry_with_orders() -> &'static Registry {
    static ORDERS: std::sync::OnceLock<Registry> = std::sync::OnceLock::new();
    ORDERS.get_or_init(|| {
        let registry = Registry::new();
        registry.register(Box::new(Counter::new("orders", "As a counter.").unwrap())).unwrap();
        registry
    })
}

/// A gateway with another group in which `orders` is a gauge.
fn gateway_with_orders() -> FakeGateway {
    let gateway = FakeGateway::start();
    let orders = Gauge::new("orders", "As a gauge.").unwrap();
    Pusher::new(gateway.url(), "other").unwrap().collector(orders).unwrap().push().unwrap();
    gateway
}

#[test]
fn outcome_is_delivered_without_a_rejected_metric() {
    let (gateway, state) = (gateway_with_orders(), TempDir::new());
    let _scope = open_scope(&gateway, &state);
    Job::new("clash")
        .registry(registry_with_orders)
        .whole_process()
        .start()
        .finish(Outcome::Success);
    let group = gateway.group("clash", &[]);
    assert_eq!(value(&group, "last_run_success"), Some(1.0));
    assert!(!group.has_family("orders"));
    assert!(state.records().is_empty());
}

#[test]
fn outcome_of_a_too_large_push_is_delivered_alone() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::status(413).when(|request| request.text().contains("orders")));
    let _scope = config(&gateway).scope().unwrap();
    Job::new("large").registry(registry_with_orders).whole_process().start().finish(Outcome::Error);
    assert_eq!(value(&gateway.group("large", &[]), "last_run_success"), Some(0.0));
}

#[test]
fn rejected_first_push_leaves_no_empty_group() {
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
fn rejected_push_does_not_change_an_existing_group() {
    let gateway = gateway_with_orders();
    let rows = Counter::new("rows", "Rows.").unwrap();
    Pusher::new(gateway.url(), "existing").unwrap().collector(rows).unwrap().push().unwrap();
    let orders = Counter::new("orders", "As a counter.").unwrap();
    Pusher::new(gateway.url(), "existing").unwrap().collector(orders).unwrap().push().unwrap_err();
    assert!(gateway.group("existing", &[]).has_family("rows"));
}
