//! Nothing lost, nothing false: many runs against a gateway that is killed, frozen and restarted throughout.

use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::prometheus::Registry;
use metrics_push::{Config, Gateway, Job, Outcome};

use crate::restarting_gateway::RestartingGateway;

const JOBS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const RUNS_OF_EACH: usize = 260;
/// How many runs of each end when the gateway is away for good.
const LAST_RUNS: usize = 6;
/// Short, so that many runs meet a gateway that is away for longer.
const BUDGET: Duration = Duration::from_millis(400);

/// How far the jobs are.
struct Pace {
    done: AtomicUsize,
    /// Set when the gateway has gone, and will be back when all runs are done.
    gone: OnceLock<()>,
}

/// What the gateway should hold of a job in the end.
#[derive(Debug, Default, PartialEq)]
struct Model {
    last_run: f64,
    last_success: f64,
    has_succeeded: f64,
}

fn nothing() -> &'static Registry {
    static NOTHING: OnceLock<Registry> = OnceLock::new();
    NOTHING.get_or_init(Registry::new)
}

/// The runs of one job, one after the other, as processes would run them: each with its own configuration.
fn run_all(url: &str, state: &std::path::Path, name: &'static str, pace: &Pace) -> Model {
    let mut model = Model::default();
    for number in 1..=RUNS_OF_EACH {
        if number + LAST_RUNS > RUNS_OF_EACH {
            while pace.gone.get().is_none() {
                thread::sleep(Duration::from_millis(5));
            }
        }
        let config = Config::default().url(url).unwrap().state_dir(state).timeout(BUDGET);
        let _scope = config.scope().unwrap();
        let run = Job::new(name).registry(nothing).whole_process().start();
        let number_of_run = number as f64;
        run.gauge("run_number", "The last run's.").unwrap().set(number_of_run);
        // Not in step with anything else, and the same every time.
        let succeeds = (number * 7 + name.len() + usize::from(name.as_bytes()[0])) % 5 < 3;
        if succeeds {
            run.gauge("success_number", "The last success'.").unwrap().set(number_of_run);
            model.last_success = number_of_run;
        }
        model.last_run = number_of_run;
        model.has_succeeded = f64::from(succeeds);
        let started = Instant::now();
        run.finish(if succeeds { Outcome::Success } else { Outcome::Error });
        let took = started.elapsed();
        assert!(took < BUDGET + Duration::from_secs(3), "run {number} of {name} took {took:?}");
        pace.done.fetch_add(1, Ordering::Relaxed);
    }
    model
}

/// Ends, freezes and kills the gateway until all runs are done. Kills only in the first third: what a gateway has
/// acknowledged and then forgotten, no client can know of.
fn make_trouble(gateway: &mut RestartingGateway, pace: &Pace) -> [usize; 3] {
    const ALL: usize = JOBS.len() * RUNS_OF_EACH;
    let mut troubles = [0; 3];
    for step in 0_u64.. {
        let finished = pace.done.load(Ordering::Relaxed);
        if finished + JOBS.len() * LAST_RUNS >= ALL {
            break;
        }
        thread::sleep(Duration::from_millis(60 + step * 37 % 90));
        let away = Duration::from_millis(50 + step * 71 % 500);
        let kind = if step % 2 == 0 {
            0
        } else if finished < ALL / 3 {
            2
        } else {
            1
        };
        troubles[kind] += 1;
        match kind {
            0 => {
                gateway.freeze();
                thread::sleep(away);
                gateway.thaw();
            }
            1 => {
                gateway.stop();
                thread::sleep(away);
                gateway.restart();
            }
            _ => {
                gateway.kill();
                thread::sleep(away);
                gateway.restart();
            }
        }
    }
    // It is away for all jobs' last runs, so that what they leave behind is all that tells of them.
    gateway.stop();
    pace.gone.set(()).unwrap();
    while pace.done.load(Ordering::Relaxed) < ALL {
        thread::sleep(Duration::from_millis(20));
    }
    gateway.restart();
    troubles
}

#[test]
fn nothing_is_lost_and_nothing_is_false() {
    let mut gateway = RestartingGateway::with_persistence();
    let (url, state) = (gateway.url(), gateway.directory().join("state"));
    let pace = Pace { done: AtomicUsize::new(0), gone: OnceLock::new() };
    let started = Instant::now();
    let (models, troubles) = thread::scope(|scope| {
        let (url, state, pace) = (&url, &state, &pace);
        let threads = JOBS.map(|name| scope.spawn(move || (name, run_all(url, state, name, pace))));
        let troubles = make_trouble(&mut gateway, pace);
        (threads.map(|thread| thread.join().unwrap()), troubles)
    });
    gateway.wait_until_ready();
    let waited = fs::read_dir(state.join("spool")).map_or(0, Iterator::count);
    let config = Config::default().url(&url).unwrap().state_dir(&state);
    let _scope = config.scope().unwrap();
    let recovery = metrics_push::recover(Duration::from_secs(30));
    assert_eq!((recovery.delivered, recovery.left), (JOBS.len(), 0));
    println!(
        "{} runs in {:?}, {troubles:?} freezes, ends and kills, {waited} files waited, {recovery:?}",
        pace.done.load(Ordering::Relaxed),
        started.elapsed()
    );
    let groups = Gateway::new(&url).unwrap().metrics().unwrap();
    for (name, model) in models {
        let group = groups.iter().find(|group| group.labels["job"] == name).unwrap();
        let value = |metric: &str| group.value(metric, &[]).unwrap_or(f64::NAN);
        let held = Model {
            last_run: value("run_number"),
            last_success: value("success_number"),
            has_succeeded: value("batch_job_last_run_success"),
        };
        assert_eq!(held, model, "job {name}");
        let (success, completion) = (
            value("batch_job_last_success_timestamp_seconds"),
            value("batch_job_last_completion_timestamp_seconds"),
        );
        assert!(success <= completion && (success == completion) == (model.has_succeeded == 1.0));
    }
}
