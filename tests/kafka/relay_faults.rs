//! Relays with failing brokers and sinks, and relays that end while they deliver.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::cluster::Cluster;
use crate::relay_process::RelayProcess;
use crate::state_dir::StateDir;
use crate::wait::wait_until;
use crate::writer::{Writer, wait_for_values};

const GROUPS: u64 = 20;

#[test]
fn relay_retries_after_an_error_of_any_request() {
    use RDKafkaRespErr::*;

    const COORDINATOR: &[RDKafkaRespErr] = &[
        RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        RD_KAFKA_RESP_ERR__TRANSPORT,
    ];
    const MEMBER: &[RDKafkaRespErr] = &[
        RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
        RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
        RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
        RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        RD_KAFKA_RESP_ERR__TRANSPORT,
    ];
    const LEADER: &[RDKafkaRespErr] = &[
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
        RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        RD_KAFKA_RESP_ERR__TRANSPORT,
    ];
    let requests = [
        (RDKafkaApiKey::ApiVersion, &[RD_KAFKA_RESP_ERR__TRANSPORT][..]),
        (
            RDKafkaApiKey::Metadata,
            &[RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR__TRANSPORT],
        ),
        (RDKafkaApiKey::FindCoordinator, COORDINATOR),
        (RDKafkaApiKey::JoinGroup, MEMBER),
        (RDKafkaApiKey::SyncGroup, MEMBER),
        (RDKafkaApiKey::Heartbeat, MEMBER),
        (RDKafkaApiKey::LeaveGroup, COORDINATOR),
        (RDKafkaApiKey::OffsetFetch, COORDINATOR),
        (RDKafkaApiKey::OffsetCommit, MEMBER),
        (RDKafkaApiKey::ListOffsets, &[LEADER[0], LEADER[3]]),
        (RDKafkaApiKey::Fetch, LEADER),
    ];
    thread::scope(|scope| {
        for (request, errors) in requests {
            let named = thread::Builder::new().name(format!("{request:?}"));
            named.spawn_scoped(scope, move || deliver_despite(request, errors)).unwrap();
        }
    });
}

/// Delivers messages while the brokers respond with errors, before the relay has joined its group and afterwards.
fn deliver_despite(request: RDKafkaApiKey, errors: &[RDKafkaRespErr]) {
    let (cluster, gateway) = (Cluster::start(1), FakeGateway::start());
    let writer = Writer::new(&cluster);
    writer.add_to_all(GROUPS, 1);
    cluster.mock.request_errors(request, errors);
    let relay = RelayProcess::start(&cluster, &gateway.url());
    wait_for_values(&gateway, GROUPS, |_| 1);
    cluster.mock.request_errors(request, errors);
    writer.add_to_all(GROUPS, 2);
    wait_for_values(&gateway, GROUPS, |_| 2);
    let (status, errors) = relay.terminate();
    assert!(status.success(), "{request:?}: {errors}");
    cluster.mock.clear_request_errors(request);
    let relay = RelayProcess::start(&cluster, &gateway.url());
    writer.add_to_all(GROUPS, 3);
    wait_for_values(&gateway, GROUPS, |_| 3);
    relay.terminate();
}

#[test]
fn dead_sink_gets_what_the_other_one_has_accepted_already() {
    let (cluster, gateway, dead) = (Cluster::start(1), FakeGateway::start(), FakeGateway::start());
    let writer = Writer::new(&cluster);
    dead.refuse_connections();
    let urls = [gateway.url(), dead.url()].join(",");
    let relay = RelayProcess::start(&cluster, &urls);
    for value in 1..4 {
        writer.add_to_all(GROUPS, value);
        wait_for_values(&gateway, GROUPS, |_| value);
    }
    relay.wait_for(|metrics| metrics["deliveries_total{result=\"failed\"}"] >= GROUPS);
    assert_eq!(relay.metrics()["pending_messages"], 3 * GROUPS);
    relay.terminate();
    // Nothing is committed, so the next relay delivers all messages.
    dead.accept_connections();
    let relay = RelayProcess::start(&cluster, &urls);
    wait_for_values(&dead, GROUPS, |_| 3);
    relay.wait_for(|metrics| metrics["messages_total{result=\"accepted\"}"] == 3 * GROUPS);
    relay.wait_for(|metrics| metrics["pending_messages"] == 0);
}

#[test]
fn relay_stores_what_a_dead_and_a_refusing_sink_do_not_accept() {
    let (cluster, state) = (Cluster::start(1), StateDir::new());
    let [accepting, dead, refusing] = [(); 3].map(|()| FakeGateway::start());
    let sinks = [&accepting, &dead, &refusing];
    let urls = sinks.map(FakeGateway::url).join(",");
    dead.refuse_connections();
    refusing.fault(Fault::status(400));
    let writer = Writer::new(&cluster);
    let write = |value: u64| {
        for number in 0..GROUPS {
            let text = format!("batch_job_last_run_success 1\nvalue {value}\n");
            writer.write(&format!("group_{number}"), &format!("{number} {value}"), &text);
        }
        writer.flush();
    };
    write(1);
    let relay = RelayProcess::with_state(&cluster, &urls, state.path());
    relay.wait_for(|metrics| metrics["deliveries_total{result=\"spooled\"}"] == 2 * GROUPS);
    relay.terminate();
    wait_for_values(&accepting, GROUPS, |_| 1);
    dead.accept_connections();
    refusing.heal();
    // A delivery shows that the sinks respond again. The other groups follow from the disk.
    let relay = RelayProcess::with_state(&cluster, &urls, state.path());
    writer.write("another_group", "another", "value 1\n");
    writer.flush();
    let has_outcome = |gateway: &FakeGateway| {
        (0..GROUPS).all(|number| {
            let group = gateway.find_group(&format!("group_{number}"), &[]);
            group.is_some_and(|it| it.get("batch_job_last_run_success", &[]) == Some(1.0))
        })
    };
    let have_outcomes = || sinks.iter().all(|gateway| has_outcome(gateway));
    wait_until(|| have_outcomes().then_some(()).ok_or("a sink lacks outcomes"));
    assert_eq!(relay.metrics()["messages_total{result=\"accepted\"}"], 1);
}

#[test]
fn terminated_relays_lose_and_repeat_nothing() {
    let (cluster, gateway) = (Cluster::start(1), FakeGateway::start());
    // Some deliveries are in flight when a relay ends.
    gateway.fault(Fault::stall(Duration::from_millis(50)));
    let writer = Writer::new(&cluster);
    for value in 1..6 {
        let relay = RelayProcess::start(&cluster, &gateway.url());
        relay.wait_for(|metrics| metrics["partitions"] == 4);
        writer.add_to_all(GROUPS, value);
        thread::sleep(Duration::from_millis(value * 20));
        let (status, errors) = relay.terminate();
        assert!(status.success() && errors.is_empty(), "{status} {errors}");
    }
    let _relay = RelayProcess::start(&cluster, &gateway.url());
    wait_for_values(&gateway, GROUPS, |_| 5);
    let mut delivered = BTreeSet::new();
    for request in gateway.requests().into_iter().filter(|request| request.method == "POST") {
        let is_new = delivered.insert((request.path.clone(), request.body.clone()));
        assert!(is_new, "{request:?} is repeated");
    }
}

#[test]
fn gateway_that_hangs_does_not_delay_the_end_of_a_relay() {
    let (cluster, gateway) = (Cluster::start(1), FakeGateway::start());
    gateway.fault(Fault::hang());
    let writer = Writer::new(&cluster);
    let timeout = ("METRICS_PUSH_TIMEOUT", "2s");
    let relay = RelayProcess::with_variables(&cluster, &gateway.url(), &[timeout]);
    writer.add_to_all(GROUPS, 1);
    relay.wait_for(|metrics| metrics["pending_groups"] == GROUPS);
    let started = Instant::now();
    let (status, errors) = relay.terminate();
    assert!(status.success(), "{status} {errors}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    gateway.heal();
    let _relay = RelayProcess::start(&cluster, &gateway.url());
    wait_for_values(&gateway, GROUPS, |_| 1);
}

#[test]
fn terminated_relay_leaves_its_group() {
    let (cluster, gateway) = (Cluster::start(1), FakeGateway::start());
    for _ in 0..2 {
        let relay = RelayProcess::start(&cluster, &gateway.url());
        let started = Instant::now();
        relay.wait_for(|metrics| metrics["partitions"] == 4);
        // The brokers wait for three seconds for the first member of a group. They remove a dead member after ten, and its
        // successor then waits for further nine.
        assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
        relay.terminate();
    }
}

#[test]
fn relays_that_join_and_leave_lose_nothing() {
    let (cluster, gateway) = (Cluster::start(1), FakeGateway::start());
    gateway.fault(Fault::stall(Duration::from_millis(10)));
    let writer = Writer::new(&cluster);
    let mut relays = vec![RelayProcess::start(&cluster, &gateway.url())];
    relays[0].wait_for(|metrics| metrics["partitions"] == 4);
    for value in 1..5 {
        relays.push(RelayProcess::start(&cluster, &gateway.url()));
        for step in 0..20 {
            writer.add_to_all(GROUPS, 100 * value + step);
            thread::sleep(Duration::from_millis(50));
        }
        let leaving = relays.remove(0);
        if value % 2 == 0 { leaving.kill() } else { drop(leaving.terminate()) }
    }
    wait_for_values(&gateway, GROUPS, |_| 419);
}

#[test]
fn sink_that_no_process_listens_for_is_reported_once() {
    let cluster = Cluster::start(1);
    let writer = Writer::new(&cluster);
    writer.add_to_all(GROUPS, 1);
    let started = Instant::now();
    let relay = RelayProcess::start(&cluster, "http://127.0.0.1:9");
    relay.wait_for(|metrics| metrics["deliveries_total{result=\"failed\"}"] >= 3 * GROUPS);
    let (status, errors) = relay.terminate();
    // A few lines in ten seconds, however many deliveries fail.
    let max_lines = 10 + started.elapsed().as_secs() / 2;
    assert!(status.success() && (errors.lines().count() as u64) < max_lines, "{errors}");
    assert!(errors.contains("Connection refused"), "{errors}");
}
