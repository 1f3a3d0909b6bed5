//! Rings of real gateways: changes while jobs run, killed jobs, and the command.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics_push::prometheus::Registry;
use metrics_push::{Config, Gateway, GroupingKey, Job, Outcome, StoredGroup};

use crate::child::{PanicStrategy, job};
use crate::cli::metrics_push_program;
use crate::programs::command;
use crate::real::{Directory, Prometheus, Pushgateway};

const TIMEOUT: Duration = Duration::from_secs(60);

const SUCCESS: &str = "batch_job_last_success_timestamp_seconds";

/// The URL of the ring of these gateways.
fn ring(gateways: &[Pushgateway]) -> String {
    let hosts: Vec<_> = gateways.iter().map(|gateway| gateway.address().to_string()).collect();
    format!("shards+http://{}", hosts.join(";"))
}

/// The groups of a gateway, except the one that this function pushes: the gateway deletes asynchronously, and responds to a
/// later push after the deletion.
fn groups(gateway: &Pushgateway) -> Vec<StoredGroup> {
    let client = Gateway::new(gateway.url()).unwrap();
    client.add(&GroupingKey::new("last").unwrap(), &"last 1".parse().unwrap()).unwrap();
    let mut groups = client.metrics().unwrap();
    groups.retain(|group| group.labels["job"] != "last");
    groups
}

/// The groups of each job on all gateways, with the index of the gateway.
fn groups_by_job(gateways: &[Pushgateway]) -> BTreeMap<String, Vec<(usize, StoredGroup)>> {
    let mut jobs: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (index, gateway) in gateways.iter().enumerate() {
        for group in groups(gateway) {
            jobs.entry(group.labels["job"].clone()).or_default().push((index, group));
        }
    }
    jobs
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn empty_registry() -> &'static Registry {
    static EMPTY: OnceLock<Registry> = OnceLock::new();
    EMPTY.get_or_init(Registry::new)
}

const WORKERS: usize = 4;
const JOBS_OF_EACH: usize = 12;
/// The first round of each ring. A worker is up to one round behind, so that two rings are in use at the same time.
const FIRST_ROUNDS: [usize; 3] = [0, 4, 8];
const ROUNDS: usize = 12;

/// Runs the jobs of one worker, each time as another process would: with its own configuration. Returns for each job whether
/// its last run succeeded, and when its last success began and ended.
fn work(worker: usize, rings: &[String; 3], state: &Path) -> BTreeMap<String, (bool, f64, f64)> {
    let mut ends = BTreeMap::new();
    for round in 0..ROUNDS {
        let is_behind = worker % 2;
        let ring = FIRST_ROUNDS.iter().rposition(|first| round >= first + is_behind).unwrap_or(0);
        for number in 0..JOBS_OF_EACH {
            let config = Config::default().url(&rings[ring]).unwrap().timeout(TIMEOUT);
            let _scope = config.state_dir(state).scope().unwrap();
            let name = format!("job_{worker}_{number}");
            let job = Job::with_name(name.clone()).registry(empty_registry).whole_process();
            let succeeds = (round * 7 + number) % 5 < 2;
            let started = now();
            job.start().finish(if succeeds { Outcome::Success } else { Outcome::Error });
            let end = ends.entry(name).or_insert((false, 0.0, 0.0));
            *end = if succeeds { (true, started, now()) } else { (false, end.1, end.2) };
        }
    }
    ends
}

#[test]
fn ring_grows_and_shrinks_under_load_without_losing_a_success() {
    let gateways: [_; 4] = std::array::from_fn(|_| Pushgateway::start());
    let targets: Vec<_> = gateways.iter().map(|it| format!("'{}'", it.address())).collect();
    let prometheus = Prometheus::started(&format!(
        "global:\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\nscrape_configs:\n\
         - job_name: pushgateway\n  honor_labels: true\n  static_configs:\n  - targets: [{}]\n",
        targets.join(", ")
    ));
    let rings = [ring(&gateways[..3]), ring(&gateways), ring(&gateways[2..])];
    let state = Directory::new("shards");
    let ends: BTreeMap<_, _> = thread::scope(|scope| {
        let (rings, state) = (&rings, state.path());
        let workers: Vec<_> =
            (0..WORKERS).map(|worker| scope.spawn(move || work(worker, rings, state))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let jobs = groups_by_job(&gateways);
    assert_eq!(jobs.len(), WORKERS * JOBS_OF_EACH);
    for (name, (succeeded, started, finished)) in &ends {
        let [(shard, group)] = &jobs[name][..] else { panic!("{name}: {:?}", jobs[name]) };
        assert!(*shard >= 2, "{name} is on a removed shard");
        let success = group.value(SUCCESS, &[]).unwrap_or_else(|| panic!("{name}: {group:?}"));
        assert!(success >= *started && success <= *finished, "{name}: {success} {started}");
        let is_success = group.value("batch_job_last_run_success", &[]);
        assert_eq!(is_success, Some(f64::from(*succeeded)), "{name}");
    }
    let sizes: Vec<_> = gateways.iter().map(|gateway| groups(gateway).len()).collect();
    assert!(sizes[2] > 0 && sizes[3] > 0, "{sizes:?}");
    // A group on two targets would change between two scrapes.
    let query = "count(resets(push_time_seconds[1s]) == 0)";
    let count = ends.len() as f64;
    prometheus.wait_for(query, |result| result.first().is_some_and(|(_, value)| *value == count));
}

#[test]
fn run_that_was_killed_before_a_change_of_the_ring_is_reported_after_it() {
    let gateways: [_; 3] = std::array::from_fn(|_| Pushgateway::start());
    let state = Directory::new("shards");
    let run = |name: &str, ring: String, ending: &str| {
        let command = job(PanicStrategy::Unwind, &[ending]).gateway(&ring);
        let command = command.variable("METRICS_PUSH_JOB", name);
        command.variable("METRICS_PUSH_STATE_DIR", state.path()).run_to_end()
    };
    let names: Vec<_> = (0..6).map(|number| format!("killed_{number}")).collect();
    for name in &names {
        run(name, ring(&gateways[..2]), "kill");
    }
    assert!(run("next", ring(&gateways), "ok").status.success());
    let jobs = groups_by_job(&gateways);
    for name in &names {
        let [(_, group)] = &jobs[name][..] else { panic!("{name}: {:?}", jobs[name]) };
        let outcome = group.value("batch_job_last_run_outcome", &[("outcome", "abandoned")]);
        assert_eq!(outcome, Some(1.0), "{name}: {group:?}");
    }
}

#[test]
fn command_prunes_misplaced_copies_and_shows_each_group_once() {
    let gateways: [_; 3] = std::array::from_fn(|_| Pushgateway::start());
    const JOBS: usize = 12;
    for ring in [ring(&gateways[..2]), ring(&gateways)] {
        // Without a state directory, the copies remain.
        let _scope = Config::default().url(ring).unwrap().timeout(TIMEOUT).scope().unwrap();
        for number in 0..JOBS {
            let job = Job::with_name(format!("copied_{number}")).registry(empty_registry);
            job.whole_process().start().finish(Outcome::Success);
        }
    }
    let moved = groups(&gateways[2]).len();
    let metrics_push = |arguments: &[&str]| {
        let mut command = command(metrics_push_program());
        command.args(arguments).env("METRICS_PUSH_URL", ring(&gateways)).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(metrics_push(&["status"]).matches("copied_").count(), JOBS);
    let pruned = metrics_push(&["prune", "--misplaced", "--dry-run"]);
    assert!(pruned.contains(&format!("Would remove {moved} group")), "{pruned}");
    let pruned = metrics_push(&["prune", "--misplaced"]);
    let expected = format!("Removed {moved} group");
    assert!(pruned.contains(&expected) && pruned.contains(&ring(&gateways)[..20]), "{pruned}");
    assert!(groups_by_job(&gateways).values().all(|copies| copies.len() == 1));
    metrics_push(&["delete", "--job", "copied_0"]);
    assert_eq!(groups_by_job(&gateways).len(), JOBS - 1);
}
