//! The messages of runs without faults.

use rdkafka::message::Timestamp;

use crate::child::ending;
use crate::cluster::Cluster;

#[test]
fn run_is_reported_in_messages_of_its_group() {
    let cluster = Cluster::start(1);
    let finished = ending("nightly", &cluster.url(), &["ok"])
        .variable("METRICS_PUSH_GROUPING", "region=eu")
        .run_to_end();
    assert!(finished.status.success() && finished.log_lines.is_empty(), "{finished:?}");
    let outcomes = cluster.outcomes();
    let [message] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(message.key, "/metrics/job/nightly/region/eu");
    assert_eq!((message.verb(), message.outcome()), ("push", Some("success")));
    assert_eq!(message.headers["content-type"], "text/plain; version=0.0.4");
    assert_eq!(message.id().len(), 32);
    let created_at = i64::try_from(message.created_at()).unwrap();
    assert_eq!(message.timestamp, Timestamp::CreateTime(created_at));
    assert_eq!(message.series("batch_job_last_run_records{result=\"processed\"}"), Some(7.0));
}

#[test]
fn failed_run_is_reported_as_an_add() {
    let cluster = Cluster::start(1);
    for (arguments, outcome) in
        [(["err"], "error"), (["panic"], "panic"), (["exit-3"], "exit_code")]
    {
        ending(outcome, &cluster.url(), &arguments).run_to_end();
        let outcomes = cluster.outcomes();
        let message = outcomes.iter().find(|message| message.outcome() == Some(outcome)).unwrap();
        assert_eq!(message.verb(), "add", "{message:?}");
    }
}

#[test]
fn partition_of_a_group_is_that_of_java_clients() {
    let cluster = Cluster::start(1);
    ending("nightly", &cluster.url(), &["ok"]).run_to_end();
    let outcomes = cluster.outcomes();
    assert_eq!((outcomes[0].key.as_str(), outcomes[0].partition), ("/metrics/job/nightly", 0));
}

#[test]
fn formats_of_other_consumers_have_one_message_per_request() {
    let cluster = Cluster::start(1);
    let url = format!("{}?format=influx", cluster.url());
    ending("nightly", &url, &["ok"]).run_to_end();
    let messages = cluster.messages();
    let message = messages.last().unwrap();
    let lines = message.value.as_deref().unwrap();
    assert!(lines.lines().all(|line| line.contains("job=nightly")), "{lines}");
    assert!(lines.ends_with(&format!(" {}\n", message.created_at())), "{lines}");
}
