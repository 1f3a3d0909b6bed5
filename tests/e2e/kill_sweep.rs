//! Jobs that are killed at any moment of their lives, many at once: each that started is told of once, as what it was.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::thread;
use std::time::{Duration, Instant};

use crate::child::{Ended, Panics, Running, Start, job};
use crate::lifecycle::{Stored, held, stored_by_job};
use crate::real::Pushgateway;
use crate::recording_proxy::{RecordingProxy, Request};
use crate::state_dir::StateDir;

/// The real gateway, all that is ever said to it, and one state directory.
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

    /// A job named `name` whose body is done when it has said that it is ready.
    fn run(&self, name: &str) -> Start {
        self.configured(job(Panics::Unwind, &["ready"]), name)
    }

    fn configured(&self, start: Start, name: &str) -> Start {
        let start = start.gateway(&self.proxy.url()).variable("METRICS_PUSH_JOB", name);
        start.variable("METRICS_PUSH_STATE_DIR", self.state.path())
    }

    /// Has nothing to do but to report the dead.
    fn recover(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.state.journals().is_empty() {
            assert!(Instant::now() < deadline, "left: {:?}", self.state.journals());
            let ended = self.run("recovery").run_to_end();
            assert!(ended.status.success(), "{ended:?}");
        }
    }

    /// How long an undisturbed job takes here.
    fn usual(&self) -> Duration {
        let begun = Instant::now();
        for _ in 0..5 {
            self.run("usual").run_to_end();
        }
        begun.elapsed() / 5
    }

    fn account(&self) -> Account {
        let mut said = BTreeMap::<_, BTreeSet<_>>::new();
        for request in self.proxy.requests() {
            let holds = |line: &&str| {
                line.starts_with("batch_job_last_run_outcome{") && line.ends_with("} 1")
            };
            let outcome = request.body.lines().find(holds).and_then(|line| line.split('"').nth(1));
            let job = request.path.strip_prefix("/metrics/job/").map(str::to_owned);
            if let (Some(job), Some(outcome)) = (job, outcome) {
                said.entry(job).or_default().insert(outcome.to_owned());
            }
        }
        Account { said, stored: stored_by_job(&self.gateway) }
    }
}

/// What was told of all jobs.
struct Account {
    /// The outcomes that were ever told of a job.
    said: BTreeMap<String, BTreeSet<String>>,
    stored: BTreeMap<String, Stored>,
}

impl Account {
    /// What must hold of a job, whenever it was killed: the outcome that is told of it, if one is.
    #[track_caller]
    fn assert_told_once(&self, job: &str, ended: &Ended) -> Option<&str> {
        let held = self.stored.get(job).map(held).unwrap_or_default();
        let said: Vec<_> = self.said.get(job).into_iter().flatten().map(String::as_str).collect();
        assert!(held.len() <= 1, "{job}: {held:?}");
        assert_eq!(held, said, "{job}: what holds is all that was ever said");
        let outcome = held.first().copied();
        let is_known = self.stored.contains_key(job) || ended.stdout.contains("ready");
        assert!(
            outcome.is_some() || !is_known,
            "{job} started, and nobody told how it ended: {ended:?}"
        );
        let (was_ready, is_done) = (ended.stdout.contains("ready"), ended.stdout.contains("after"));
        match outcome {
            Some("success") => assert!(was_ready, "{job} was cut short: {ended:?}"),
            other => assert!(!is_done, "{job} was done: {other:?} {ended:?}"),
        }
        let succeeded = self
            .stored
            .get(job)
            .is_some_and(|it| it.contains_key("batch_job_last_success_timestamp_seconds"));
        assert_eq!(succeeded, outcome == Some("success"), "{job}");
        outcome
    }
}

fn killed_after(running: Running, delay: Duration) -> Ended {
    // How far it has come by then is what chance decides.
    thread::sleep(delay);
    running.kill();
    running.wait()
}

/// Delays that look random and are the same every time.
fn delays(longest: Duration) -> impl Iterator<Item = Duration> {
    let mut state = 0x9e37_79b9_u32;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        longest * (state % 1000) / 1000
    })
}

#[test]
fn a_thousand_kills_leave_no_run_untold_and_none_told_wrong() {
    let mut told: Vec<Option<String>> = Vec::new();
    for round in 0..10 {
        let setup = Setup::new();
        let longest = setup.usual() * 3 / 2;
        let kills =
            delays(longest).skip(round * 100).take(100).enumerate().map(|(number, delay)| {
                let name = format!("sweep-{round}-{number}");
                let running = setup.run(&name).start();
                (name, killed_after(running, delay))
            });
        let ends: Vec<_> = kills.collect();
        setup.recover();
        let account = setup.account();
        told.extend(
            ends.iter()
                .map(|(name, ended)| account.assert_told_once(name, ended).map(str::to_owned)),
        );
    }
    let count =
        |outcome: Option<&str>| told.iter().filter(|told| told.as_deref() == outcome).count();
    let (abandoned, successes, none) =
        (count(Some("abandoned")), count(Some("success")), count(None));
    println!("{abandoned} abandoned, {successes} successes, {none} killed before they started");
    assert!(
        abandoned > 50 && successes > 50,
        "the kills came too early or too late: {abandoned} {successes} {none}"
    );
}

/// The system calls by which a journal is made, written and removed.
const CALLS: [&str; 7] = ["openat", "flock", "write", "fdatasync", "/^rename", "fsync", "/^unlink"];

/// More than any thread of a job makes of one kind.
const MOST_CALLS: usize = 100;

/// Runs a job that is killed as it makes each of its calls, until it makes no more of them; its name says where. What it leaves is
/// recovered before the next one, so that each has the same calls to make.
fn killed_at_each_call(setup: &Setup, prepare: impl Fn(&str)) -> Vec<(String, Ended)> {
    let mut ends = Vec::new();
    for call in CALLS {
        for number in 1..MOST_CALLS {
            let name = format!("{}-{number}", call.trim_start_matches("/^"));
            prepare(&name);
            let kill = format!("inject={call}:signal=KILL:when={number}");
            let tracer = ["strace", "--follow-forks", "--quiet=all", "--output=/dev/null"];
            let launcher: Vec<_> = tracer.into_iter().chain(["-e", &kill]).collect();
            let start = setup.configured(job(Panics::Unwind, &["synced", "ready"]), &name);
            let ended = start.within(&launcher).run_to_end();
            setup.recover();
            let is_over = ended.status.success();
            assert!(is_over || ended.status.signal() == Some(9), "{name}: {ended:?}");
            ends.push((name, ended));
            if is_over {
                break;
            }
        }
    }
    ends
}

#[test]
fn killed_at_each_call_by_which_a_journal_is_written() {
    let setup = Setup::new();
    let ends = killed_at_each_call(&setup, |_| ());
    let account = setup.account();
    let told: Vec<_> =
        ends.iter().map(|(name, ended)| account.assert_told_once(name, ended)).collect();
    let abandoned = told.iter().filter(|told| **told == Some("abandoned")).count();
    println!("{} kills, {abandoned} abandoned", ends.len() - CALLS.len());
    assert!(abandoned > 5 && ends.len() > 30, "{ends:?}");
}

#[test]
fn killed_at_each_call_by_which_the_dead_are_reported() {
    let setup = Setup::new();
    let dead = |name: &str| {
        let start = setup.configured(job(Panics::Unwind, &["kill"]), &format!("dead-{name}"));
        assert_eq!(start.run_to_end().status.signal(), Some(9));
    };
    let ends = killed_at_each_call(&setup, dead);
    let account = setup.account();
    for (name, ended) in &ends {
        account.assert_told_once(name, ended);
        let dead = format!("dead-{name}");
        assert_eq!(held(&account.stored[&dead]), ["abandoned"], "{dead}");
        assert_eq!(account.said[&dead].len(), 1, "{dead}: {:?}", account.said[&dead]);
    }
}

#[test]
fn fifty_jobs_at_once_on_one_state_directory() {
    for round in 0..4 {
        let setup = Setup::new();
        let longest = Duration::from_millis(400);
        let jobs: Vec<_> = delays(longest)
            .skip(round * 50)
            .take(50)
            .enumerate()
            .map(|(number, delay)| {
                let name = format!("many-{number}");
                let running = setup.run(&name).start();
                thread::spawn(move || {
                    // Every other one may live.
                    let ended =
                        if number % 2 == 0 { killed_after(running, delay) } else { running.wait() };
                    (name, ended)
                })
            })
            .collect();
        let ends: Vec<_> = jobs.into_iter().map(|job| job.join().unwrap()).collect();
        setup.recover();
        let account = setup.account();
        for (name, ended) in ends {
            let outcome = account.assert_told_once(&name, &ended);
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
fn fifty_runs_of_one_job_at_once_never_move_its_last_success_back() {
    let setup = Setup::new();
    let jobs: Vec<_> = delays(Duration::from_millis(400))
        .take(50)
        .enumerate()
        .map(|(number, delay)| {
            let running = setup.run("same").start();
            thread::spawn(move || {
                if number % 2 == 0 { killed_after(running, delay) } else { running.wait() }
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
            assert!(started > last, "the dead are reported oldest first");
            last = started;
        }
    }
}
