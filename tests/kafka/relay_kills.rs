//! Jobs and relays that are killed at any moment: the gateway gets the last outcome of each group.

use std::thread;
use std::time::Duration;

use metrics_push::testing::{FakeGateway, Fault, Group};

use crate::child::ending;
use crate::cluster::{Cluster, Received};
use crate::kills::{COMPLETED_AT, check_group, delay_of, messages_by_key};
use crate::relay_process::RelayProcess;
use crate::state_dir::StateDir;
use crate::wait::wait_until;

const GROUPS: u32 = 3;

#[test]
fn killed_jobs_and_relays_lose_no_outcome() {
    kill_jobs_and_relays(3, 3);
}

#[test]
#[ignore = "slow: takes ten minutes"]
fn a_thousand_killed_jobs_and_relays_lose_no_outcome() {
    kill_jobs_and_relays(20, 25);
}

/// Kills as many jobs and relays on each of several clusters. A dead relay is replaced after ten seconds, so the clusters
/// work at the same time.
fn kill_jobs_and_relays(clusters: u32, kills: u32) {
    thread::scope(|scope| {
        for cluster in 0..clusters {
            scope.spawn(move || kill_on_one_cluster(cluster * kills, kills));
        }
    });
}

fn kill_on_one_cluster(first: u32, kills: u32) {
    let (cluster, gateway) = (Cluster::start(1), FakeGateway::start());
    // Some deliveries are in flight when a relay is killed.
    gateway.fault(Fault::stall(Duration::from_millis(50)));
    let (state, url) = (StateDir::new(), cluster.url());
    let job = |group: u32, arguments: &[&str]| {
        let command = ending(&format!("group_{group}"), &url, arguments);
        command.variable("METRICS_PUSH_STATE_DIR", state.path())
    };
    for number in first..first + kills {
        let relay = RelayProcess::start(&cluster, &gateway.url());
        // Every fourth relay is killed before it reads.
        if number % 4 != 0 {
            relay.wait_for(|metrics| metrics["partitions"] > 0);
        }
        let running = job(number % GROUPS, &["wait-a-little"]).start().ready();
        let [of_job, of_relay] = [2 * number, 2 * number + 1].map(delay_of);
        thread::scope(|scope| {
            scope.spawn(move || {
                thread::sleep(of_relay);
                relay.kill();
            });
            thread::sleep(of_job);
            running.kill();
        });
        running.wait();
    }
    // The last runs deliver what the others have left.
    for group in 0..GROUPS {
        let finished = job(group, &["ok"]).run_to_end();
        assert!(finished.status.success(), "{finished:?}");
    }
    let _relay = RelayProcess::start(&cluster, &gateway.url());
    let messages = messages_by_key(&cluster);
    for group in 0..GROUPS {
        let name = format!("group_{group}");
        let messages = &messages[&format!("/metrics/job/{name}")];
        check_group(messages);
        let last = messages.iter().rfind(|message| message.outcome().is_some()).unwrap();
        wait_for_outcome(&gateway, &name, last);
    }
}

/// Waits until the gateway has the outcome of a message.
#[track_caller]
fn wait_for_outcome(gateway: &FakeGateway, name: &str, message: &Received) {
    let has_outcome = |group: &Group| {
        let outcome = [("outcome", message.outcome().unwrap())];
        group.get("batch_job_last_run_outcome", &outcome) == Some(1.0)
            && group.get(COMPLETED_AT, &[]) == message.series(COMPLETED_AT)
    };
    wait_until(|| {
        let group = gateway.find_group(name, &[]);
        if group.as_ref().is_some_and(has_outcome) {
            return Ok(());
        }
        Err(format!("{message:?} is not in {group:?}"))
    });
}
