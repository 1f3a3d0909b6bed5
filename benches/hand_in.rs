//! What a task pays for handing its metrics in: it waits for nothing, whatever the gateway does.
//!
//! `cargo bench --bench hand_in` prints percentiles; with a number of seconds after `--`, it also hands in ten thousand
//! runs a second for that long and prints how much memory the process has at each tenth of it.

use std::time::{Duration, Instant};

use metrics_push::prometheus::Registry;
use metrics_push::testing::FakeGateway;
use metrics_push::{Batcher, Config, GroupingKey, Job, Outcome};

const KEYS: usize = 1_000;
const CALLS: usize = 200_000;
const PER_SECOND: u32 = 10_000;

fn main() {
    let gateway = FakeGateway::start();
    let interval = Duration::from_secs(1);
    let config = || Config::default().url(gateway.url()).unwrap();
    hand_in(config());
    let seconds = std::env::args().filter_map(|argument| argument.parse().ok()).next();
    if let Some(seconds) = seconds {
        let _scope = config().batch(interval).scope().unwrap();
        soak(&gateway, seconds);
    }
}

fn hand_in(config: Config) {
    let _scope = config.scope().unwrap();
    let batcher = Batcher::new(Duration::from_secs(1));
    let key = |number: usize| {
        let key = GroupingKey::new("bench").unwrap();
        key.label("tenant", (number % KEYS).to_string()).unwrap()
    };
    let keys: Vec<_> = (0..CALLS).map(key).collect();
    let mut took: Vec<_> = keys
        .into_iter()
        .map(|key| {
            let started = Instant::now();
            batcher.delete(key);
            started.elapsed()
        })
        .collect();
    print("a parcel that is ready", &mut took);
    let _scope = Config::default().batch(Duration::from_secs(1)).scope().unwrap();
    let mut took: Vec<_> = (0..CALLS / 10)
        .map(|number| {
            let tenant = number % KEYS;
            let started = Instant::now();
            Job::new("task").start_with(&[("tenant", &tenant)]).finish(Outcome::Success);
            started.elapsed()
        })
        .collect();
    print("a run without a gateway", &mut took);
}

fn soak(gateway: &FakeGateway, seconds: u32) {
    let started = Instant::now();
    let mut took = Vec::new();
    for run in 0..seconds * PER_SECOND {
        let due = started + Duration::from_secs(1) * run / PER_SECOND;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let tenant = run as usize % KEYS;
        let before = Instant::now();
        let job = Job::new("task").registry(nothing);
        job.start_with(&[("tenant", &tenant)]).finish(Outcome::Success);
        // A sample of them, or the times themselves would fill the memory.
        if run % 64 == 0 {
            took.push(before.elapsed());
        }
        if (run + 1) % (seconds * PER_SECOND / 10) == 0 {
            let pushes = gateway.requests().len();
            println!(
                "{:>4.0?}: {} kB resident, {pushes} requests remembered",
                started.elapsed(),
                resident()
            );
            gateway.clear();
        }
    }
    let took_all = started.elapsed();
    print("a run that starts and ends, batched", &mut took);
    println!("{:.0} runs a second", f64::from(seconds * PER_SECOND) / took_all.as_secs_f64());
}

fn nothing() -> &'static Registry {
    static NOTHING: std::sync::OnceLock<Registry> = std::sync::OnceLock::new();
    NOTHING.get_or_init(Registry::new)
}

fn print(what: &str, took: &mut [Duration]) {
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!("{what}: p50 {:?}, p99 {:?}, p99.9 {:?}", at(0.5), at(0.99), at(0.999));
}

/// The memory of this process in kilobytes, where the platform tells.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap_or("?").trim().trim_end_matches(" kB").to_owned()
}
