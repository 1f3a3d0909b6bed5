//! Reads the groups of runs from the real gateway, and tests jobs on full and read-only disks.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::child::{PanicStrategy, job};
use crate::http::send;
use crate::real::Pushgateway;
use crate::state_dir::StateDir;

/// The values of a stored group by metric name; those of `batch_job_last_run_outcome` by outcome.
pub(crate) type Stored = BTreeMap<String, f64>;

/// The stored group of a job, empty if there is none.
pub(crate) fn stored(gateway: &Pushgateway, job: &str) -> Stored {
    stored_in(gateway, &[("job", job)])
}

/// The stored group with these labels, empty if there is none.
pub(crate) fn stored_in(gateway: &Pushgateway, labels: &[(&str, &str)]) -> Stored {
    let has = |group: &Value| labels.iter().all(|(name, value)| group["labels"][name] == *value);
    groups(gateway).iter().find(|group| has(group)).map(values).unwrap_or_default()
}

/// All stored groups by job. Each job must have one group.
pub(crate) fn stored_by_job(gateway: &Pushgateway) -> BTreeMap<String, Stored> {
    let job = |group: &Value| group["labels"]["job"].as_str().unwrap_or_default().to_owned();
    groups(gateway).iter().map(|group| (job(group), values(group))).collect()
}

fn groups(gateway: &Pushgateway) -> Vec<Value> {
    let response = send(gateway.address(), "GET", "/api/v1/metrics", b"").unwrap();
    let mut listing: Value = serde_json::from_slice(&response.body).unwrap();
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

/// The outcomes of the last run; a correct group has exactly one.
pub(crate) fn outcomes(stored: &Stored) -> Vec<&str> {
    let is_outcome = |name: &str| !name.contains("batch_job") && !name.contains("push_");
    let set = stored.iter().filter(|(name, value)| is_outcome(name) && **value > 0.5);
    set.map(|(outcome, _)| outcome.as_str()).collect()
}

#[test]
fn full_or_read_only_disk_causes_one_warning_and_no_loss() {
    let gateway = Pushgateway::start();
    let full = "mount -t tmpfs -o size=64k none \"$0\" && ! cat /dev/zero >\"$0/full\" 2>/dev/null";
    let read_only = "mount -t tmpfs -o ro none \"$0\"";
    for (name, disk) in [("full", full), ("read-only", read_only)] {
        let state = StateDir::new();
        let script = format!("{disk} && exec \"$@\"");
        let folder = state.path().to_str().unwrap();
        std::fs::create_dir_all(folder).unwrap();
        for (ending, outcome) in [("ok", "success"), ("err", "error")] {
            let command = job(PanicStrategy::Unwind, &[ending]).gateway(&gateway.url());
            let command = command.variable("METRICS_PUSH_JOB", format!("{name}-{ending}"));
            let command = command.variable("METRICS_PUSH_STATE_DIR", folder);
            let command = command.within(&["unshare", "--mount", "sh", "-c", &script, folder]);
            let ended = command.run_to_end();
            ended.assert_same_as(&job(PanicStrategy::Unwind, &[ending]).run_to_end());
            assert_eq!(
                outcomes(&stored(&gateway, &format!("{name}-{ending}"))),
                [outcome],
                "{ended:?}"
            );
            assert_eq!(ended.log_lines.len(), 1, "{name}: {:?}", ended.log_lines);
        }
    }
}
