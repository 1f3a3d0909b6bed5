//! The ways a process ends, against the real gateway and with both panic strategies.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::child::{Panics, job};
use crate::http::send;
use crate::real::Pushgateway;

/// What the gateway's API says of a group: values by metric, or by outcome for the state set.
pub(crate) fn stored(gateway: &Pushgateway, job: &str) -> BTreeMap<String, f64> {
    let answer = send(gateway.address(), "GET", "/api/v1/metrics", b"").unwrap();
    let listing: Value = serde_json::from_slice(&answer.body).unwrap();
    let groups = listing["data"].as_array().unwrap();
    let group = groups.iter().find(|group| group["labels"]["job"] == job);
    let families = group.and_then(Value::as_object).into_iter().flatten();
    let metrics = families.flat_map(|(name, family)| {
        family["metrics"].as_array().into_iter().flatten().map(move |metric| (name, metric))
    });
    let value = |(name, metric): (&String, &Value)| {
        let name = metric["labels"]["outcome"].as_str().unwrap_or(name);
        Some((name.to_owned(), metric["value"].as_str()?.parse().ok()?))
    };
    metrics.filter_map(value).collect()
}

/// The outcomes that hold.
pub(crate) fn held(stored: &BTreeMap<String, f64>) -> Vec<&str> {
    let is_outcome = |name: &str| !name.contains("batch_job") && !name.contains("push_");
    let held = stored.iter().filter(|(name, value)| is_outcome(name) && **value > 0.5);
    held.map(|(outcome, _)| outcome.as_str()).collect()
}

#[test]
fn every_ending_reaches_the_real_gateway_with_both_panic_strategies() {
    let unwinds = [
        ("ok", "success"),
        ("err", "error"),
        ("skip", "skipped"),
        ("exit-3", "exit_code"),
        ("exit-in-thread", "exit_code"),
        ("exit-in-worker", "exit_code"),
        ("panic", "panic"),
        ("panic-with-own-hook", "panic"),
        ("panic-in-drop", "panic"),
        ("exit-in-hook", "panic"),
        ("panic-in-collector", "panic"),
        ("panic-in-thread", "success"),
        ("panic-in-task", "success"),
    ];
    let gateway = Pushgateway::start();
    for panics in [Panics::Unwind, Panics::Abort] {
        for (ending, outcome) in unwinds {
            let is_aborted = panics == Panics::Abort && ending.starts_with("panic-in-t");
            let expected = if is_aborted { "panic" } else { outcome };
            let name = format!("{panics:?}-{ending}");
            let bare = job(panics, &[ending]).run_to_end();
            let start = job(panics, &[ending]).gateway(&gateway.url());
            let ended = start.variable("METRICS_PUSH_JOB", &name).run_to_end();
            if ending != "panic-in-collector" {
                ended.assert_same_as(&bare);
            }
            let stored = stored(&gateway, &name);
            assert_eq!(held(&stored), [expected], "{name}: {ended:?} {stored:?}");
        }
    }
}
