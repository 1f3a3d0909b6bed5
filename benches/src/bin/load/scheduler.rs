//! One simulated scheduler: a process that finishes many short runs at a fixed rate.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::{Config, Job, Outcome};
use metrics_push_benches::usage;
use serde_json::json;

/// What a scheduler does.
pub(crate) struct Plan {
    pub(crate) scheduler: usize,
    pub(crate) groups: usize,
    pub(crate) runs_per_second: f64,
    pub(crate) duration: Duration,
    /// The number of the first run. It increases with each restart.
    pub(crate) first_run: u64,
    pub(crate) batch_interval: Option<Duration>,
    /// The plan ends with one run of each group.
    pub(crate) covers_all: bool,
}

/// The gauge with the number of the last run of a group, and that of the last successful run.
pub(crate) const RUN: &str = "load_run_number";
pub(crate) const SUCCESS: &str = "load_success_number";

/// How long the scheduler waits for its last requests.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);

/// One run in this many fails.
const FAILURE_INTERVAL: u64 = 10;

/// The interval between two runs whose delivery is measured.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// Runs the plan and prints the last run of each group and the usage of this process, as one line of JSON.
pub(crate) fn run(plan: &Plan) {
    let (config, problems) = Config::from_env();
    assert!(problems.is_empty(), "{problems:?}");
    let config = match plan.batch_interval {
        Some(interval) => config.batch(interval),
        None => config,
    };
    metrics_push::init(config).expect("the configuration is valid");
    let is_finished = AtomicBool::new(false);
    let (last_runs, probes) = thread::scope(|scope| {
        let probes = scope.spawn(|| measure_deliveries(plan.scheduler, &is_finished));
        let last_runs = finish_runs(plan);
        is_finished.store(true, Ordering::Relaxed);
        (last_runs, probes.join().expect("the probes do not panic"))
    });
    let unfinished = metrics_push::flush(FLUSH_TIMEOUT);
    let groups: BTreeMap<_, _> = last_runs
        .groups
        .iter()
        .map(|(group, (run, success))| (group.to_string(), json!([run, success])))
        .collect();
    println!(
        "{}",
        json!({
            "groups": groups,
            "runs": last_runs.count,
            "seconds": last_runs.seconds,
            "unfinished": unfinished,
            "latencies": probes,
            "cpu_seconds": usage::cpu_seconds("self"),
            "early_mib": last_runs.early_mib,
            "late_mib": last_runs.late_mib,
        })
    );
}

#[derive(Default)]
struct LastRuns {
    /// The numbers of the last run and of the last successful one.
    groups: BTreeMap<usize, (u64, u64)>,
    count: u64,
    seconds: f64,
    /// The resident memory after a quarter of the time and at the end.
    early_mib: f64,
    late_mib: f64,
}

fn finish_runs(plan: &Plan) -> LastRuns {
    let mut last = LastRuns::default();
    let mut zipf = Zipf::new(plan.groups, plan.scheduler as u64 + plan.first_run);
    let job = Job::new("load");
    let started = Instant::now();
    while started.elapsed() < plan.duration {
        let due = plan.runs_per_second * started.elapsed().as_secs_f64();
        if last.count as f64 >= due {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        finish_run(plan, &job, zipf.next(), &mut last);
        if last.early_mib == 0.0 && started.elapsed() > plan.duration / 4 {
            last.early_mib = usage::resident_mib("self");
        }
    }
    last.seconds = started.elapsed().as_secs_f64();
    last.late_mib = usage::resident_mib("self");
    if plan.covers_all {
        (0..plan.groups).for_each(|group| finish_run(plan, &job, group, &mut last));
    }
    last
}

fn finish_run(plan: &Plan, job: &Job, group: usize, last: &mut LastRuns) {
    let number = plan.first_run + last.count;
    let run = job.start_with(&[("scheduler", &plan.scheduler), ("group", &group)]);
    let set = |name, help| {
        let gauge = run.gauge(name, help).expect("the metric is new in this run");
        gauge.set(number as f64);
    };
    set(RUN, "The number of the last run.");
    let entry = last.groups.entry(group).or_default();
    entry.0 = number;
    // The runs at the end of a plan succeed, so that the last success is that of the same process.
    let is_success = !number.is_multiple_of(FAILURE_INTERVAL) || last.seconds > 0.0;
    if is_success {
        set(SUCCESS, "The number of the last successful run.");
        entry.1 = number;
    }
    run.finish(if is_success { Outcome::Success } else { Outcome::Error });
    last.count += 1;
}

/// Finishes a run now and then and waits until it is delivered. Returns the durations in milliseconds.
fn measure_deliveries(scheduler: usize, is_finished: &AtomicBool) -> Vec<f64> {
    let mut latencies = Vec::new();
    let job = Job::new("load_probe").whole_process();
    while !is_finished.load(Ordering::Relaxed) {
        let started = Instant::now();
        job.start_with(&[("scheduler", &scheduler)]).finish(Outcome::Success);
        latencies.push(started.elapsed().as_secs_f64() * 1e3);
        thread::sleep(PROBE_INTERVAL);
    }
    latencies
}

/// Numbers below a limit, the smaller ones more often: the frequency is inversely proportional to the number plus one.
struct Zipf {
    /// The sums of the frequencies.
    sums: Vec<f64>,
    state: u64,
}

impl Zipf {
    fn new(count: usize, seed: u64) -> Self {
        let mut sum = 0.0;
        let sums = (0..count).map(|number| {
            sum += 1.0 / (number as f64 + 1.0);
            sum
        });
        Self { sums: sums.collect(), state: seed.wrapping_mul(2).wrapping_add(1) }
    }

    fn next(&mut self) -> usize {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let fraction = ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        let target = fraction * self.sums.last().copied().unwrap_or_default();
        self.sums.partition_point(|sum| *sum < target).min(self.sums.len() - 1)
    }
}
