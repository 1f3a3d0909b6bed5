//! The dimensions of the work of a process.

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs, iter};

use metrics_push::{Config, Job, Outcome, Pusher, Run, SinkConfig};

/// The variable with the state directory of a child.
pub(crate) const FOLDER_VARIABLE: &str = "GROWTH_FOLDER";
/// The file in it that contains the number of reads and writes.
pub(crate) const CALLS_FILE: &str = "calls";

const TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) struct Dimension {
    pub(crate) name: &'static str,
    min: usize,
    pub(crate) max: usize,
    /// Whether another process works before the server listens.
    pub(crate) is_prepared: bool,
    /// Whether the server refuses connections.
    pub(crate) is_outage: bool,
    prepare: fn(usize, &str),
    measure: fn(usize, &str),
}

impl Dimension {
    /// The amounts of work, doubled from the least to the greatest.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = usize> {
        iter::successors(Some(self.min), |size| Some(size * 2)).take_while(|size| *size <= self.max)
    }

    const fn new(name: &'static str, min: usize, max: usize, measure: fn(usize, &str)) -> Self {
        Self { name, min, max, is_prepared: false, is_outage: false, prepare: |_, _| (), measure }
    }

    const fn prepared(self, prepare: fn(usize, &str)) -> Self {
        Self { is_prepared: true, prepare, ..self }
    }

    const fn in_outage(self) -> Self {
        Self { is_outage: true, ..self }
    }
}

pub(crate) static DIMENSIONS: &[Dimension] = &[
    Dimension::new("open runs", 1_000, 16_000, |number, url| {
        without_state(url, || open_runs(number));
    }),
    Dimension::new("open runs with a journal", 1_000, 16_000, |number, url| {
        with_state(url, || open_runs(number));
    }),
    Dimension::new("groups in one process", 1_000, 32_000, |number, url| {
        without_state(url, || groups(number));
    }),
    Dimension::new("groups with a state directory", 1_000, 16_000, |number, url| {
        with_state(url, || groups(number));
    }),
    Dimension::new("groups spooled in an outage", 500, 4_000, spool).in_outage(),
    Dimension::new("spooled groups delivered", 500, 4_000, recover).prepared(spool),
    Dimension::new("runs of a group", 1_000, 16_000, |number, url| {
        with_state(url, || runs_of_a_group(number));
    }),
    Dimension::new("label sets of a counter", 1_000, 64_000, label_sets),
    Dimension::new("registered families", 500, 16_000, families),
    Dimension::new("series of a push", 4_000, 128_000, series),
    Dimension::new("sinks", 4, 64, sinks),
];

/// Does the work of a child process and writes the number of its reads and writes.
pub(crate) fn run_child(name: &str, phase: &str, size: usize, url: &str) {
    let dimension = DIMENSIONS.iter().find(|dimension| dimension.name == name);
    let dimension = dimension.expect("the name of a dimension");
    match phase {
        "prepare" => (dimension.prepare)(size, url),
        _ => (dimension.measure)(size, url),
    }
    fs::write(folder().join(CALLS_FILE), calls().to_string()).expect("the folder is writable");
}

fn folder() -> PathBuf {
    env::var_os(FOLDER_VARIABLE).expect("the folder of this process").into()
}

/// The number of calls of `read` and `write` of this process.
fn calls() -> u64 {
    let io = fs::read_to_string("/proc/self/io").expect("the kernel counts calls");
    let count = |name| {
        let line = io.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|count| count.trim().parse::<u64>().ok()).expect("a number")
    };
    count("syscr:") + count("syscw:")
}

/// Configures the state directory of this child while it does the work.
fn with_state(url: &str, work: impl FnOnce()) {
    let config = config(url).state_dir(folder().join("state"));
    let _scope = config.scope().expect("the configuration is valid");
    work();
}

fn without_state(url: &str, work: impl FnOnce()) {
    let _scope = config(url).scope().expect("the configuration is valid");
    work();
}

fn config(url: &str) -> Config {
    Config::default().url(url).expect("the URL is valid")
}

fn task() -> Job {
    Job::new("task")
}

fn start(tenant: usize) -> Run {
    task().start_with(&[("tenant", &tenant)])
}

fn flush() {
    assert_eq!(metrics_push::flush(TIMEOUT), 0, "requests that are not settled");
}

fn open_runs(number: usize) {
    let runs: Vec<_> = (0..number).map(start).collect();
    runs.into_iter().for_each(|run| run.finish(Outcome::Success));
    flush();
}

fn groups(number: usize) {
    for tenant in 0..number {
        start(tenant).finish(Outcome::Success);
        if tenant % 100 == 99 {
            flush();
        }
    }
    flush();
}

/// In an outage, this stores an outcome of each group on disk.
fn spool(number: usize, url: &str) {
    with_state(url, || groups_at_once(number));
}

fn groups_at_once(number: usize) {
    (0..number).for_each(|tenant| start(tenant).finish(Outcome::Success));
    flush();
}

fn recover(_: usize, url: &str) {
    with_state(url, || {
        assert_eq!(metrics_push::recover(TIMEOUT).left, 0, "requests that are not delivered");
    });
}

fn runs_of_a_group(number: usize) {
    for run in 0..number {
        task().start().finish(Outcome::Success);
        if run % 100 == 99 {
            flush();
        }
    }
    flush();
}

// A push without metrics is refused, so that each of the following functions has one unit more than its number.

fn label_sets(number: usize, url: &str) {
    let counter = metrics_push::counter_vec("growth_total", "Label sets.", &["tenant"]);
    let counter = counter.expect("the name is free");
    for tenant in 0..=number {
        counter.with_label_values(&[&tenant.to_string()]).inc();
    }
    push_default_registry(url);
}

fn families(number: usize, url: &str) {
    for family in 0..=number {
        let counter = metrics_push::counter(&format!("growth_{family}_total"), "A family.");
        counter.expect("the name is free").inc();
    }
    push_default_registry(url);
}

fn series(number: usize, url: &str) {
    let gauge = metrics_push::gauge_vec("growth", "Series.", &["shard", "tenant"]);
    let gauge = gauge.expect("the name is free");
    for tenant in 0..=number {
        let shard = (tenant % 16).to_string();
        gauge.with_label_values(&[&shard, &tenant.to_string()]).set(tenant as f64);
    }
    push_default_registry(url);
}

fn push_default_registry(url: &str) {
    let pusher = Pusher::new(url, "growth").expect("the URL is valid");
    pusher.gatherer(prometheus::default_registry()).push().expect("the server accepts the push");
}

fn sinks(number: usize, url: &str) {
    let sink = |number| SinkConfig::new(format!("{url}/{number}")).expect("the URL is valid");
    let add = |config: Config, number| config.sink(sink(number));
    let config = (0..number.max(1)).fold(Config::default(), add);
    let _scope = config.scope().expect("the configuration is valid");
    groups(1);
}
