//! The relay from a topic to Pushgateways.

use std::time::Duration;

use metrics_push::testing::{FakeGateway, Fault};

use crate::child::ending;
use crate::cluster::Cluster;
use crate::real::Pushgateway;
use crate::relay_process::RelayProcess;
use crate::state_dir::StateDir;
use crate::wait::wait_until;
use crate::writer::{Writer, wait_for_values};

const DELIVERED: &str = "deliveries_total{result=\"delivered\"}";
const ACCEPTED: &str = "messages_total{result=\"accepted\"}";

#[test]
fn relay_delivers_the_runs_of_jobs_to_a_pushgateway() {
    let (cluster, gateway) = (Cluster::start(1), Pushgateway::start());
    for arguments in [["ok"], ["err"]] {
        ending("nightly", &cluster.url(), &arguments).run_to_end();
    }
    let relay = RelayProcess::start(&cluster, &gateway.url());
    let query = metrics_push::Gateway::new(gateway.url()).unwrap();
    let group = wait_until(|| {
        let groups = query.metrics().unwrap();
        let is_last = |name| groups.first().is_some_and(|group| group.value(name, &[]).is_some());
        if is_last("batch_job_last_failure_timestamp_seconds") {
            return Ok(groups.into_iter().next().unwrap());
        }
        Err(groups)
    });
    assert_eq!(group.value("batch_job_last_run_success", &[]), Some(0.0));
    assert!(group.value("batch_job_last_success_timestamp_seconds", &[]).is_some());
    relay.wait_for(|metrics| metrics["partitions"] == 4 && metrics["pending_messages"] == 0);
    let (status, errors) = relay.terminate();
    assert!(status.success() && errors.is_empty(), "{status} {errors}");
    // Nothing is read twice after a clean end.
    let relay = RelayProcess::start(&cluster, &gateway.url());
    relay.wait_for(|metrics| metrics["partitions"] == 4);
    let writer = Writer::new(&cluster);
    writer.add("other", 1);
    writer.flush();
    relay.wait_for(|metrics| metrics[DELIVERED] == 1);
    assert_eq!(relay.metrics()[ACCEPTED], 1);
}

#[test]
fn relay_skips_repeated_messages_and_those_that_are_no_requests() {
    let (cluster, gateway) = (Cluster::start(1), FakeGateway::start());
    let writer = Writer::new(&cluster);
    writer.write("a", "same", "value 1\n");
    writer.write("a", "same", "value 1\n");
    writer.write("a", "other", "{\"value\": 2}");
    writer.write("a", "last", "value 3\n");
    writer.flush();
    let relay = RelayProcess::start(&cluster, &gateway.url());
    relay.wait_for(|metrics| metrics["messages_total{result=\"invalid\"}"] == 1);
    relay.wait_for(|metrics| metrics[ACCEPTED] == 2 && metrics["pending_messages"] == 0);
    assert_eq!(relay.metrics()["messages_total{result=\"duplicate\"}"], 1);
    assert_eq!(gateway.group("a", &[]).value("value", &[]), 3.0);
    let (status, errors) = relay.terminate();
    assert!(status.success() && errors.contains("a message of the topic is skipped"), "{errors}");
}

#[test]
fn relay_without_state_directory_reads_again_what_no_gateway_accepted() {
    let (cluster, gateway) = (Cluster::start(1), FakeGateway::start());
    let writer = Writer::new(&cluster);
    writer.add_to_all(5, 1);
    let relay = RelayProcess::start(&cluster, "http://127.0.0.1:9");
    relay.wait_for(|metrics| metrics["deliveries_total{result=\"failed\"}"] > 0);
    assert_eq!(relay.metrics()[DELIVERED], 0);
    relay.terminate();
    let _relay = RelayProcess::start(&cluster, &gateway.url());
    wait_for_values(&gateway, 5, |_| 1);
}

#[test]
fn relay_with_state_directory_commits_what_it_has_spooled() {
    let (cluster, gateway, state) = (Cluster::start(1), FakeGateway::start(), StateDir::new());
    let writer = Writer::new(&cluster);
    (0..5).for_each(|number| writer.add(&format!("group_{number}"), number));
    writer.flush();
    gateway.refuse_connections();
    let relay = RelayProcess::with_state(&cluster, &gateway.url(), state.path());
    relay.wait_for(|metrics| metrics["deliveries_total{result=\"spooled\"}"] == 5);
    relay.terminate();
    gateway.accept_connections();
    let relay = RelayProcess::with_state(&cluster, &gateway.url(), state.path());
    // The first delivery shows that the gateway responds, and the others follow from the disk.
    writer.add("group_0", 7);
    writer.flush();
    wait_for_values(&gateway, 5, |number| if number == 0 { 7 } else { number });
    assert_eq!(relay.metrics()[ACCEPTED], 1);
}

#[test]
fn relay_merges_the_requests_of_a_group_while_it_is_behind() {
    let (cluster, gateway) = (Cluster::start(1), FakeGateway::start());
    let writer = Writer::new(&cluster);
    for value in 0..200 {
        (0..3).for_each(|number| writer.add(&format!("group_{number}"), value));
    }
    writer.flush();
    gateway.fault(Fault::stall(Duration::from_secs(1)));
    let relay = RelayProcess::start(&cluster, &gateway.url());
    wait_for_values(&gateway, 3, |_| 199);
    assert_eq!(relay.metrics()[ACCEPTED], 600);
    assert!(gateway.requests().len() < 100, "{}", gateway.requests().len());
}

#[test]
fn relays_share_the_partitions_and_take_them_over() {
    let (cluster, gateway) = (Cluster::start(1), FakeGateway::start());
    let writer = Writer::new(&cluster);
    let write = |value| writer.add_to_all(20, value);
    let first = RelayProcess::start(&cluster, &gateway.url());
    first.wait_for(|metrics| metrics["partitions"] == 4);
    write(1);
    let second = RelayProcess::start(&cluster, &gateway.url());
    write(2);
    second.wait_for(|metrics| metrics["partitions"] == 2);
    write(3);
    wait_for_values(&gateway, 20, |_| 3);
    let (status, errors) = first.terminate();
    assert!(status.success(), "{errors}");
    write(4);
    second.wait_for(|metrics| metrics["partitions"] == 4);
    wait_for_values(&gateway, 20, |_| 4);
}

#[test]
fn killed_relays_lose_nothing() {
    let (cluster, gateway) = (Cluster::start(1), FakeGateway::start());
    let writer = Writer::new(&cluster);
    for value in 1..4 {
        let relay = RelayProcess::start(&cluster, &gateway.url());
        relay.wait_for(|metrics| metrics["partitions"] > 0);
        writer.add_to_all(50, value);
        relay.wait_for(|metrics| metrics[ACCEPTED] > 5 * value);
        relay.kill();
    }
    let _relay = RelayProcess::start(&cluster, &gateway.url());
    wait_for_values(&gateway, 50, |_| 3);
}
