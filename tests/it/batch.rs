//! Batches: many runs and many groups, few pushes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use metrics_push::prometheus::{Gauge, Registry};
use metrics_push::testing::FakeGateway;
use metrics_push::{Batcher, Config, GroupingKey};

use crate::programs::{command, program};
use crate::temp_dir::TempDir;

/// Longer than any test: what is pushed has another reason.
const NEVER: Duration = Duration::from_secs(3_600);
const PATIENCE: Duration = Duration::from_secs(20);

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
fn many_for_one_group_become_one_push() {
    let gateway = FakeGateway::start();
    let _scope = config(&gateway).scope().unwrap();
    let batcher = Batcher::new(NEVER);
    for value in 0..1_000 {
        batcher.add(key(value % 10), &rows(value as f64)).unwrap();
    }
    assert!(gateway.requests().is_empty());
    assert_eq!(batcher.flush(PATIENCE), 0);
    assert_eq!(gateway.requests().len(), 10);
    assert_eq!(gateway.group("import", &[("tenant", "3")]).value("rows", &[]), 993.0);
}

#[test]
fn an_interval_that_passes_pushes() {
    let gateway = FakeGateway::start();
    let _scope = config(&gateway).scope().unwrap();
    let batcher = Batcher::new(Duration::from_millis(50));
    batcher.push(key(1), &rows(1.0)).unwrap();
    gateway.wait_for(PATIENCE, |gateway| gateway.groups().len() == 1);
    batcher.delete(key(1));
    gateway.wait_for(PATIENCE, |gateway| gateway.groups().is_empty());
}

#[test]
fn many_keys_do_not_wait_for_the_interval() {
    let gateway = FakeGateway::start();
    let _scope = config(&gateway).scope().unwrap();
    let batcher = Batcher::with_max_pending(NEVER, 5);
    for number in 0..5 {
        batcher.add(key(number), &rows(1.0)).unwrap();
    }
    gateway.wait_for(PATIENCE, |gateway| gateway.groups().len() == 5);
}

#[test]
fn a_batcher_that_is_dropped_delivers_first() {
    let gateway = FakeGateway::start();
    let _scope = config(&gateway).scope().unwrap();
    let batcher = Batcher::new(NEVER);
    batcher.add(key(1), &rows(1.0)).unwrap();
    drop(batcher);
    assert_eq!(gateway.groups().len(), 1);
}

#[test]
fn a_label_without_bounds_is_bounded_here() {
    let _scope = Config::default().url("http://127.0.0.1:1").unwrap().scope().unwrap();
    let batcher = Batcher::with_max_pending(NEVER, usize::MAX);
    for number in 0..Batcher::MAX_GROUPS + 7 {
        batcher.delete(key(number));
    }
    assert_eq!(batcher.dropped(), 7);
    batcher.delete(key(3));
    assert_eq!(batcher.dropped(), 7, "there is always room for a group that waits already");
    // What was taken has nowhere to go; the process need not wait for it.
    std::mem::forget(batcher);
}

#[test]
fn what_a_batch_could_not_deliver_waits_on_disk() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    gateway.refuse_connections();
    let config = config(&gateway).state_dir(state.path()).timeout(Duration::from_millis(300));
    let _scope = config.scope().unwrap();
    let batcher = Batcher::new(NEVER);
    for number in 0..40 {
        batcher.add(key(number), &rows(1.0)).unwrap();
    }
    assert_eq!(batcher.flush(PATIENCE), 0);
    assert_eq!(state.records().len(), 40);
    gateway.accept_connections();
    assert_eq!(metrics_push::recover(PATIENCE).delivered, 40);
    assert_eq!(gateway.groups().len(), 40);
}

#[test]
fn a_thousand_groups_of_a_scheduler_take_one_push_each_per_interval() {
    let output = command(program("many_runs")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn handing_in_is_possible_from_many_threads_while_others_flush() {
    let gateway = FakeGateway::start();
    let _scope = config(&gateway).scope().unwrap();
    let batcher = Batcher::new(NEVER);
    let is_over = AtomicBool::new(false);
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
            while !is_over.load(Ordering::Relaxed) {
                batcher.flush(PATIENCE);
            }
        });
        for thread in threads {
            thread.join().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    batcher.flush(PATIENCE);
    for tenant in ["0", "1", "2"] {
        assert_eq!(gateway.group("import", &[("tenant", tenant)]).value("rows", &[]), 499.0);
    }
}

#[test]
fn a_gateway_that_hangs_does_not_hold_up_the_groups_of_another() {
    const GROUPS: usize = 60;
    let (silent, gateway) = (FakeGateway::start(), FakeGateway::start());
    silent.fault(metrics_push::testing::Fault::hang());
    let config = config(&silent).url(gateway.url()).unwrap().timeout(Duration::from_secs(8));
    let _scope = config.scope().unwrap();
    let batcher = Batcher::with_max_pending(NEVER, GROUPS);
    let started = Instant::now();
    for number in 0..GROUPS {
        batcher.add(key(number), &rows(1.0)).unwrap();
    }
    gateway.wait_for(PATIENCE, |gateway| gateway.groups().len() == GROUPS);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    silent.heal();
}
