//! What a compacted topic stores: the last message of each group.

use metrics_push::Gateway;

use crate::child::ending;
use crate::cluster::{Cluster, Received};
use crate::real::Pushgateway;
use crate::relay_process::RelayProcess;
use crate::state_dir::StateDir;
use crate::wait::wait_until;
use crate::writer::Writer;

const LAST_SUCCESS: &str = "batch_job_last_success_timestamp_seconds";
const LAST_FAILURE: &str = "batch_job_last_failure_timestamp_seconds";

/// Runs a job of the group `nightly` with this ending, on the machine with this state directory.
fn run(cluster: &Cluster, machine: &StateDir, arguments: &[&str]) -> Received {
    let command = ending("nightly", &cluster.url(), arguments);
    let finished = command.variable("METRICS_PUSH_STATE_DIR", machine.path()).run_to_end();
    assert!(finished.log_lines.is_empty(), "{finished:?}");
    last_message(cluster)
}

/// Returns what a compacted topic with one group stores.
fn last_message(cluster: &Cluster) -> Received {
    cluster.messages().pop().unwrap()
}

#[test]
fn last_message_of_a_group_has_the_times_of_earlier_runs() {
    let (cluster, machine) = (Cluster::start(1), StateDir::new());
    let succeeded = run(&cluster, &machine, &["ok"]);
    assert!(!succeeded.headers.contains_key("retained"), "{succeeded:?}");
    let failed = run(&cluster, &machine, &["err"]);
    let success = succeeded.series(LAST_SUCCESS);
    assert!(success.is_some() && failed.series(LAST_SUCCESS) == success, "{failed:?}");
    assert_eq!(failed.headers["retained"], LAST_SUCCESS);
    // A run that never ends leaves the message of its start.
    let count = cluster.messages().len();
    let running = ending("nightly", &cluster.url(), &["wait-for-input"])
        .variable("METRICS_PUSH_STATE_DIR", machine.path())
        .with_input()
        .start()
        .ready();
    let has_start = || cluster.messages().len() > count;
    wait_until(|| has_start().then_some(()).ok_or("the start is not in the topic"));
    running.kill();
    running.wait();
    let started = last_message(&cluster);
    assert_eq!(started.outcome(), None);
    assert_eq!(started.series(LAST_SUCCESS), success);
    assert_eq!(started.series(LAST_FAILURE), failed.series(LAST_FAILURE));
    assert_eq!(started.headers["retained"], [LAST_FAILURE, LAST_SUCCESS].join(","));
}

/// Waits until a gateway has the failure of a message, and returns its last success.
#[track_caller]
fn last_success_with(gateway: &Pushgateway, failed: &Received) -> Option<f64> {
    let query = Gateway::new(gateway.url()).unwrap();
    wait_until(|| {
        let groups = query.metrics().unwrap();
        let value = |name| groups.first().and_then(|group| group.value(name, &[]));
        if value(LAST_FAILURE) == failed.series(LAST_FAILURE) {
            return Ok(value(LAST_SUCCESS));
        }
        Err(groups)
    })
}

#[test]
fn relay_restores_a_group_from_its_last_message() {
    let (cluster, machine, gateway) = (Cluster::start(1), StateDir::new(), Pushgateway::start());
    let succeeded = run(&cluster, &machine, &["ok"]);
    let failed = run(&cluster, &machine, &["err"]);
    let compacted = Cluster::start(1);
    let writer = Writer::new(&compacted);
    writer.copy(&failed);
    writer.flush();
    let _relay = RelayProcess::start(&compacted, &gateway.url());
    assert_eq!(last_success_with(&gateway, &failed), succeeded.series(LAST_SUCCESS));
}

#[test]
fn times_of_earlier_runs_replace_no_newer_ones_of_another_machine() {
    let (cluster, gateway) = (Cluster::start(1), Pushgateway::start());
    let [first, second] = [StateDir::new(), StateDir::new()];
    run(&cluster, &first, &["ok"]);
    let newest = run(&cluster, &second, &["ok"]).series(LAST_SUCCESS);
    let failed = run(&cluster, &first, &["err"]);
    let relay = RelayProcess::start(&cluster, &gateway.url());
    assert_eq!(last_success_with(&gateway, &failed), newest);
    relay.wait_for(|metrics| metrics["pending_messages"] == 0);
    relay.terminate();
    // The first message that a relay reads is that of the machine with the older success.
    let failed = run(&cluster, &first, &["err"]);
    let _relay = RelayProcess::start(&cluster, &gateway.url());
    assert_eq!(last_success_with(&gateway, &failed), newest);
}
