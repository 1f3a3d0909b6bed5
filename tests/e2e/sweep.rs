//! Jobs that are killed at any moment of their lives, many at once: each that started is told of once, as what it was.

use std::collections::BTreeSet;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::testing::FakeGateway;

use crate::child::{Ended, Panics, Running, Start, job};
use crate::state::StateDir;

/// A job named `name` whose body is done when it has said that it is ready.
fn run(gateway: &FakeGateway, state: &StateDir, name: &str) -> Start {
    let start = job(Panics::Unwind, &["ready"]).gateway(&gateway.url());
    start.variable("METRICS_PUSH_JOB", name).variable("METRICS_PUSH_STATE_DIR", state.path())
}

/// Has nothing to do but to report the dead.
fn recover(gateway: &FakeGateway, state: &StateDir) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !state.journals().is_empty() {
        assert!(Instant::now() < deadline, "left: {:?}", state.journals());
        let ended = run(gateway, state, "recovery").run_to_end();
        assert!(ended.status.success(), "{ended:?}");
    }
}

/// The outcomes that were ever reported of a job.
fn reported(gateway: &FakeGateway, job: &str) -> BTreeSet<String> {
    let path = format!("/metrics/job/{job}");
    let requests = gateway.requests().into_iter().filter(|sent| sent.path == path);
    let bodies = requests.map(|sent| String::from_utf8_lossy(&sent.body).into_owned());
    let outcome = |body: String| {
        let line = body.lines().find(|line| {
            line.starts_with("batch_job_last_run_outcome{") && line.ends_with("} 1")
        })?;
        Some(line.split('"').nth(1)?.to_owned())
    };
    bodies.filter_map(outcome).collect()
}

/// What must hold of a job, whenever it was killed.
#[track_caller]
fn assert_told_once(gateway: &FakeGateway, job: &str, ended: &Ended) -> Option<String> {
    let outcomes = reported(gateway, job);
    assert!(outcomes.len() <= 1, "{job}: {outcomes:?}");
    let outcome = outcomes.into_iter().next();
    let is_known = gateway.find_group(job, &[]).is_some() || ended.stdout.contains("ready");
    assert!(
        outcome.is_some() || !is_known,
        "{job} started, and nobody told how it ended: {ended:?}"
    );
    match outcome.as_deref() {
        Some("success") => {
            assert!(ended.stdout.contains("ready"), "{job} was cut short: {ended:?}");
        }
        Some("abandoned") => assert!(!ended.stdout.contains("after"), "{job} was done: {ended:?}"),
        other => assert!(!ended.stdout.contains("after"), "{job}: {other:?}"),
    }
    outcome
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

/// How long an undisturbed job takes here.
fn usual(gateway: &FakeGateway, state: &StateDir) -> Duration {
    let begun = Instant::now();
    for _ in 0..5 {
        run(gateway, state, "usual").run_to_end();
    }
    begun.elapsed() / 5
}

#[test]
fn a_thousand_kills_leave_no_run_untold_and_none_told_wrong() {
    let mut told: Vec<Option<String>> = Vec::new();
    for round in 0..10 {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        let longest = usual(&gateway, &state) * 3 / 2;
        let ends: Vec<_> = delays(longest)
            .skip(round * 100)
            .take(100)
            .enumerate()
            .map(|(number, delay)| {
                let name = format!("sweep-{round}-{number}");
                let running = run(&gateway, &state, &name).start();
                (name, killed_after(running, delay))
            })
            .collect();
        recover(&gateway, &state);
        told.extend(ends.iter().map(|(name, ended)| assert_told_once(&gateway, name, ended)));
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

#[test]
fn fifty_jobs_at_once_on_one_state_directory() {
    for round in 0..4 {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        let longest = Duration::from_millis(400);
        let jobs: Vec<_> = delays(longest)
            .skip(round * 50)
            .take(50)
            .enumerate()
            .map(|(number, delay)| {
                let name = format!("many-{number}");
                let running = run(&gateway, &state, &name).start();
                thread::spawn(move || {
                    // Every other one may live.
                    let ended =
                        if number % 2 == 0 { killed_after(running, delay) } else { running.wait() };
                    (name, ended)
                })
            })
            .collect();
        let ends: Vec<_> = jobs.into_iter().map(|job| job.join().unwrap()).collect();
        recover(&gateway, &state);
        for (name, ended) in ends {
            let outcome = assert_told_once(&gateway, &name, &ended);
            assert_eq!(ended.status == ExitStatus::default(), ended.stdout.contains("after"));
            assert!(
                !ended.status.success() || outcome.as_deref() == Some("success"),
                "{name}: {outcome:?}"
            );
        }
    }
}

#[test]
fn fifty_runs_of_one_job_at_once_never_move_its_last_success_back() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let jobs: Vec<_> = delays(Duration::from_millis(400))
        .take(50)
        .enumerate()
        .map(|(number, delay)| {
            let running = run(&gateway, &state, "same").start();
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
    recover(&gateway, &state);
    assert!(successes >= 25);
    let mut last = 0.0;
    for sent in gateway.requests() {
        let body = String::from_utf8_lossy(&sent.body).into_owned();
        let line =
            body.lines().find(|line| line.starts_with("batch_job_last_start_timestamp_seconds "));
        let is_abandoned = body.contains("outcome=\"abandoned\"} 1");
        if let (Some(line), true) = (line, is_abandoned) {
            let started: f64 = line.split(' ').nth(1).unwrap().parse().unwrap();
            assert!(started > last, "the dead are reported oldest first");
            last = started;
        }
    }
}
