//! The dimensions of the work of a process.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, iter};

use metrics_push::{Config, Job, Outcome, Pusher, Run, SinkConfig};
use metrics_push_benches::journals;
use prometheus::{IntCounter, TextEncoder};

/// The variable with the folder of a child.
pub(crate) const FOLDER_VARIABLE: &str = "GROWTH_FOLDER";

const TIMEOUT: Duration = Duration::from_secs(300);

/// Does an amount of work with the server at a URL.
type Work = fn(usize, &str);

pub(crate) struct Dimension {
    pub(crate) name: &'static str,
    min: usize,
    pub(crate) max: usize,
    /// The work of another process while the server refuses connections, before the measured one.
    pub(crate) prepare: Option<Work>,
    pub(crate) measured: Measured,
}

/// The process that is measured.
#[derive(Clone, Copy)]
pub(crate) enum Measured {
    Job(Work),
    /// A job whose server refuses connections.
    JobInOutage(Work),
    /// `metrics-push status`, while the server lists as many groups as the amount of work.
    Status,
}

impl Dimension {
    /// The amounts of work, doubled up to the greatest.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        let halves = iter::successors(Some(self.max), |size| Some(size / 2));
        let mut sizes: Vec<_> = halves.take_while(|size| *size >= self.min).collect();
        sizes.reverse();
        sizes
    }

    const fn new(name: &'static str, min: usize, max: usize, work: Work) -> Self {
        Self { name, min, max, prepare: None, measured: Measured::Job(work) }
    }

    const fn in_outage(name: &'static str, min: usize, max: usize, work: Work) -> Self {
        Self { name, min, max, prepare: None, measured: Measured::JobInOutage(work) }
    }

    const fn status(name: &'static str, min: usize, max: usize) -> Self {
        Self { name, min, max, prepare: None, measured: Measured::Status }
    }

    const fn after(self, prepare: Work) -> Self {
        Self { prepare: Some(prepare), ..self }
    }
}

pub(crate) static DIMENSIONS: &[Dimension] = &[
    Dimension::new("open runs", 10, 100_000, |number, url| {
        without_state(url, || open_runs(number));
    }),
    Dimension::new("open runs with a state directory", 10, 100_000, |number, url| {
        with_state(url, || open_runs(number));
    }),
    Dimension::new("groups", 1_000, 32_000, |number, url| {
        without_state(url, || groups(number));
    }),
    Dimension::new("groups with a state directory", 1_000, 32_000, |number, url| {
        with_state(url, || groups(number));
    }),
    Dimension::in_outage("groups stored in an outage", 500, 16_000, spool),
    Dimension::new("stored groups delivered", 500, 4_000, recover).after(spool),
    Dimension::new("dead processes reported", 250, 16_000, recover).after(|number, url| {
        journals::create_many(number, config(url), &state_dir());
    }),
    Dimension::new("runs of a dead process reported", 250, 16_000, recover).after(|number, url| {
        journals::create_long(number, config(url), &state_dir());
    }),
    Dimension::new("runs beside an open run", 1_000, 32_000, |number, url| {
        with_state(url, || {
            let open = start(0);
            runs_of_a_group(number);
            open.finish(Outcome::Success);
        });
    }),
    Dimension::new("runs in a history", 25, 200, |number, url| {
        with_state(url, || runs_of_a_group(number));
    }),
    Dimension::new("runs of a group", 1_000, 32_000, |number, url| {
        with_state(url, || runs_of_a_group(number));
    }),
    Dimension::new("label sets of a counter", 1_000, 64_000, label_sets),
    Dimension::new("registered families", 500, 16_000, families),
    Dimension::new("limit: families of the `prometheus` crate", 500, 16_000, foreign_families),
    Dimension::new("series of a push", 4_000, 128_000, series),
    Dimension::new("sinks", 8, 256, sinks),
    Dimension::new("shards", 4, 64, |number, url| {
        with_ring(number, url, || groups(GROUPS_PER_SHARD * number));
    }),
    Dimension::new("shards after an outage", 4, 64, |number, url| {
        with_ring(number, url, recover_all);
    })
    .after(|number, url| with_ring(number, url, || groups_at_once(GROUPS_PER_SHARD * number))),
    Dimension::status("groups in `status`", 500, 16_000),
    Dimension::status("groups in `status` with undelivered outcomes", 500, 4_000).after(spool),
];

const GROUPS_PER_SHARD: usize = 16;

/// Does the work of a child process.
pub(crate) fn run_child(name: &str, phase: &str, size: usize, url: &str) {
    let dimension = DIMENSIONS.iter().find(|dimension| dimension.name == name);
    let dimension = dimension.expect("the name of a dimension");
    match (phase, dimension.prepare, dimension.measured) {
        ("prepare", Some(work), _) => work(size, url),
        (_, _, Measured::Job(work) | Measured::JobInOutage(work)) => work(size, url),
        _ => unreachable!("another program does this work"),
    }
}

fn state_dir() -> PathBuf {
    let folder = env::var_os(FOLDER_VARIABLE).expect("the folder of this process");
    state_dir_in(Path::new(&folder))
}

/// Returns the state directory in the folder of a child.
pub(crate) fn state_dir_in(folder: &Path) -> PathBuf {
    folder.join("state")
}

/// Configures the state directory of this child while it does the work.
fn with_state(url: &str, work: impl FnOnce()) {
    in_scope(config(url).state_dir(state_dir()), work);
}

fn without_state(url: &str, work: impl FnOnce()) {
    in_scope(config(url), work);
}

/// Configures a ring of this number of shards while this child does the work.
fn with_ring(number: usize, url: &str, work: impl FnOnce()) {
    let hosts = url.strip_prefix("http://").expect("the scheme is HTTP");
    let shards: Vec<_> = (0..number.max(1)).map(|shard| format!("{hosts}/{shard}")).collect();
    with_state(&format!("shards+http://{}", shards.join(";")), work);
}

fn in_scope(config: Config, work: impl FnOnce()) {
    let _scope = config.scope().expect("the configuration is valid");
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
    in_batches(number, start);
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
    with_state(url, recover_all);
}

fn recover_all() {
    assert_eq!(metrics_push::recover(TIMEOUT).left, 0, "outcomes that are not delivered");
}

fn runs_of_a_group(number: usize) {
    in_batches(number, |_| task().start());
}

/// Starts and finishes runs, and waits for their delivery after each hundredth.
fn in_batches(number: usize, start: impl Fn(usize) -> Run) {
    for run in 0..number {
        start(run).finish(Outcome::Success);
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

/// Registers, gathers and encodes the same families without this library.
fn foreign_families(number: usize, _: &str) {
    for family in 0..=number {
        let counter = IntCounter::new(format!("growth_{family}_total"), "A family.");
        let counter = counter.expect("the name is valid");
        counter.inc();
        prometheus::register(Box::new(counter)).expect("the name is free");
    }
    let text = TextEncoder::new().encode_to_string(&prometheus::gather());
    assert!(!text.expect("the families are valid").is_empty());
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
