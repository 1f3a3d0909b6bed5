//! Tests of `Batcher` and of batched runs: many requests, few pushes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics_push::prometheus::{Gauge, Registry};
use metrics_push::testing::FakeGateway;
use metrics_push::{Batcher, Config, GroupingKey};

use crate::flushes::delay_flushes;
use crate::programs::{command, program};
use crate::temp_dir::TempDir;

/// Longer than any test, so that the interval causes no push.
const LONG_INTERVAL: Duration = Duration::from_secs(3_600);
const TIMEOUT: Duration = Duration::from_secs(20);

fn rows(value: f64) -> Registry {
    let registry = Registry::new();
    let gauge = Gauge::new("rows", "Rows.").unwrap();
    gauge.set(value);
    registry.register(Box::new(gauge)).unwrap();
    registry
}

fn key(number: usize) -> GroupingKey {
    GroupingKey::new("import").unwrap().label("tenant", number.to_string()).unwrap()
}

fn config(gateway: &FakeGateway) -> Config {
    Config::default().url(gateway.url()).unwrap()
}

#[test]
fn batcher_merges_requests_of_one_group() {
    let gateway = FakeGateway::start();
    let _scope = config(&gateway).scope().unwrap();
    let batcher = Batcher::new(LONG_INTERVAL);
    let _delay = delay_flushes();
    for value in 0..1_000 {
        batcher.add(key(value % 10), &rows(value as f64)).unwrap();
    }
    assert!(gateway.requests().is_empty());
    assert_eq!(batcher.flush(TIMEOUT), 0);
    assert_eq!(gateway.requests().len(), 10);
    assert_eq!(gateway.group("import", &[("tenant", "3")]).value("rows", &[]), 993.0);
}

#[test]
fn batcher_pushes_after_the_interval() {
    let gateway = FakeGateway::start();
    let _scope = config(&gateway).scope().unwrap();
    let batcher = Batcher::new(Duration::from_millis(50));
    batcher.push(key(1), &rows(1.0)).unwrap();
    gateway.wait_for(TIMEOUT, |gateway| gateway.groups().len() == 1);
    batcher.delete(key(1));
    gateway.wait_for(TIMEOUT, |gateway| gateway.groups().is_empty());
}

#[test]
fn batcher_pushes_when_it_is_full() {
    let gateway = FakeGateway::start();
    let _scope = config(&gateway).scope().unwrap();
    let batcher = Batcher::with_max_pending(LONG_INTERVAL, 5);
    for number in 0..5 {
        batcher.add(key(number), &rows(1.0)).unwrap();
    }
    gateway.wait_for(TIMEOUT, |gateway| gateway.groups().len() == 5);
}

#[test]
fn batcher_delivers_on_drop() {
    let gateway = FakeGateway::start();
    let _scope = config(&gateway).scope().unwrap();
    let batcher = Batcher::new(LONG_INTERVAL);
    batcher.add(key(1), &rows(1.0)).unwrap();
    drop(batcher);
    assert_eq!(gateway.groups().len(), 1);
}

#[test]
fn batcher_limits_the_number_of_groups() {
    let _scope = Config::default().url("http://127.0.0.1:1").unwrap().scope().unwrap();
    let batcher = Batcher::with_max_pending(LONG_INTERVAL, usize::MAX);
    let _delay = delay_flushes();
    for number in 0..Batcher::MAX_GROUPS + 7 {
        batcher.delete(key(number));
    }
    assert_eq!(batcher.dropped(), 7);
    batcher.delete(key(3));
    assert_eq!(batcher.dropped(), 7, "a buffered group can always be replaced");
    // The gateway is unreachable: dropping the batcher would wait until the timeout.
    std::mem::forget(batcher);
}

#[test]
fn batcher_pushes_when_its_metrics_are_large() {
    let gateway = FakeGateway::start();
    let _scope = config(&gateway).timeout(TIMEOUT).scope().unwrap();
    let batcher = Batcher::new(LONG_INTERVAL);
    let registry = Registry::new();
    let gauge = Gauge::new("rows", "x".repeat(9 * 1024 * 1024)).unwrap();
    registry.register(Box::new(gauge)).unwrap();
    for number in 0..4 {
        batcher.add(key(number), &registry).unwrap();
    }
    gateway.wait_for(TIMEOUT, |gateway| gateway.groups().len() == 4);
}

#[test]
fn undelivered_batch_is_spooled() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    gateway.refuse_connections();
    let config = config(&gateway).state_dir(state.path()).timeout(Duration::from_millis(300));
    let _scope = config.scope().unwrap();
    let batcher = Batcher::new(LONG_INTERVAL);
    for number in 0..40 {
        batcher.add(key(number), &rows(1.0)).unwrap();
    }
    assert_eq!(batcher.flush(TIMEOUT), 0);
    assert_eq!(state.records().len(), 40);
    gateway.accept_connections();
    assert_eq!(metrics_push::recover(TIMEOUT).delivered, 40);
    assert_eq!(gateway.groups().len(), 40);
}

#[test]
fn batched_runs_take_one_push_per_group() {
    let output = command(program("many_runs")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn exit_submits_the_outcome_of_a_batched_task() {
    let gateway = FakeGateway::start();
    let mut exits = command(program("exits_with_batched_task"));
    assert_eq!(exits.env("METRICS_PUSH_URL", gateway.url()).status().unwrap().code(), Some(3));
    gateway.after_run("task", &[]).assert_outcome("exit_code");
}

#[test]
fn batcher_accepts_requests_during_a_flush() {
    let gateway = FakeGateway::start();
    let _scope = config(&gateway).scope().unwrap();
    let batcher = Batcher::new(LONG_INTERVAL);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                let batcher = &batcher;
                scope.spawn(move || {
                    for number in 0..500 {
                        batcher.add(key(thread), &rows(f64::from(number))).unwrap();
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                batcher.flush(TIMEOUT);
            }
        });
        for thread in threads {
            thread.join().unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
    });
    batcher.flush(TIMEOUT);
    for tenant in ["0", "1", "2"] {
        assert_eq!(gateway.group("import", &[("tenant", tenant)]).value("rows", &[]), 499.0);
    }
}

#[test]
fn hanging_gateway_does_not_delay_the_groups_of_another() {
    const GROUPS: usize = 60;
    let (hanging, gateway) = (FakeGateway::start(), FakeGateway::start());
    hanging.fault(metrics_push::testing::Fault::hang());
    let config = config(&hanging).url(gateway.url()).unwrap().timeout(TIMEOUT * 2);
    let _scope = config.scope().unwrap();
    let batcher = Batcher::with_max_pending(LONG_INTERVAL, GROUPS);
    for number in 0..GROUPS {
        batcher.add(key(number), &rows(1.0)).unwrap();
    }
    gateway.wait_for(TIMEOUT, |gateway| gateway.groups().len() == GROUPS);
    hanging.heal();
}
