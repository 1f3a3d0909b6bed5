//! Measures how long a task takes to submit its metrics. Submitting never waits for the gateway.
//!
//! `cargo bench -p metrics-push-benches --bench submit` prints percentiles.
//!
//! With a number of seconds after `--` the bench is a soak test of that length: it starts and finishes 10,000 runs per
//! second in 1,000 groups, and fails if the memory of the process grows. The Pushgateway is a separate process, so that
//! the measured memory is that of a scheduler. Its consistency check is disabled: with 1,000 groups it would be the
//! bottleneck.

#[path = "../tests/e2e/http.rs"]
mod http;
#[expect(dead_code, reason = "parts that only the tests use")]
#[path = "../tests/e2e/real.rs"]
mod real;

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use metrics_push::{Batcher, Config, GroupingKey, Job, Outcome};
use prometheus::Registry;
use real::Pushgateway;

const GROUPS: usize = 1_000;
const CALLS: usize = 200_000;
const PER_SECOND: u32 = 10_000;
/// The minimum time between two pushes of a group.
const INTERVAL: Duration = Duration::from_secs(5);
/// The time until every group has been pushed twice and the allocator has reached a steady state.
const WARM_UP: Duration = Duration::from_secs(15);
/// The allowed growth of resident memory: allocator noise, far below any growth per run.
const MAX_GROWTH_KB: u64 = 1_024;

fn main() -> ExitCode {
    let gateway = Pushgateway::with_flags(&["--push.disable-consistency-check"]);
    let config = || Config::default().url(gateway.url()).unwrap();
    let seconds = std::env::args().filter_map(|argument| argument.parse().ok()).next();
    let Some(seconds) = seconds else {
        measure_submit(config());
        return ExitCode::SUCCESS;
    };
    let _scope = config().batch(INTERVAL).scope().unwrap();
    soak(&gateway, Duration::from_secs(seconds))
}

/// Prints how long it takes to submit a push request, and to start and finish a run.
fn measure_submit(config: Config) {
    let _scope = config.scope().unwrap();
    let batcher = Batcher::new(INTERVAL);
    let key = |number: usize| {
        let key = GroupingKey::new("bench").unwrap();
        key.label("tenant", (number % GROUPS).to_string()).unwrap()
    };
    let keys: Vec<_> = (0..CALLS).map(key).collect();
    let mut times = Times::default();
    for key in keys {
        let started = Instant::now();
        batcher.delete(key);
        times.add(started.elapsed());
    }
    println!("submit a push request: {times}");
    let _scope = Config::default().batch(INTERVAL).scope().unwrap();
    let mut times = Times::default();
    for number in 0..CALLS / 10 {
        let tenant = number % GROUPS;
        let started = Instant::now();
        Job::new("task").start_with(&[("tenant", &tenant)]).finish(Outcome::Success);
        times.add(started.elapsed());
    }
    println!("start and finish a run, no gateway: {times}");
}

/// Starts and finishes runs for this time after the warm-up. Fails if the memory of the process grows.
fn soak(gateway: &Pushgateway, time: Duration) -> ExitCode {
    let started = Instant::now();
    let mut times = Times::default();
    let mut residents = Vec::with_capacity(100);
    let mut sample_at = WARM_UP;
    let pushed_before = pushes(gateway);
    let mut runs = 0;
    while started.elapsed() < WARM_UP + time {
        let due = started + Duration::from_secs(1) * runs / PER_SECOND;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let tenant = runs as usize % GROUPS;
        let before = Instant::now();
        let job = Job::new("task").registry(empty_registry);
        job.start_with(&[("tenant", &tenant)]).finish(Outcome::Success);
        times.add(before.elapsed());
        runs += 1;
        if started.elapsed() >= sample_at {
            residents.push(resident_kb());
            println!("{:>4.0?}: {} kB resident", started.elapsed(), residents[residents.len() - 1]);
            sample_at += time / 12;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("start and finish a run, batched: {times}");
    let pushed = pushes(gateway) - pushed_before;
    let per_group = pushed / GROUPS as f64 / (seconds / INTERVAL.as_secs_f64());
    println!(
        "{:.0} runs per second, {pushed} pushes: {per_group:.2} per group and interval",
        f64::from(runs) / seconds
    );
    // Compare the maxima of both halves, so that no single sample decides.
    let (early, late) = residents.split_at(residents.len() / 2);
    let highest = |samples: &[u64]| samples.iter().copied().max().unwrap_or(0);
    let grown = highest(late).saturating_sub(highest(early));
    let is_flat = grown <= MAX_GROWTH_KB;
    println!("memory: {grown} kB growth, {}", if is_flat { "flat" } else { "GROWING" });
    if is_flat { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns the number of pushes that the gateway has counted.
fn pushes(gateway: &Pushgateway) -> f64 {
    let response = http::send(gateway.address(), "GET", "/metrics", b"").unwrap().text();
    let counts = response.lines().filter(|line| {
        line.starts_with("pushgateway_http_requests_total") && line.contains("handler=\"push\"")
    });
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn empty_registry() -> &'static Registry {
    static EMPTY: OnceLock<Registry> = OnceLock::new();
    EMPTY.get_or_init(Registry::new)
}

/// A histogram of durations. It allocates only when it is created.
struct Times {
    /// One bucket per [`STEP`]; the last one also counts all longer durations.
    counts: Vec<u64>,
}

/// The width of a bucket.
const STEP: Duration = Duration::from_nanos(50);

impl Default for Times {
    fn default() -> Self {
        Self { counts: vec![0; 20_000] }
    }
}

impl Times {
    fn add(&mut self, time: Duration) {
        let step = time.as_nanos() / STEP.as_nanos();
        let last = self.counts.len() - 1;
        self.counts[usize::try_from(step).unwrap_or(last).min(last)] += 1;
    }

    /// Returns the quantile: the duration that this share of the measurements does not exceed.
    fn quantile(&self, share: f64) -> Duration {
        let rank = (self.counts.iter().sum::<u64>() as f64 * share).ceil() as u64;
        let mut seen = 0;
        let step = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        STEP * u32::try_from(step.unwrap_or(0) + 1).unwrap_or(u32::MAX)
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "p50 {:?}, p99 {:?}, p99.9 {:?}",
            self.quantile(0.5),
            self.quantile(0.99),
            self.quantile(0.999)
        )
    }
}

/// Returns the resident memory of this process in kilobytes.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
