//! The merge rule against the real gateway: what becomes one push leaves what many would have left, and nothing that
//! is pushed can break the gateway for others.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics_push::prometheus::{Counter, Gauge, Registry};
use metrics_push::{Batcher, Config, Gateway, GroupingKey, Pusher, StoredGroup};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};

use crate::real::Pushgateway;

const NEVER: Duration = Duration::from_secs(3_600);
const PATIENCE: Duration = Duration::from_secs(20);

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

fn apply_in_turn(url: &str, steps: &[Step]) {
    let pusher = |metrics| Pusher::new(url, "in_turn").unwrap().gatherer(&registry(metrics));
    for step in steps {
        match step {
            Step::Push(metrics) => pusher(metrics).push().unwrap(),
            Step::Add(metrics) => pusher(metrics).add().unwrap(),
            Step::Delete => Pusher::new(url, "in_turn").unwrap().delete().unwrap(),
        };
    }
}

fn apply_at_once(batcher: &Batcher, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Push(metrics) => batcher.push(key("at_once"), &registry(metrics)).unwrap(),
            Step::Add(metrics) => batcher.add(key("at_once"), &registry(metrics)).unwrap(),
            Step::Delete => batcher.delete(key("at_once")),
        }
    }
    assert_eq!(batcher.flush(PATIENCE), 0);
}

/// What a group holds of ours; `None`, if there is no group.
fn held(groups: &[StoredGroup], job: &str) -> Option<BTreeMap<String, f64>> {
    let group = groups.iter().find(|group| group.labels["job"] == job)?;
    let own = group.families.keys().filter(|name| name.starts_with('m'));
    Some(own.map(|name| (name.clone(), group.value(name, &[]).unwrap())).collect())
}

#[test]
fn merged_pushes_leave_what_they_would_have_left_in_turn() {
    let real = Pushgateway::start();
    let url = real.url();
    let gateway = Gateway::new(&url).unwrap();
    let _scope = Config::default().url(&url).unwrap().scope().unwrap();
    let batcher = Batcher::new(NEVER);
    let steps = proptest::collection::vec(step(), 1..7);
    let mut runner =
        TestRunner::new(Cases { cases: 150, failure_persistence: None, ..Cases::default() });
    runner
        .run(&steps, |steps| {
            // What one case leaves behind, the next one begins with.
            apply_in_turn(&url, &steps);
            apply_at_once(&batcher, &steps);
            let groups = gateway.metrics().unwrap();
            prop_assert_eq!(held(&groups, "at_once"), held(&groups, "in_turn"));
            Ok(())
        })
        .unwrap();
}

/// The two ways in which one push makes every scrape fail: an empty instance beside none, and what is not UTF-8. The
/// second has no spelling here; the first is tried in every form, together with a clash that leaves a ghost.
#[test]
fn no_push_of_ours_breaks_the_gateway_for_others() {
    let real = Pushgateway::start();
    let url = real.url();
    let push = |labels: &[(&str, &str)], metric: &str, counter: bool| {
        let mut pusher = Pusher::new(&url, "victim").unwrap();
        for (name, value) in labels {
            pusher = pusher.grouping(*name, *value).unwrap();
        }
        if counter {
            let counter = Counter::new(metric, "A clash.").unwrap();
            return pusher.collector(counter).unwrap().push();
        }
        pusher.collector(Gauge::new(metric, "Fine.").unwrap()).unwrap().push()
    };
    push(&[], "rows", false).unwrap();
    push(&[("instance", "")], "rows", false).unwrap();
    push(&[("zone", ""), ("instance", "")], "rows", false).unwrap();
    push(&[("zone", "\u{0}\u{ffff}\u{10ffff}")], "rows", false).unwrap();
    push(&[("zone", "elsewhere")], "rows", true).unwrap_err();
    let groups = Gateway::new(&url).unwrap().metrics().unwrap();
    assert_eq!(groups.len(), 2, "{groups:?}");
    let scrape = crate::http::send(real.address(), "GET", "/metrics", b"").unwrap();
    assert_eq!(scrape.status, 200);
    push(&[("zone", "later")], "rows", false).unwrap();
}
