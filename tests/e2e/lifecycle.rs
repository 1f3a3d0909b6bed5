//! What the real gateway knows of runs.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::http::send;
use crate::real::Pushgateway;

/// What the gateway's API says of a job's group: values by metric, or by outcome for the state set.
pub(crate) fn stored(gateway: &Pushgateway, job: &str) -> BTreeMap<String, f64> {
    stored_in(gateway, &[("job", job)])
}

/// The same of the group with these labels.
pub(crate) fn stored_in(gateway: &Pushgateway, labels: &[(&str, &str)]) -> BTreeMap<String, f64> {
    let answer = send(gateway.address(), "GET", "/api/v1/metrics", b"").unwrap();
    let listing: Value = serde_json::from_slice(&answer.body).unwrap();
    let groups = listing["data"].as_array().unwrap();
    let has = |group: &Value| labels.iter().all(|(name, value)| group["labels"][name] == *value);
    let group = groups.iter().find(|group| has(group));
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
