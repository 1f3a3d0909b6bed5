//! Jobs that are killed at any moment: the next run reports what they could not.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use crate::child::ending;
use crate::cluster::{Cluster, Received, without_repeated};
use crate::state_dir::StateDir;
use crate::wait::wait_until;

const STARTED_AT: &str = "batch_job_last_start_timestamp_seconds";
pub(crate) const COMPLETED_AT: &str = "batch_job_last_completion_timestamp_seconds";
const RUNS_PER_GROUP: u32 = 3;

/// The longest time until a process is killed, in milliseconds: longer than a run and its delivery.
const MAX_DELAY: u32 = 1_400;

#[test]
fn killed_jobs_lose_and_repeat_no_outcome() {
    kill_jobs(30);
}

#[test]
#[ignore = "slow: takes a quarter of an hour"]
fn a_thousand_killed_jobs_lose_and_repeat_no_outcome() {
    kill_jobs(1_000);
}

#[test]
fn report_of_a_killed_job_repeats_the_id_of_its_delivered_outcome() {
    let cluster = Cluster::start(1);
    let (state, url) = (StateDir::new(), cluster.url());
    let job = |group: &str, arguments: &[&str]| {
        ending(group, &url, arguments).variable("METRICS_PUSH_STATE_DIR", state.path())
    };
    let killed = job("killed", &["wait-for-input"]).variable("METRICS_PUSH_TIMEOUT", "300s");
    let mut running = killed.with_input().start().ready();
    wait_until(|| (cluster.messages().len() == 1).then_some(()).ok_or("the start is missing"));
    // The broker stores the outcome at once, and its response is delayed while the job runs.
    running.signal("STOP");
    running.close_input();
    wait_until(|| {
        cluster.mock.broker_round_trip_time(-1, Duration::from_secs(60)).unwrap();
        running.signal("CONT");
        thread::sleep(Duration::from_millis(200));
        running.signal("STOP");
        cluster.mock.broker_round_trip_time(-1, Duration::ZERO).unwrap();
        if cluster.outcomes().is_empty() { Err("the outcome is missing") } else { Ok(()) }
    });
    running.kill();
    running.wait();
    job("other", &["ok"]).run_to_end();
    let outcomes: Vec<_> =
        cluster.outcomes().into_iter().filter(|it| it.key.ends_with("killed")).collect();
    let [delivered, repeated] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!((delivered.verb(), repeated.verb()), ("push", "add"));
    assert_eq!(delivered.id(), repeated.id());
}

/// Kills as many jobs, each after another delay, and checks the messages of all groups.
fn kill_jobs(count: u32) {
    let cluster = Cluster::start(1);
    let (state, url) = (StateDir::new(), cluster.url());
    let job = |group: &str, arguments: &[&str]| {
        ending(group, &url, arguments).variable("METRICS_PUSH_STATE_DIR", state.path())
    };
    let mut groups = BTreeSet::new();
    for number in 0..count {
        let group = format!("group_{}", number / RUNS_PER_GROUP);
        let running = job(&group, &["wait-a-little"]).start().ready();
        groups.insert(group);
        thread::sleep(delay_of(number));
        running.kill();
        running.wait();
    }
    // The last run delivers what the others have left.
    let finished = job("last", &["ok"]).run_to_end();
    assert!(finished.status.success(), "{finished:?}");
    let messages = messages_by_key(&cluster);
    for group in groups {
        check_group(&messages[&format!("/metrics/job/{group}")]);
    }
}

/// Returns the time until a process is killed. The times have an order without pattern, the same in each test.
pub(crate) fn delay_of(number: u32) -> Duration {
    Duration::from_millis((number.wrapping_mul(2_654_435_761) % MAX_DELAY).into())
}

/// Returns the messages of each group, without repeated ones.
pub(crate) fn messages_by_key(cluster: &Cluster) -> BTreeMap<String, Vec<Received>> {
    let mut messages: BTreeMap<String, Vec<Received>> = BTreeMap::new();
    for message in without_repeated(cluster.messages()) {
        messages.entry(message.key.clone()).or_default().push(message);
    }
    messages
}

/// Checks that the outcomes of a group are in order, that none is repeated and that the last one is there.
pub(crate) fn check_group(messages: &[Received]) {
    let times: Vec<_> = messages.iter().map(Received::created_at).collect();
    assert!(times.is_sorted(), "{messages:?}");
    // The start of a run can be in one message with the report of the run before it.
    let is_end = |message: &&Received| {
        let is_newer = |end| message.series(STARTED_AT) > Some(end);
        message.outcome().is_some() && !message.series(COMPLETED_AT).is_some_and(is_newer)
    };
    let outcomes: Vec<_> = messages.iter().filter(is_end).collect();
    let runs: BTreeSet<_> = outcomes
        .iter()
        .map(|message| message.series(COMPLETED_AT).unwrap_or_default().to_bits())
        .collect();
    assert_eq!(runs.len(), outcomes.len(), "an outcome is repeated: {messages:?}");
    let last = outcomes.last().and_then(|message| message.outcome());
    assert!(matches!(last, Some("success" | "abandoned")), "{messages:?}");
}
