//! Tests of requests that the gateway rejects: the outcome is delivered without the program's own metrics. If the gateway
//! rejects the outcome too, it is spooled.

use metrics_push::prometheus::{Counter, Gauge, Registry};
use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Batcher, GatewayKind, GroupingKey, Job, Outcome, Pusher, recover};

use super::{TIMEOUT, config, fail, open_scope, succeed, value};
use crate::child::is_wait_notice;
use crate::programs::{command, program};
use crate::temp_dir::TempDir;

/// The statuses of rejected requests, which are not retried.
const REJECTED: [u16; 6] = [400, 402, 409, 413, 422, 431];

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

fn fail_with_orders(name: &'static str) {
    Job::new(name).registry(registry_with_orders).whole_process().start().finish(Outcome::Error);
}

/// Returns the number of pushes that contain `text`.
fn pushes_with(gateway: &FakeGateway, text: &str) -> usize {
    gateway.requests().iter().filter(|request| request.text().contains(text)).count()
}

#[test]
fn rejected_outcome_is_spooled_without_own_metrics() {
    for kind in [GatewayKind::Pushgateway, GatewayKind::Aggregating] {
        for status in REJECTED {
            let (gateway, state) = (FakeGateway::start(), TempDir::new());
            gateway.fault(Fault::status(status));
            let config = config(&gateway).gateway_kind(kind).state_dir(state.path());
            let _scope = config.scope().unwrap();
            fail_with_orders("rejected");
            let [record] = &state.records()[..] else { panic!("{status} {kind:?}") };
            let record = std::fs::read(record).unwrap();
            let text = String::from_utf8_lossy(&record);
            assert!(text.contains("batch_job_last_run_success"), "{status}: {text}");
            assert!(!text.contains("orders"), "{status}: {text}");
            gateway.heal();
            assert_eq!(recover(TIMEOUT).delivered, 1, "{status}");
            let group = gateway.group("rejected", &[]);
            assert_eq!(value(&group, "last_run_success"), Some(0.0), "{status}");
            assert!(state.records().is_empty(), "{status}");
        }
    }
}

#[test]
fn rejected_outcome_is_delivered_by_the_next_run() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    gateway.fault(Fault::status(400));
    {
        let _scope = open_scope(&gateway, &state);
        fail_with_orders("rejected");
    }
    gateway.heal();
    let _scope = open_scope(&gateway, &state);
    succeed("other");
    gateway.wait_for(TIMEOUT, |gateway| gateway.find_group("rejected", &[]).is_some());
    assert_eq!(value(&gateway.group("rejected", &[]), "last_run_success"), Some(0.0));
    succeed("rejected");
    let group = gateway.group("rejected", &[]);
    assert_eq!(value(&group, "last_run_success"), Some(1.0));
    assert!(value(&group, "last_failure_timestamp_seconds").is_some_and(|time| time > 0.0));
    assert!(state.records().is_empty());
}

#[test]
fn spooled_outcome_survives_later_rejections() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = open_scope(&gateway, &state);
    gateway.refuse_connections();
    fail_with_orders("kept");
    gateway.accept_connections();
    for status in REJECTED {
        gateway.fault(Fault::status(status));
        let recovery = recover(TIMEOUT);
        assert_eq!((recovery.delivered, recovery.left), (0, 1), "{status}");
        // The start of a run contains the spooled outcome too.
        fail("kept");
        assert_eq!(state.records().len(), 1, "{status}");
        gateway.heal();
        gateway.fault(Fault::status(status));
    }
    gateway.heal();
    assert_eq!(recover(TIMEOUT).delivered, 1);
    assert_eq!(value(&gateway.group("kept", &[]), "last_run_success"), Some(0.0));
    assert!(state.records().is_empty());
}

#[test]
fn rejected_metrics_without_an_outcome_are_dropped() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let _scope = open_scope(&gateway, &state);
    let batcher = Batcher::new(TIMEOUT);
    let key = || GroupingKey::new("metrics").unwrap();
    gateway.fault(Fault::status(400));
    batcher.add(key(), registry_with_orders()).unwrap();
    assert_eq!(batcher.flush(TIMEOUT), 0);
    assert!(state.records().is_empty());

    gateway.heal();
    gateway.refuse_connections();
    batcher.add(key(), registry_with_orders()).unwrap();
    assert_eq!((batcher.flush(TIMEOUT), state.records().len()), (0, 1));
    gateway.accept_connections();
    gateway.fault(Fault::status(400).when(|request| request.path.starts_with("/metrics/")));
    assert_eq!(recover(TIMEOUT), metrics_push::Recovery::default(), "removed, so not left");
    assert!(state.records().is_empty());
}

#[test]
fn rejected_outcome_is_sent_alone_before_it_is_spooled() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    gateway.fault(Fault::status(413));
    let _scope = open_scope(&gateway, &state);
    fail_with_orders("large");
    let with_outcome = pushes_with(&gateway, "batch_job_last_run_success");
    assert_eq!(with_outcome, pushes_with(&gateway, "orders") + 1);
}

#[test]
fn rejected_outcome_logs_that_it_is_stored_and_why() {
    let log_lines = |state: Option<&TempDir>| {
        let gateway = FakeGateway::start();
        gateway.fault(Fault::status(413));
        let mut command = command(program("succeeds"));
        command.arg("nightly").env("METRICS_PUSH_URL", gateway.url());
        if let Some(state) = state {
            command.env("METRICS_PUSH_STATE_DIR", state.path());
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        let lines = text.lines().filter(|line| !is_wait_notice(line));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let state = TempDir::new();
    let lines = log_lines(Some(&state));
    let [line] = &lines[..] else { panic!("{lines:?}") };
    for part in [
        r#"the gateway rejected the outcome of {job="nightly"} after 1 attempt: "#,
        "the push is too large for the server (status: 413",
        &format!("; the outcome is stored in {}", state.path().join("spool").display()),
        "without the program's own metrics, and the next run for this URL sends it again",
    ] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    let lines = log_lines(None);
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(line.contains("is lost after 1 attempt") && line.contains("413"), "{line}");
}
