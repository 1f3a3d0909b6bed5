//! What the real gateway knows of runs.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::child::{Panics, job};
use crate::http::send;
use crate::real::Pushgateway;
use crate::state_dir::StateDir;

/// What the gateway's API says of a group: values by metric, or by outcome for the state set.
pub(crate) type Stored = BTreeMap<String, f64>;

/// What it says of a job's group.
pub(crate) fn stored(gateway: &Pushgateway, job: &str) -> Stored {
    stored_in(gateway, &[("job", job)])
}

/// The same of the group with these labels.
pub(crate) fn stored_in(gateway: &Pushgateway, labels: &[(&str, &str)]) -> Stored {
    let has = |group: &Value| labels.iter().all(|(name, value)| group["labels"][name] == *value);
    groups(gateway).iter().find(|group| has(group)).map(values).unwrap_or_default()
}

/// The same of all groups, where each is a job's only one.
pub(crate) fn stored_by_job(gateway: &Pushgateway) -> BTreeMap<String, Stored> {
    let job = |group: &Value| group["labels"]["job"].as_str().unwrap_or_default().to_owned();
    groups(gateway).iter().map(|group| (job(group), values(group))).collect()
}

fn groups(gateway: &Pushgateway) -> Vec<Value> {
    let answer = send(gateway.address(), "GET", "/api/v1/metrics", b"").unwrap();
    let mut listing: Value = serde_json::from_slice(&answer.body).unwrap();
    listing["data"].as_array_mut().map(std::mem::take).unwrap()
}

fn values(group: &Value) -> Stored {
    let families = group.as_object().into_iter().flatten();
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
pub(crate) fn held(stored: &Stored) -> Vec<&str> {
    let is_outcome = |name: &str| !name.contains("batch_job") && !name.contains("push_");
    let held = stored.iter().filter(|(name, value)| is_outcome(name) && **value > 0.5);
    held.map(|(outcome, _)| outcome.as_str()).collect()
}

/// Disks as jobs meet them: one that is full, one that nobody may write to.
#[test]
fn a_disk_that_takes_nothing_costs_one_warning_and_no_outcome() {
    let gateway = Pushgateway::start();
    let full = "mount -t tmpfs -o size=64k none \"$0\" && ! cat /dev/zero >\"$0/full\" 2>/dev/null";
    let read_only = "mount -t tmpfs -o ro none \"$0\"";
    for (name, disk) in [("full", full), ("read-only", read_only)] {
        let state = StateDir::new();
        let script = format!("{disk} && exec \"$@\"");
        let place = state.path().to_str().unwrap();
        std::fs::create_dir_all(place).unwrap();
        for (ending, outcome) in [("ok", "success"), ("err", "error")] {
            let start = job(Panics::Unwind, &[ending]).gateway(&gateway.url());
            let start = start.variable("METRICS_PUSH_JOB", format!("{name}-{ending}"));
            let start = start.variable("METRICS_PUSH_STATE_DIR", place);
            let start = start.within(&["unshare", "--mount", "sh", "-c", &script, place]);
            let ended = start.run_to_end();
            ended.assert_same_as(&job(Panics::Unwind, &[ending]).run_to_end());
            assert_eq!(
                held(&stored(&gateway, &format!("{name}-{ending}"))),
                [outcome],
                "{ended:?}"
            );
            assert_eq!(ended.notices.len(), 1, "{name}: {:?}", ended.notices);
        }
    }
}
