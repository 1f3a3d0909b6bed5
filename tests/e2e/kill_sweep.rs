//! Kills jobs at random times and at each system call on a journal. Each run that has started must be reported with
//! exactly one outcome, and with the correct one.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::thread;
use std::time::{Duration, Instant};

use crate::child::{FinishedJob, JobCommand, PanicStrategy, RunningJob, job};
use crate::lifecycle::{Stored, outcomes, stored_by_job};
use crate::real::Pushgateway;
use crate::recording_proxy::{RecordingProxy, Request};
use crate::state_dir::StateDir;

/// The real gateway, a proxy that records all requests to it, and a state directory.
struct Setup {
    gateway: Pushgateway,
    proxy: RecordingProxy,
    state: StateDir,
}

impl Setup {
    fn new() -> Self {
        let gateway = Pushgateway::start();
        let proxy = RecordingProxy::start(gateway.address());
        Self { gateway, proxy, state: StateDir::new() }
    }

    /// Returns the command of a job with this name, whose body prints "ready" and returns.
    fn ready_job(&self, name: &str) -> JobCommand {
        self.configured(job(PanicStrategy::Unwind, &["ready"]), name)
    }

    fn configured(&self, command: JobCommand, name: &str) -> JobCommand {
        let command = command.gateway(&self.proxy.url()).variable("METRICS_PUSH_JOB", name);
        let command = command.variable("METRICS_PUSH_TIMEOUT", "60s");
        command.variable("METRICS_PUSH_STATE_DIR", self.state.path())
    }

    /// Runs jobs until they have reported all abandoned runs.
    fn recover(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.state.journals().is_empty() {
            assert!(Instant::now() < deadline, "unreported: {:?}", self.state.journals());
            let ended = self.ready_job("recovery").run_to_end();
            assert!(ended.status.success(), "{ended:?}");
        }
    }

    /// The mean duration of a job that is not killed.
    fn mean_duration(&self) -> Duration {
        let started = Instant::now();
        for _ in 0..5 {
            self.ready_job("usual").run_to_end();
        }
        started.elapsed() / 5
    }

    /// Returns all outcomes that jobs have pushed and that the gateway stores.
    fn reports(&self) -> Reports {
        let mut pushed = BTreeMap::<_, BTreeSet<_>>::new();
        for request in self.proxy.requests() {
            let is_set = |line: &&str| {
                line.starts_with("batch_job_last_run_outcome{") && line.ends_with("} 1")
            };
            let outcome = request.body.lines().find(is_set).and_then(|line| line.split('"').nth(1));
            let job = request.path.strip_prefix("/metrics/job/").map(str::to_owned);
            if let (Some(job), Some(outcome)) = (job, outcome) {
                pushed.entry(job).or_default().insert(outcome.to_owned());
            }
        }
        Reports { pushed, stored: stored_by_job(&self.gateway) }
    }
}

/// All outcomes that were reported.
struct Reports {
    /// All outcomes that were pushed for a job.
    pushed: BTreeMap<String, BTreeSet<String>>,
    stored: BTreeMap<String, Stored>,
}

impl Reports {
    /// Asserts that the job's run was reported correctly, and returns its outcome. A run without an outcome must have been
    /// killed before it started.
    #[track_caller]
    fn assert_reported_once(&self, job: &str, ended: &FinishedJob) -> Option<&str> {
        let stored = self.stored.get(job).map(outcomes).unwrap_or_default();
        let pushed: Vec<_> =
            self.pushed.get(job).into_iter().flatten().map(String::as_str).collect();
        assert!(stored.len() <= 1, "{job}: {stored:?}");
        assert_eq!(stored, pushed, "{job}: the stored and the pushed outcomes differ");
        let outcome = stored.first().copied();
        let has_started = self.stored.contains_key(job) || ended.stdout.contains("ready");
        assert!(
            outcome.is_some() || !has_started,
            "{job} has started, but no outcome was reported: {ended:?}"
        );
        let (was_ready, has_returned) =
            (ended.stdout.contains("ready"), ended.stdout.contains("after"));
        match outcome {
            Some("success") => assert!(was_ready, "{job} was killed before its end: {ended:?}"),
            other => assert!(!has_returned, "{job} has returned: {other:?} {ended:?}"),
        }
        let succeeded = self
            .stored
            .get(job)
            .is_some_and(|it| it.contains_key("batch_job_last_success_timestamp_seconds"));
        assert_eq!(succeeded, outcome == Some("success"), "{job}");
        outcome
    }
}

fn kill_after(running: RunningJob, delay: Duration) -> FinishedJob {
    // The test needs a random time, not a specific state.
    thread::sleep(delay);
    running.kill();
    running.wait()
}

/// Pseudorandom delays, the same in each test run.
fn delays(max: Duration) -> impl Iterator<Item = Duration> {
    let mut state = 0x9e37_79b9_u32;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        max * (state % 1000) / 1000
    })
}

#[test]
fn jobs_killed_at_random_are_reported_once_and_correctly() {
    let mut outcomes: Vec<Option<String>> = Vec::new();
    for round in 0..10 {
        let setup = Setup::new();
        let max_delay = setup.mean_duration() * 3 / 2;
        let kills =
            delays(max_delay).skip(round * 100).take(100).enumerate().map(|(number, delay)| {
                let name = format!("sweep-{round}-{number}");
                let running = setup.ready_job(&name).start();
                (name, kill_after(running, delay))
            });
        let ends: Vec<_> = kills.collect();
        setup.recover();
        let reports = setup.reports();
        outcomes.extend(
            ends.iter()
                .map(|(name, ended)| reports.assert_reported_once(name, ended).map(str::to_owned)),
        );
    }
    let count =
        |outcome: Option<&str>| outcomes.iter().filter(|it| it.as_deref() == outcome).count();
    let (abandoned, successes, none) =
        (count(Some("abandoned")), count(Some("success")), count(None));
    println!("{abandoned} abandoned, {successes} successes, {none} killed before they started");
    assert!(
        abandoned > 50 && successes > 50,
        "the kills came too early or too late: {abandoned} {successes} {none}"
    );
}

/// The system calls that create, write and remove a journal.
const CALLS: [&str; 7] = ["openat", "flock", "write", "fdatasync", "/^rename", "fsync", "/^unlink"];

/// More than the calls of one kind that any thread of a job makes.
const MAX_CALLS: usize = 100;

/// For each of these calls, runs jobs that are killed at their first, second, third call and so on, until a job makes
/// fewer calls. A job is named after its last call. Each journal is recovered before the next job starts, so that all jobs
/// make the same calls.
fn kill_at_each_call(setup: &Setup, prepare: impl Fn(&str)) -> Vec<(String, FinishedJob)> {
    let mut ends = Vec::new();
    for call in CALLS {
        for number in 1..MAX_CALLS {
            let name = format!("{}-{number}", call.trim_start_matches("/^"));
            prepare(&name);
            let kill = format!("inject={call}:signal=KILL:when={number}");
            let tracer = ["strace", "--follow-forks", "--quiet=all", "--output=/dev/null"];
            let launcher: Vec<_> = tracer.into_iter().chain(["-e", &kill]).collect();
            let command =
                setup.configured(job(PanicStrategy::Unwind, &["durable-journal", "ready"]), &name);
            let ended = command.within(&launcher).run_to_end();
            setup.recover();
            let has_survived = ended.status.success();
            assert!(has_survived || ended.status.signal() == Some(9), "{name}: {ended:?}");
            ends.push((name, ended));
            if has_survived {
                break;
            }
        }
    }
    ends
}

#[test]
fn jobs_killed_at_each_journal_call_are_reported_correctly() {
    let setup = Setup::new();
    let ends = kill_at_each_call(&setup, |_| ());
    let reports = setup.reports();
    let outcomes = ends.iter().map(|(name, ended)| reports.assert_reported_once(name, ended));
    let abandoned = outcomes.filter(|outcome| *outcome == Some("abandoned")).count();
    println!("{} kills, {abandoned} abandoned", ends.len() - CALLS.len());
    assert!(abandoned > 5, "{ends:?}");
    // How many calls of a kind one thread makes depends on the threads of the system.
    for call in CALLS.map(|call| call.trim_start_matches("/^")) {
        let is_first = |(name, _): &&(String, FinishedJob)| *name == format!("{call}-1");
        let first = ends.iter().find(is_first).map(|(_, ended)| ended);
        assert_eq!(first.and_then(|ended| ended.status.signal()), Some(9), "{call}: {first:?}");
    }
}

#[test]
fn recovery_killed_at_each_journal_call_reports_correctly() {
    let setup = Setup::new();
    let abandon = |name: &str| {
        let command =
            setup.configured(job(PanicStrategy::Unwind, &["kill"]), &format!("abandoned-{name}"));
        assert_eq!(command.run_to_end().status.signal(), Some(9));
    };
    let ends = kill_at_each_call(&setup, abandon);
    let reports = setup.reports();
    for (name, ended) in &ends {
        reports.assert_reported_once(name, ended);
        let abandoned = format!("abandoned-{name}");
        assert_eq!(outcomes(&reports.stored[&abandoned]), ["abandoned"], "{abandoned}");
        let pushed = &reports.pushed[&abandoned];
        assert_eq!(pushed.len(), 1, "{abandoned}: {pushed:?}");
    }
}

#[test]
fn concurrent_jobs_share_one_state_directory() {
    for round in 0..4 {
        let setup = Setup::new();
        let max_delay = Duration::from_millis(400);
        let jobs: Vec<_> = delays(max_delay)
            .skip(round * 50)
            .take(50)
            .enumerate()
            .map(|(number, delay)| {
                let name = format!("many-{number}");
                let running = setup.ready_job(&name).start();
                thread::spawn(move || {
                    // Kills every other job.
                    let ended =
                        if number % 2 == 0 { kill_after(running, delay) } else { running.wait() };
                    (name, ended)
                })
            })
            .collect();
        let ends: Vec<_> = jobs.into_iter().map(|job| job.join().unwrap()).collect();
        setup.recover();
        let reports = setup.reports();
        for (name, ended) in ends {
            let outcome = reports.assert_reported_once(&name, &ended);
            assert_eq!(ended.status.success(), ended.stdout.contains("after"));
            assert!(!ended.status.success() || outcome == Some("success"), "{name}: {outcome:?}");
        }
    }
}

/// The value of a family without labels.
fn value(body: &str, family: &str) -> Option<f64> {
    let line = body.lines().find_map(|line| line.strip_prefix(family)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

#[test]
fn concurrent_runs_of_one_job_never_move_its_last_success_back() {
    let setup = Setup::new();
    let jobs: Vec<_> =
        delays(Duration::from_millis(400))
            .take(50)
            .enumerate()
            .map(|(number, delay)| {
                let running = setup.ready_job("same").start();
                thread::spawn(move || {
                    if number % 2 == 0 { kill_after(running, delay) } else { running.wait() }
                })
            })
            .collect();
    let successes = jobs
        .into_iter()
        .map(|job| job.join().unwrap())
        .filter(|ended| ended.status.success())
        .count();
    assert!(successes >= 25);
    let last_success = || {
        let stored = &stored_by_job(&setup.gateway)["same"];
        stored["batch_job_last_success_timestamp_seconds"]
    };
    let before = last_success();
    setup.recover();
    assert!(last_success() >= before, "{before} {}", last_success());
    let mut last = 0.0;
    for Request { path, body } in setup.proxy.requests() {
        if path.ends_with("/same") && body.contains("outcome=\"abandoned\"} 1") {
            let started = value(&body, "batch_job_last_start_timestamp_seconds").unwrap();
            assert!(started > last, "abandoned runs must be reported oldest first");
            last = started;
        }
    }
}
