//! Deliveries to brokers that fail.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::child::{FinishedJob, ending};
use crate::cluster::{Cluster, PARTITIONS, Received, TOPIC, without_repeated};
use crate::faketime::with_clock;
use crate::state_dir::StateDir;
use crate::wait::wait_until;

/// Returns true if a line of the library contains this text.
fn has_line(finished: &FinishedJob, text: &str) -> bool {
    finished.log_lines.iter().any(|line| line.contains(text))
}

#[test]
fn outcome_waits_on_disk_while_no_broker_listens() {
    let cluster = Cluster::start(1);
    let (state, url) = (StateDir::new(), cluster.url());
    let job = |name| {
        let job = ending("nightly", &url, &[name]).variable("METRICS_PUSH_TIMEOUT", "60s");
        job.variable("METRICS_PUSH_STATE_DIR", state.path())
    };
    cluster.mock.broker_down(-1).unwrap();
    let started = Instant::now();
    let finished = job("err").run_to_end();
    let elapsed = started.elapsed();
    assert_eq!(finished.status.code(), Some(1));
    let [line] = &finished.log_lines[..] else { panic!("{finished:?}") };
    assert!(
        line.contains("no Kafka broker is reachable")
            && line.contains("Connection refused")
            && line.contains("it is stored in"),
        "{line}"
    );
    assert!(elapsed < Duration::from_secs(8), "{elapsed:?}");
    cluster.mock.broker_up(-1).unwrap();
    assert!(job("ok").run_to_end().log_lines.is_empty());
    let outcomes = without_repeated(cluster.outcomes());
    let outcomes: Vec<_> = outcomes.iter().map(|message| message.outcome().unwrap()).collect();
    assert_eq!(outcomes, ["error", "success"]);
}

#[test]
fn message_created_by_a_wrong_clock_has_no_future_timestamp() {
    let cluster = Cluster::start(1);
    let (state, url) = (StateDir::new(), cluster.url());
    let job =
        |name| ending("nightly", &url, &[name]).variable("METRICS_PUSH_STATE_DIR", state.path());
    cluster.mock.broker_down(-1).unwrap();
    with_clock(job("err"), "+2h").run_to_end();
    cluster.mock.broker_up(-1).unwrap();
    assert!(job("ok").run_to_end().log_lines.is_empty());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let outcomes = without_repeated(cluster.outcomes());
    let times = outcomes.iter().map(|message| message.timestamp.to_millis().unwrap());
    assert!(times.clone().all(|time| u128::try_from(time).unwrap() <= now), "{outcomes:?}");
    assert!(u128::from(outcomes[0].created_at()) > now, "{outcomes:?}");
    assert_eq!(times.count(), 2);
}

#[test]
fn broker_that_returns_within_the_timeout_stores_the_outcome_once() {
    let cluster = Cluster::start(1);
    cluster.mock.broker_down(-1).unwrap();
    let job = ending("nightly", &cluster.url(), &["ok"]).start();
    std::thread::sleep(Duration::from_millis(700));
    cluster.mock.broker_up(-1).unwrap();
    let finished = job.wait();
    assert!(finished.log_lines.is_empty(), "{finished:?}");
    let outcomes = cluster.outcomes();
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
}

#[test]
fn lost_acknowledgement_does_not_repeat_the_outcome() {
    let cluster = Cluster::start(1);
    // The broker stores the message at once, and its response is delayed.
    let job = ending("nightly", &cluster.url(), &["wait-for-input"]).with_input().start();
    let mut job = job.ready();
    std::thread::sleep(Duration::from_millis(1_000));
    cluster.mock.broker_round_trip_time(-1, Duration::from_secs(2)).unwrap();
    job.close_input();
    std::thread::sleep(Duration::from_millis(700));
    cluster.mock.broker_down(-1).unwrap();
    cluster.mock.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    cluster.mock.broker_up(-1).unwrap();
    let finished = job.wait();
    assert!(!has_line(&finished, "is lost"), "{finished:?}");
    // The mock broker does not compare sequence numbers, and stores the message twice.
    let outcomes = cluster.outcomes();
    assert_eq!(without_repeated(outcomes.clone()).len(), 1, "{outcomes:?}");
}

#[test]
fn leader_that_moves_gets_the_messages() {
    let cluster = Cluster::start(3);
    for leader in [1, 2, 3, 1] {
        for partition in 0..PARTITIONS {
            cluster.mock.partition_leader(TOPIC, partition, Some(leader)).unwrap();
        }
        let finished = ending("nightly", &cluster.url(), &["ok"]).run_to_end();
        assert!(finished.log_lines.is_empty(), "{finished:?}");
    }
    assert_eq!(cluster.outcomes().len(), 4);
}

#[test]
fn leader_that_moves_during_a_run_gets_its_outcome() {
    let cluster = Cluster::start(3);
    let mut job =
        ending("nightly", &cluster.url(), &["wait-for-input"]).with_input().start().ready();
    for leader in [2, 3, 1] {
        for partition in 0..PARTITIONS {
            cluster.mock.partition_leader(TOPIC, partition, Some(leader)).unwrap();
        }
    }
    job.close_input();
    let finished = job.wait();
    assert!(finished.log_lines.is_empty(), "{finished:?}");
    assert_eq!(cluster.outcomes().len(), 1);
}

#[test]
fn error_of_any_request_is_retried() {
    use RDKafkaRespErr::*;

    for (request, errors) in [
        (RDKafkaApiKey::ApiVersion, &[RD_KAFKA_RESP_ERR__TRANSPORT][..]),
        (
            RDKafkaApiKey::Metadata,
            &[RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR__TRANSPORT],
        ),
        (
            RDKafkaApiKey::InitProducerId,
            &[RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR__TRANSPORT],
        ),
        (
            RDKafkaApiKey::Produce,
            &[
                RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                RD_KAFKA_RESP_ERR__TRANSPORT,
                RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            ],
        ),
    ] {
        let cluster = Cluster::start(1);
        cluster.mock.request_errors(request, errors);
        let finished = ending("nightly", &cluster.url(), &["ok"]).run_to_end();
        assert!(finished.log_lines.is_empty(), "{request:?}: {finished:?}");
        assert_eq!(without_repeated(cluster.outcomes()).len(), 1, "{request:?}");
    }
}

#[test]
fn brokers_without_producer_ids_get_the_outcome_and_one_warning() {
    let unsupported = Cluster::start(1);
    unsupported.mock.apiversion(RDKafkaApiKey::InitProducerId, None, None).unwrap();
    let refusing = Cluster::start(1);
    let refusals = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN; 20];
    refusing.mock.request_errors(RDKafkaApiKey::InitProducerId, &refusals);
    for cluster in [unsupported, refusing] {
        let finished = ending("nightly", &cluster.url(), &["ok"]).run_to_end();
        assert!(has_line(&finished, "do not assign producer ids"), "{finished:?}");
        assert!(!has_line(&finished, "is lost"), "{finished:?}");
        assert_eq!(cluster.outcomes().len(), 1);
    }
}

#[test]
fn message_that_is_too_large_is_reduced_to_the_outcome() {
    let cluster = Cluster::start(1);
    let error = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE];
    cluster.mock.request_errors(RDKafkaApiKey::Produce, &error);
    let finished = ending("nightly", &cluster.url(), &["ok"]).run_to_end();
    assert_eq!(finished.status.code(), Some(0));
    assert_eq!(cluster.outcomes().len(), 1, "{finished:?}");
}

/// The mock broker does not check sizes. The test makes it refuse three messages: the whole request, the outcome, and the
/// outcome without its largest detail.
#[test]
fn reduced_outcome_is_sent_before_and_after_the_other_metrics() {
    let cluster = Cluster::start(1);
    let job = ending("nightly", &cluster.url(), &["gauge=rows", "wait-for-input"]);
    let mut job = job.with_input().start().ready();
    wait_until(|| (cluster.messages().len() == 1).then_some(()).ok_or("the start is missing"));
    let errors = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 3];
    cluster.mock.request_errors(RDKafkaApiKey::Produce, &errors);
    job.close_input();
    let finished = job.wait();
    let [line] = &finished.log_lines[..] else { panic!("{finished:?}") };
    assert!(line.contains("raise max.message.bytes of the topic"), "{line}");
    let messages = cluster.messages();
    let [_start, first, others @ .., last] = &messages[..] else { panic!("{messages:?}") };
    assert!(others.iter().any(|message| message.series("rows") == Some(1.0)), "{others:?}");
    assert_eq!((first.outcome(), &first.value), (Some("success"), &last.value));
    let finished = ending("nightly", &cluster.url(), &["gauge=rows", "ok"]).run_to_end();
    assert!(finished.log_lines.is_empty(), "{finished:?}");
    let complete = cluster.outcomes().pop().unwrap();
    let families =
        |message: &Received| message.value.as_deref().unwrap().matches("# TYPE batch_job_").count();
    assert_eq!(families(last), families(&complete) - 2);
}

#[test]
fn topic_that_the_user_may_not_write_is_reported() {
    let cluster = Cluster::start(1);
    let state = StateDir::new();
    let error = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 3];
    cluster.mock.request_errors(RDKafkaApiKey::Produce, &error);
    let finished = ending("nightly", &cluster.url(), &["ok"])
        .variable("METRICS_PUSH_STATE_DIR", state.path())
        .run_to_end();
    let [line] = &finished.log_lines[..] else { panic!("{finished:?}") };
    assert!(line.contains("allow the user to write to the topic"), "{line}");
}

#[test]
fn brokers_that_never_respond_do_not_delay_a_job_beyond_its_timeout() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("kafka://{}", listener.local_addr().unwrap());
    let started = Instant::now();
    let finished =
        ending("nightly", &url, &["ok"]).variable("METRICS_PUSH_TIMEOUT", "2s").run_to_end();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(finished.status.code(), Some(0));
    assert!(has_line(&finished, "is lost"), "{finished:?}");
}
