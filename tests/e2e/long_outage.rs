//! Finishes thousands of runs while the gateway is frozen, stopped, killed and restarted. Afterwards, the stored groups
//! must match a model of all runs.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::prometheus::Registry;
use metrics_push::{Config, Gateway, Job, Outcome};

use crate::restarting_gateway::RestartingGateway;

const JOBS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const RUNS_OF_EACH: usize = 260;
/// The number of last runs of each job that end while the gateway is stopped.
const LAST_RUNS: usize = 6;
/// Shorter than most outages, so that many runs end up in the spool.
const TIMEOUT: Duration = Duration::from_millis(400);

/// The progress of all jobs.
struct Progress {
    finished: AtomicUsize,
    /// Set when the gateway has stopped; it restarts after the last run.
    is_stopped: OnceLock<()>,
}

/// The values that the gateway must store for a job in the end.
#[derive(Debug, Default, PartialEq)]
struct Model {
    last_run: f64,
    last_success: f64,
    has_succeeded: f64,
}

fn empty_registry() -> &'static Registry {
    static EMPTY: OnceLock<Registry> = OnceLock::new();
    EMPTY.get_or_init(Registry::new)
}

/// Runs one job many times. Each run has its own configuration, as if it were a process.
fn run_all(url: &str, state: &Path, name: &'static str, progress: &Progress) -> Model {
    let mut model = Model::default();
    for number in 1..=RUNS_OF_EACH {
        if number + LAST_RUNS > RUNS_OF_EACH {
            while progress.is_stopped.get().is_none() {
                thread::sleep(Duration::from_millis(5));
            }
        }
        let config = Config::default().url(url).unwrap().state_dir(state).timeout(TIMEOUT);
        let _scope = config.scope().unwrap();
        let run = Job::new(name).registry(empty_registry).whole_process().start();
        let number_of_run = number as f64;
        run.gauge("run_number", "The number of the last run.").unwrap().set(number_of_run);
        // A fixed pattern without a relation to the outages.
        let succeeds = (number * 7 + name.len() + usize::from(name.as_bytes()[0])) % 5 < 3;
        if succeeds {
            run.gauge("success_number", "The number of the last success.")
                .unwrap()
                .set(number_of_run);
            model.last_success = number_of_run;
        }
        model.last_run = number_of_run;
        model.has_succeeded = f64::from(succeeds);
        let started = Instant::now();
        run.finish(if succeeds { Outcome::Success } else { Outcome::Error });
        let took = started.elapsed();
        assert!(took < TIMEOUT + Duration::from_secs(3), "run {number} of {name} took {took:?}");
        progress.finished.fetch_add(1, Ordering::Relaxed);
    }
    model
}

/// Freezes, stops and kills the gateway until all runs are finished, and returns how often it did each. It kills only
/// during the first third, because a killed gateway loses groups that it has already acknowledged.
fn disturb(gateway: &mut RestartingGateway, progress: &Progress) -> [usize; 3] {
    const ALL: usize = JOBS.len() * RUNS_OF_EACH;
    let mut disturbances = [0; 3];
    for step in 0_u64.. {
        let finished = progress.finished.load(Ordering::Relaxed);
        if finished + JOBS.len() * LAST_RUNS >= ALL {
            break;
        }
        thread::sleep(Duration::from_millis(60 + step * 37 % 90));
        let outage = Duration::from_millis(50 + step * 71 % 500);
        let kind = if step % 2 == 0 {
            0
        } else if finished < ALL / 3 {
            2
        } else {
            1
        };
        disturbances[kind] += 1;
        match kind {
            0 => {
                gateway.freeze();
                thread::sleep(outage);
                gateway.thaw();
            }
            1 => {
                gateway.stop();
                thread::sleep(outage);
                gateway.restart();
            }
            _ => {
                gateway.kill();
                thread::sleep(outage);
                gateway.restart();
            }
        }
    }
    // The last runs of all jobs end during an outage, so that only the spool contains them.
    gateway.stop();
    progress.is_stopped.set(()).unwrap();
    while progress.finished.load(Ordering::Relaxed) < ALL {
        thread::sleep(Duration::from_millis(20));
    }
    gateway.restart();
    disturbances
}

#[test]
fn stored_groups_match_all_runs_after_outages() {
    let mut gateway = RestartingGateway::with_persistence();
    let (url, state) = (gateway.url(), gateway.directory().join("state"));
    let progress = Progress { finished: AtomicUsize::new(0), is_stopped: OnceLock::new() };
    let started = Instant::now();
    let (models, disturbances) = thread::scope(|scope| {
        let (url, state, progress) = (&url, &state, &progress);
        let threads =
            JOBS.map(|name| scope.spawn(move || (name, run_all(url, state, name, progress))));
        let disturbances = disturb(&mut gateway, progress);
        (threads.map(|thread| thread.join().unwrap()), disturbances)
    });
    gateway.wait_until_ready();
    let spool_files = fs::read_dir(state.join("spool")).map_or(0, Iterator::count);
    let config = Config::default().url(&url).unwrap().state_dir(&state);
    let _scope = config.scope().unwrap();
    let recovery = metrics_push::recover(Duration::from_secs(30));
    assert_eq!((recovery.delivered, recovery.left), (JOBS.len(), 0));
    println!(
        "{} runs in {:?}, {disturbances:?} freezes, stops and kills, {spool_files} files in the spool, {recovery:?}",
        progress.finished.load(Ordering::Relaxed),
        started.elapsed()
    );
    let groups = Gateway::new(&url).unwrap().metrics().unwrap();
    for (name, model) in models {
        let group = groups.iter().find(|group| group.labels["job"] == name).unwrap();
        let value = |metric: &str| group.value(metric, &[]).unwrap_or(f64::NAN);
        let stored = Model {
            last_run: value("run_number"),
            last_success: value("success_number"),
            has_succeeded: value("batch_job_last_run_success"),
        };
        assert_eq!(stored, model, "job {name}");
        let (success, completion) = (
            value("batch_job_last_success_timestamp_seconds"),
            value("batch_job_last_completion_timestamp_seconds"),
        );
        assert!(success <= completion && (success == completion) == (model.has_succeeded == 1.0));
    }
}
