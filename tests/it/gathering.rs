//! How often a run gathers its registries, and what happens if their collectors do not return.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::prometheus::core::{Collector, Desc};
use metrics_push::prometheus::proto::MetricFamily;
use metrics_push::prometheus::{Gauge, Registry};
use metrics_push::testing::FakeGateway;
use metrics_push::{Batcher, Config, GroupingKey, Job, Outcome, Pusher, counted};

use crate::child::{FinishedJob, PanicStrategy, job, job_program};
use crate::flushes::flush;
use crate::lifecycle::{completions, outcomes};
use crate::programs::aborting_ending;

/// A gauge that counts the calls of `collect`.
struct CountedGauge {
    gauge: Gauge,
    collects: &'static AtomicUsize,
}

impl Collector for CountedGauge {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.collects.fetch_add(1, Ordering::SeqCst);
        self.gauge.collect()
    }
}

fn registry_counting_in(collects: &'static AtomicUsize) -> Registry {
    let registry = Registry::new();
    let gauge = Gauge::new("rows", "Rows.").unwrap();
    registry.register(Box::new(CountedGauge { gauge, collects })).unwrap();
    registry
}

/// Ends one run in each way that a body can end it, and returns the number of runs.
fn end_runs(job: &Job) -> usize {
    job.start().finish(Outcome::Success);
    job.start().finish(Outcome::Error);
    drop(job.start());
    job.run(|_| Err::<(), ()>(())).unwrap_err();
    let panic = AssertUnwindSafe(|| job.run(|_| -> Result<(), ()> { panic!("expected") }));
    assert!(catch_unwind(panic).is_err());
    5
}

#[test]
fn run_gathers_its_registries_once() {
    static COLLECTS: AtomicUsize = AtomicUsize::new(0);
    static REGISTRY: LazyLock<Registry> = LazyLock::new(|| registry_counting_in(&COLLECTS));
    let gateway = FakeGateway::start();
    let _scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
    let task = Job::new("gathered_task").registry(|| &REGISTRY);
    let process = Job::new("gathered_process").registry(|| &REGISTRY).whole_process();
    for job in [task, process] {
        let before = COLLECTS.load(Ordering::SeqCst);
        let runs = end_runs(&job);
        assert_eq!(COLLECTS.load(Ordering::SeqCst) - before, runs, "{}", job.name());
    }
    flush();
}

#[test]
fn run_without_a_gateway_gathers_nothing() {
    static COLLECTS: AtomicUsize = AtomicUsize::new(0);
    static REGISTRY: LazyLock<Registry> = LazyLock::new(|| registry_counting_in(&COLLECTS));
    let _scope = Config::default().scope().unwrap();
    end_runs(&Job::new("ungathered_task").registry(|| &REGISTRY));
    end_runs(&Job::new("ungathered_process").registry(|| &REGISTRY).whole_process());
    assert_eq!(COLLECTS.load(Ordering::SeqCst), 0);
}

/// The collectors of `tests/programs/collectors.rs` that never return.
const STUCK_COLLECTORS: [&str; 3] =
    ["blocking-collector", "registering-collector", "looping-collector"];

/// The timeout of a job with a stuck collector. Half of it is left for its outcome, which is enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(6);
/// The extra time that a busy machine may take.
const SLACK: Duration = Duration::from_secs(5);

/// Runs a job with this collector in the default registry to its end, or until a signal ends it.
fn end_with_collector(
    gateway: &FakeGateway,
    panics: PanicStrategy,
    arguments: [&str; 2],
) -> FinishedJob {
    let command = job(panics, &arguments).gateway(&gateway.url());
    let running = command.variable("METRICS_PUSH_TIMEOUT", format!("{TIMEOUT:?}")).start();
    if arguments[1] != "wait" {
        return running.wait();
    }
    let running = running.ready();
    running.signal("TERM");
    running.wait()
}

/// Fails unless the job reported this outcome and its records once.
#[track_caller]
fn assert_reported(gateway: &FakeGateway, outcome: &str, ended: &FinishedJob) {
    let group = gateway.group("ending", &[]);
    assert_eq!(outcomes(&group), [outcome], "{ended:?}");
    assert_eq!(group.get("batch_job_last_run_records", &[("result", "processed")]), Some(7.0));
    assert_eq!(completions(gateway, "ending"), 1, "{ended:?}");
}

#[test]
fn stuck_collector_delays_no_ending_beyond_its_timeout() {
    // Builds the program, which takes longer than its runs.
    aborting_ending();
    thread::scope(|scope| {
        for collector in STUCK_COLLECTORS {
            scope.spawn(move || end_with_stuck_collector(collector));
        }
    });
}

fn end_with_stuck_collector(collector: &str) {
    for (panics, ending, outcome) in [
        (PanicStrategy::Unwind, "ok", "success"),
        (PanicStrategy::Unwind, "err", "error"),
        (PanicStrategy::Unwind, "panic", "panic"),
        (PanicStrategy::Abort, "panic", "panic"),
        (PanicStrategy::Unwind, "exit-3", "exit_code"),
        (PanicStrategy::Unwind, "wait", "signal"),
    ] {
        let gateway = FakeGateway::start();
        let started = Instant::now();
        let ended = end_with_collector(&gateway, panics, [collector, ending]);
        assert!(started.elapsed() < TIMEOUT + SLACK, "{collector}, {ending}: {ended:?}");
        assert_reported(&gateway, outcome, &ended);
        let [line] = ended.log_lines.as_slice() else { panic!("{collector}: {ended:?}") };
        let place = r#"metric "*" is skipped: a collector did not finish within"#;
        assert!(line.contains(place) && line.contains(r#"{job="ending"}"#), "{line}");
    }
}

#[test]
fn panicking_collector_does_not_hide_the_outcome() {
    for (panics, ending, outcome) in [
        (PanicStrategy::Unwind, "ok", "success"),
        (PanicStrategy::Unwind, "panic", "panic"),
        (PanicStrategy::Abort, "panic", "panic"),
        // The panic in the collector aborts the process.
        (PanicStrategy::Abort, "ok", "panic"),
    ] {
        let gateway = FakeGateway::start();
        let ended = end_with_collector(&gateway, panics, ["panicking-collector", ending]);
        assert_eq!(ended.status.success(), outcome == "success", "{ended:?}");
        assert_reported(&gateway, outcome, &ended);
    }
}

#[test]
fn exit_in_a_collector_is_reported() {
    let gateway = FakeGateway::start();
    let arguments = ["exiting-collector", "ok"];
    let ended = end_with_collector(&gateway, PanicStrategy::Unwind, arguments);
    assert_eq!(ended.status.code(), Some(7), "{ended:?}");
    assert_reported(&gateway, "exit_code", &ended);
}

/// A gauge whose `collect` blocks until the process exits.
struct BlockingGauge(Gauge);

impl Collector for BlockingGauge {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        loop {
            thread::park();
        }
    }
}

fn blocking_gauge() -> BlockingGauge {
    BlockingGauge(Gauge::new("stuck", "Stuck.").unwrap())
}

fn blocking_registry() -> Registry {
    let registry = Registry::new();
    registry.register(Box::new(blocking_gauge())).unwrap();
    registry
}

#[test]
fn stuck_shared_registry_delays_one_run_only() {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(blocking_registry);
    let gateway = FakeGateway::start();
    let config = Config::default().url(gateway.url()).unwrap().timeout(Duration::from_secs(8));
    let _scope = config.scope().unwrap();
    let task = Job::new("stuck_task").registry(|| &REGISTRY);
    let started = Instant::now();
    for _ in 0..20 {
        let run = task.start();
        run.counter("rows_total", "Rows.").unwrap().inc();
        run.finish(Outcome::Success);
    }
    assert!(started.elapsed() < SLACK, "{:?}", started.elapsed());
    flush();
    let group = gateway.group("stuck_task", &[]);
    assert_eq!(group.value("rows_total", &[]), 1.0);
    assert_eq!(outcomes(&group), ["success"]);
}

#[test]
fn threads_of_stuck_registries_are_bounded() {
    let gateway = FakeGateway::start();
    let command = job(PanicStrategy::Unwind, &["stuck-tasks"]).gateway(&gateway.url());
    let ended = command.variable("METRICS_PUSH_TIMEOUT", "100ms").run_to_end();
    let threads = ended.stdout.lines().nth(1).and_then(|line| line.parse::<usize>().ok());
    assert!(threads.is_some_and(|threads| threads < 100), "{ended:?}");
}

#[test]
fn stuck_collector_fails_a_push_within_its_timeout() {
    let gateway = FakeGateway::start();
    let started = Instant::now();
    let pusher = Pusher::new(gateway.url(), "stuck_push").unwrap();
    let pusher = pusher.map_gateway(|gateway| gateway.timeout(Duration::from_secs(1)));
    let error = pusher.collector(blocking_gauge()).unwrap().push().unwrap_err();
    assert!(error.is_metric() && error.to_string().contains("did not finish"), "{error}");
    let config = Config::default().url(gateway.url()).unwrap().timeout(Duration::from_secs(1));
    let _scope = config.scope().unwrap();
    let batcher = Batcher::new(Duration::from_secs(1));
    let key = GroupingKey::new("stuck_batch").unwrap();
    assert!(batcher.push(key, &blocking_registry()).unwrap_err().is_metric());
    assert!(started.elapsed() < SLACK, "{:?}", started.elapsed());
}

/// A job with label values of a megabyte sends short ones, and logs one line for each label that it changes.
#[test]
fn memory_of_a_job_does_not_depend_on_the_length_of_its_labels() {
    let gateway = FakeGateway::start();
    let launcher = ["sh", "-c", "ulimit -v 700000; exec \"$@\"", "sh"];
    let ended =
        job_program("hostile_labels").gateway(&gateway.url()).within(&launcher).run_to_end();
    assert!(ended.status.success(), "{ended:?}");
    let requests = gateway.requests();
    let last = requests.last().unwrap_or_else(|| panic!("nothing was sent: {ended:?}"));
    let body = String::from_utf8_lossy(&last.body);
    assert!(last.path.len() < 3_000 && last.path.contains("/tenant/_invalid"), "{}", last.path);
    let longest = body.lines().map(str::len).max();
    assert!(longest.is_some_and(|length| length < 1_300), "{longest:?}");
    let series = |name: &str| body.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(series("times_seconds_count{"), 20);
    assert_eq!(series("theirs_count{"), 20);
    assert_eq!(series("ours_total{"), 20);
    assert_eq!(series("batch_job_stage_duration_seconds{"), 20);
    let mut lines = ended.log_lines;
    lines.sort();
    let starts = [
        r#"grouping label "job": its value is cut"#,
        r#"grouping label "shard": its value is cut"#,
        r#"grouping label "tenant": its value is "_invalid""#,
        r#"label "of" of metric "counts_total": its value is "_invalid""#,
        r#"label "of" of metric "ours_total": its value is cut"#,
        r#"label "of" of metric "theirs": its value is cut"#,
        r#"label "of" of metric "times_seconds": its value is cut"#,
        r#"label "stage" of metric "batch_job_stage_duration_seconds": its value is cut"#,
        r#"the outcome is an error because the predicate "hostile_labels::judge::{{closure}}""#,
    ];
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(&format!("metrics-push: {start}")), "{line}");
    }
    assert_eq!(lines.len(), starts.len(), "{lines:?}");
}

/// A registry is locked while it is gathered.
#[test]
fn first_call_of_a_function_does_not_wait_for_a_stuck_registry() {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(blocking_registry);
    #[counted(registry = &*REGISTRY)]
    fn counted() -> u8 {
        7
    }
    let gateway = FakeGateway::start();
    let config = Config::default().url(gateway.url()).unwrap().timeout(Duration::from_secs(1));
    let _scope = config.scope().unwrap();
    let started = Instant::now();
    Job::new("stuck_before_a_call").registry(|| &REGISTRY).start().finish(Outcome::Success);
    assert_eq!(counted() + counted(), 14);
    let error = metrics_push::MetricFactory::with(&REGISTRY).counter("late_total", "Late.");
    assert!(error.unwrap_err().to_string().contains("while a collector hangs"));
    assert!(started.elapsed() < SLACK, "{:?}", started.elapsed());
}
