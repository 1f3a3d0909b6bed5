//! How often a run gathers its registries: once, and never if nothing is pushed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use metrics_push::prometheus::core::{Collector, Desc};
use metrics_push::prometheus::proto::MetricFamily;
use metrics_push::prometheus::{Gauge, Registry};
use metrics_push::testing::FakeGateway;
use metrics_push::{Config, Job, Outcome, flush};

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
    assert_eq!(flush(Duration::from_secs(20)), 0);
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
