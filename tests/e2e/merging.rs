//! The merge rule against the real gateway: a merged push leaves the same group as the single pushes would, and no push
//! of the library makes the gateway fail for other clients.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics_push::prometheus::{Counter, Gauge, Registry};
use metrics_push::{Batcher, Config, Gateway, GroupingKey, Pusher, StoredGroup};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};

use crate::real::Pushgateway;

/// Longer than the test, so that the batcher flushes on request only.
const FLUSH_INTERVAL: Duration = Duration::from_secs(3_600);
const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
enum Step {
    Push(BTreeMap<String, u8>),
    Add(BTreeMap<String, u8>),
    Delete,
}

fn step() -> impl Strategy<Value = Step> {
    let metrics = || proptest::collection::btree_map("m[abcd]", any::<u8>(), 1..4);
    prop_oneof![
        3 => metrics().prop_map(Step::Push),
        5 => metrics().prop_map(Step::Add),
        1 => Just(Step::Delete),
    ]
}

fn registry(metrics: &BTreeMap<String, u8>) -> Registry {
    let registry = Registry::new();
    for (name, value) in metrics {
        let gauge = Gauge::new(name.clone(), "Random.").unwrap();
        gauge.set(f64::from(*value));
        registry.register(Box::new(gauge)).unwrap();
    }
    registry
}

fn key(job: &str) -> GroupingKey {
    GroupingKey::new(job).unwrap()
}

/// Sends each step at once, to the job `single`.
fn apply_singly(url: &str, steps: &[Step]) {
    let pusher = |metrics| Pusher::new(url, "single").unwrap().gatherer(&registry(metrics));
    for step in steps {
        match step {
            Step::Push(metrics) => pusher(metrics).push().unwrap(),
            Step::Add(metrics) => pusher(metrics).add().unwrap(),
            Step::Delete => Pusher::new(url, "single").unwrap().delete().unwrap(),
        };
    }
}

/// Merges all steps into one request, to the job `merged`.
fn apply_merged(batcher: &Batcher, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Push(metrics) => batcher.push(key("merged"), &registry(metrics)).unwrap(),
            Step::Add(metrics) => batcher.add(key("merged"), &registry(metrics)).unwrap(),
            Step::Delete => batcher.delete(key("merged")),
        }
    }
    assert_eq!(batcher.flush(FLUSH_TIMEOUT), 0);
}

/// The stored metrics of a job without those of the gateway; `None` if the job has no group.
fn stored(groups: &[StoredGroup], job: &str) -> Option<BTreeMap<String, f64>> {
    let group = groups.iter().find(|group| group.labels["job"] == job)?;
    let pushed = group.families.keys().filter(|name| name.starts_with('m'));
    Some(pushed.map(|name| (name.clone(), group.value(name, &[]).unwrap())).collect())
}

#[test]
fn merged_push_leaves_the_same_group_as_single_pushes() {
    let real = Pushgateway::start();
    let url = real.url();
    let gateway = Gateway::new(&url).unwrap();
    let _scope = Config::default().url(&url).unwrap().scope().unwrap();
    let batcher = Batcher::new(FLUSH_INTERVAL);
    let steps = proptest::collection::vec(step(), 1..7);
    let mut runner =
        TestRunner::new(Cases { cases: 150, failure_persistence: None, ..Cases::default() });
    runner
        .run(&steps, |steps| {
            // Each case starts with the groups of the one before.
            apply_singly(&url, &steps);
            apply_merged(&batcher, &steps);
            // The gateway deletes asynchronously. It responds to a later push after the deletion.
            gateway.add(&key("last"), &"last 1".parse().unwrap()).unwrap();
            let groups = gateway.metrics().unwrap();
            prop_assert_eq!(stored(&groups, "merged"), stored(&groups, "single"));
            Ok(())
        })
        .unwrap();
}

/// One push makes every scrape fail in two cases: an empty `instance` label next to a group without one, and a label that
/// is not UTF-8. Rust strings rule out the second, so this test tries the first, and a type conflict that the gateway
/// rejects after it has created the group.
#[test]
fn pushes_never_break_the_gateway_for_other_clients() {
    let real = Pushgateway::start();
    let url = real.url();
    let pusher = |labels: &[(&str, &str)]| {
        let pusher = Pusher::new(&url, "job").unwrap();
        labels.iter().fold(pusher, |pusher, (name, value)| pusher.grouping(*name, *value).unwrap())
    };
    let push = |labels: &[(&str, &str)]| {
        let gauge = Gauge::new("rows", "A gauge.").unwrap();
        pusher(labels).collector(gauge).unwrap().push()
    };
    push(&[]).unwrap();
    push(&[("instance", "")]).unwrap();
    push(&[("zone", ""), ("instance", "")]).unwrap();
    push(&[("zone", "\u{0}\u{ffff}\u{10ffff}")]).unwrap();
    let counter = Counter::new("rows", "Conflicts with the gauge.").unwrap();
    pusher(&[("zone", "elsewhere")]).collector(counter).unwrap().push().unwrap_err();
    let groups = Gateway::new(&url).unwrap().metrics().unwrap();
    assert_eq!(groups.len(), 2, "{groups:?}");
    let scrape = crate::http::send(real.address(), "GET", "/metrics", b"").unwrap();
    assert_eq!(scrape.status, 200);
    push(&[("zone", "later")]).unwrap();
}
