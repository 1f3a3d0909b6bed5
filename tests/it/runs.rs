//! What a run pushes to a gateway for each outcome: verb, families and values.

use std::future::{Future, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::time::Duration;

use metrics_push::prometheus::{GaugeVec, Opts};
use metrics_push::testing::{FakeGateway, Fault, Group};
use metrics_push::{Config, Job, Outcome, Run, RunHandle, Scope, Verb, push_job};
use tokio::runtime::Runtime;

use crate::flushes::flush;

/// How long a test waits for an event before it fails.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Starts a gateway. Jobs of this thread push to it while the scope exists.
fn gateway() -> (FakeGateway, Scope) {
    let gateway = FakeGateway::start();
    let scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
    (gateway, scope)
}

fn group(gateway: &FakeGateway, job: &str) -> Group {
    flush();
    gateway.group(job, &[])
}

fn outcomes(group: &Group) -> Vec<&'static str> {
    Outcome::ALL
        .into_iter()
        .map(Outcome::as_str)
        .filter(|outcome| group.value("batch_job_last_run_outcome", &[("outcome", outcome)]) > 0.5)
        .collect()
}

#[test]
fn success_replaces_the_group_with_all_metrics() {
    let (gateway, _scope) = gateway();
    let job = Job::with_name("import").every(Duration::from_secs(3_600)).version(Some("1.2.3"));
    job.run(|run| -> Result<(), ()> {
        run.add_processed(5);
        run.add_failed(2);
        drop(run.stage("extract"));
        run.progress(1, 2);
        run.gauge("orders_value_euros", "Value of the orders.").unwrap().set(12.5);
        Ok(())
    })
    .unwrap();
    let group = group(&gateway, "import");
    assert_eq!(outcomes(&group), ["success"]);
    assert!((group.value("batch_job_last_run_success", &[]) - 1.0).abs() < f64::EPSILON);
    for (name, labels, expected) in [
        ("batch_job_last_run_records", &[("result", "processed")][..], 5.0),
        ("batch_job_last_run_records", &[("result", "failed")], 2.0),
        ("batch_job_last_run_records", &[("result", "skipped")], 0.0),
        ("batch_job_success_deadline_seconds", &[], 7_200.0),
        ("batch_job_info", &[("version", "1.2.3")], 1.0),
        ("batch_job_progress_ratio", &[], 0.5),
        ("orders_value_euros", &[], 12.5),
    ] {
        let value = group.value(name, labels);
        assert!((value - expected).abs() < 1e-9, "{name} {labels:?}: {value}");
    }
    assert!(group.has_family("batch_job_stage_duration_seconds"));
    let start = group.value("batch_job_last_start_timestamp_seconds", &[]);
    let success = group.value("batch_job_last_success_timestamp_seconds", &[]);
    assert!(start > 1.7e9 && success >= start, "{start} {success}");
}

#[test]
fn record_counts_saturate() {
    let (gateway, _scope) = gateway();
    let job = Job::with_name("import");
    job.run(|run| -> Result<(), ()> {
        for count in [RunHandle::add_processed, RunHandle::add_failed, RunHandle::add_skipped] {
            count(run, u64::MAX);
            count(run, 1);
        }
        Ok(())
    })
    .unwrap();
    let group = group(&gateway, "import");
    for result in ["processed", "failed", "skipped"] {
        let records = group.value("batch_job_last_run_records", &[("result", result)]);
        assert!(records > 1.8e19, "{result}: {records}");
    }
}

#[test]
fn handle_counts_on_other_threads() {
    let (gateway, _scope) = gateway();
    let run = Job::with_name("import").start();
    let threads = [(); 4].map(|()| {
        let handle = run.handle();
        std::thread::spawn(move || handle.add_processed(2))
    });
    for thread in threads {
        thread.join().unwrap();
    }
    let late = run.handle();
    run.finish(Outcome::Success);
    late.add_processed(1);
    let records =
        group(&gateway, "import").value("batch_job_last_run_records", &[("result", "processed")]);
    assert!((records - 8.0).abs() < f64::EPSILON, "{records}");
}

#[test]
fn failure_keeps_the_last_success() {
    let (gateway, _scope) = gateway();
    let job = Job::with_name("import");
    job.run(|_| Ok::<_, ()>(())).unwrap();
    let before = group(&gateway, "import");
    job.run(|_| Err::<(), _>("no input")).unwrap_err();
    let after = group(&gateway, "import");
    assert_eq!(outcomes(&after), ["error"]);
    let name = "batch_job_last_success_timestamp_seconds";
    assert_eq!(after.value(name, &[]).to_bits(), before.value(name, &[]).to_bits());
    assert!(after.value("batch_job_last_run_success", &[]).abs() < f64::EPSILON);
    assert!(after.has_family("batch_job_last_failure_timestamp_seconds"));
    let last = gateway.requests().pop().unwrap();
    assert_eq!(last.method, "POST");
    assert!(!String::from_utf8_lossy(&last.body).contains("last_success"));
}

#[test]
fn panic_is_reported_and_propagated() {
    let (gateway, _scope) = gateway();
    let job = Job::with_name("import");
    let panic =
        catch_unwind(AssertUnwindSafe(|| job.run(|_| -> Result<(), ()> { panic!("boom") })));
    assert_eq!(*panic.unwrap_err().downcast::<&str>().unwrap(), "boom");
    assert_eq!(outcomes(&group(&gateway, "import")), ["panic"]);
}

#[test]
fn unfinished_run_is_reported_as_cancelled() {
    let (gateway, _scope) = gateway();
    drop(Job::with_name("import").start());
    assert_eq!(outcomes(&group(&gateway, "import")), ["cancelled"]);
}

/// Runs a job twice on drop: one run succeeds, the other is not finished.
struct RunOnDrop(Job);

impl Drop for RunOnDrop {
    fn drop(&mut self) {
        self.0.run(|_| Ok::<_, ()>(())).unwrap();
        drop(self.0.start());
    }
}

#[test]
fn run_started_during_unwinding_is_not_a_panic() {
    let (gateway, _scope) = gateway();
    let job = RunOnDrop(Job::with_name("cleanup"));
    catch_unwind(AssertUnwindSafe(|| {
        let _job = job;
        panic!("unrelated to the job");
    }))
    .unwrap_err();
    let group = group(&gateway, "cleanup");
    assert_eq!(outcomes(&group), ["cancelled"]);
    assert!(group.has_family("batch_job_last_success_timestamp_seconds"));
}

#[test]
fn skipped_run_is_neither_success_nor_failure() {
    let (gateway, _scope) = gateway();
    let job = Job::with_name("import");
    job.run(|_| Ok::<_, ()>(())).unwrap();
    job.run(|run| {
        run.skip("another instance holds the lock");
        Ok::<_, ()>(())
    })
    .unwrap();
    let group = group(&gateway, "import");
    assert_eq!(outcomes(&group), ["skipped"]);
    assert!((group.value("batch_job_last_run_success", &[]) - 1.0).abs() < f64::EPSILON);
    assert!(group.has_family("batch_job_last_skipped_timestamp_seconds"));
    assert!(!group.has_family("batch_job_last_failure_timestamp_seconds"));
}

#[test]
fn skip_if_decides_before_the_result_is_judged() {
    #[push_job(skip_if = |imported| matches!(imported, Ok(0) | Err(75)))]
    fn plain(result: Result<u32, u32>) -> Result<u32, u32> {
        result
    }
    #[push_job(name = "plain", skip_if = |n| *n == 0, error_if = |n| *n > 8)]
    async fn later(n: u32) -> u32 {
        n
    }
    #[expect(clippy::manual_async_fn, reason = "the test needs a function that returns a future")]
    #[push_job(name = "plain", skip_if = |n| *n == 0)]
    fn tail(n: u32) -> impl Future<Output = u32> {
        async move { n }
    }
    #[push_job(name = "plain", skip_if = |n: &u32| *n == 0)]
    fn returned(n: u32) -> impl Future<Output = u32> {
        ready(n)
    }
    #[push_job(name = "plain", skip_if = |n| *n == 0)]
    fn boxed_tail(n: u32) -> Pin<Box<dyn Future<Output = u32>>> {
        Box::pin(async move { n })
    }
    #[push_job(name = "plain", skip_if = |n: &u32| *n == 0)]
    fn boxed(n: u32) -> Pin<Box<dyn Future<Output = u32>>> {
        let future = ready(n);
        Box::pin(future)
    }
    #[push_job(name = "plain", skip_if = |n: &u32| *n == 0)]
    fn boxed_early(n: u32) -> Pin<Box<dyn Future<Output = u32>>> {
        if n == 0 {
            return Box::pin(ready(n));
        }
        Box::pin(async move { n })
    }
    #[push_job(name = "plain", skip_if = |text| text.to_string().is_empty())]
    fn opaque(text: &'static str) -> impl ToString {
        text
    }
    let runtime = Runtime::new().unwrap();
    let calls: [(&dyn Fn(), &str); 18] = [
        (&|| _ = plain(Ok(0)), "skipped"),
        (&|| _ = plain(Err(75)), "skipped"),
        (&|| _ = plain(Ok(1)), "success"),
        (&|| _ = plain(Err(1)), "error"),
        (&|| _ = runtime.block_on(later(0)), "skipped"),
        (&|| _ = runtime.block_on(later(1)), "success"),
        (&|| _ = runtime.block_on(later(9)), "error"),
        (&|| _ = runtime.block_on(tail(0)), "skipped"),
        (&|| _ = runtime.block_on(tail(1)), "success"),
        (&|| _ = runtime.block_on(returned(0)), "skipped"),
        (&|| _ = runtime.block_on(returned(1)), "success"),
        (&|| _ = runtime.block_on(boxed_tail(0)), "skipped"),
        (&|| _ = runtime.block_on(boxed_tail(1)), "success"),
        (&|| _ = runtime.block_on(boxed(0)), "skipped"),
        (&|| _ = runtime.block_on(boxed(1)), "success"),
        (&|| _ = runtime.block_on(boxed_early(0)), "skipped"),
        (&|| _ = runtime.block_on(boxed_early(1)), "success"),
        (&|| _ = opaque(""), "skipped"),
    ];
    for (number, (call, outcome)) in calls.into_iter().enumerate() {
        let (gateway, _scope) = gateway();
        call();
        assert_eq!(outcomes(&group(&gateway, "plain")), [outcome], "{number}");
    }
}

#[test]
fn error_after_skip_is_reported_as_error() {
    let (gateway, _scope) = gateway();
    let skip_and_fail = |run: &Run| {
        run.skip("nothing to do");
        Err::<(), _>("or was there?")
    };
    Job::with_name("import").run(skip_and_fail).unwrap_err();
    assert_eq!(outcomes(&group(&gateway, "import")), ["error"]);
}

#[test]
fn unexported_metric_disappears_unless_on_success_is_add() {
    let (gateway, _scope) = gateway();
    let with_extra = |run: &Run| {
        run.gauge("extra", "Once exported.").unwrap().set(1.0);
        Ok::<_, ()>(())
    };
    for (name, verb, remains) in [("push", Verb::Push, false), ("add", Verb::Add, true)] {
        let job = Job::with_name(name).on_success(verb);
        job.run(with_extra).unwrap();
        assert!(group(&gateway, name).has_family("extra"));
        job.run(|_| Ok::<_, ()>(())).unwrap();
        assert_eq!(group(&gateway, name).has_family("extra"), remains, "{name}");
    }
}

#[test]
fn overlapping_runs_do_not_share_state() {
    let (gateway, _scope) = gateway();
    let job = Job::with_name("overlap");
    let (first, second) = (job.start(), job.start());
    first.add_processed(1);
    second.add_processed(2);
    second.finish(Outcome::Success);
    first.finish(Outcome::Error);
    let group = group(&gateway, "overlap");
    assert_eq!(outcomes(&group), ["error"]);
    let processed = group.value("batch_job_last_run_records", &[("result", "processed")]);
    assert!((processed - 1.0).abs() < f64::EPSILON);
    assert!(group.has_family("batch_job_last_success_timestamp_seconds"));
}

#[test]
fn clashing_metric_is_dropped_and_the_outcome_is_pushed() {
    let (gateway, _scope) = gateway();
    let job = Job::with_name("import");
    let run = job.start();
    let clash = GaugeVec::new(Opts::new("clash", "Has a job label."), &["job"]).unwrap();
    clash.with_label_values(&["other"]).set(1.0);
    run.registry().register(Box::new(clash)).unwrap();
    run.finish(Outcome::Success);
    let group = group(&gateway, "import");
    assert_eq!(outcomes(&group), ["success"]);
    assert!(!group.has_family("clash"));
}

#[test]
fn whole_process_job_pushes_the_default_registry() {
    let (gateway, _scope) = gateway();
    metrics_push::counter("things_of_the_process_total", "Things.").unwrap().inc();
    let body = |_: &Run| Ok::<_, ()>(());
    Job::with_name("main").whole_process().run(body).unwrap();
    Job::with_name("task").run(body).unwrap();
    assert!(group(&gateway, "main").has_family("things_of_the_process_total"));
    assert!(!group(&gateway, "task").has_family("things_of_the_process_total"));
}

#[test]
fn start_is_pushed_while_the_body_runs() {
    let (gateway, _scope) = gateway();
    let job = Job::with_name("long").max_runtime(Duration::from_secs(60));
    let run = job.start();
    gateway.wait_for(TIMEOUT, |gateway| gateway.find_group("long", &[]).is_some());
    let group = gateway.group("long", &[]);
    // A start that arrives after the completion must not change these.
    for name in ["batch_job_last_run_outcome", "batch_job_pushed_at_timestamp_seconds"] {
        assert!(!group.has_family(name), "{group}");
    }
    assert!((group.value("batch_job_max_runtime_seconds", &[]) - 60.0).abs() < f64::EPSILON);
    assert!(!group.has_family("batch_job_last_completion_timestamp_seconds"));
    run.finish(Outcome::Success);
}

#[test]
fn heartbeat_pushes_progress() {
    let (gateway, _scope) = gateway();
    let job = Job::with_name("long").heartbeat(Duration::from_secs(1));
    let run = job.start();
    run.progress(1, 4);
    let ratio = |gateway: &FakeGateway| {
        gateway.find_group("long", &[])?.get("batch_job_progress_ratio", &[])
    };
    gateway.wait_for(TIMEOUT, |gateway| ratio(gateway) == Some(0.25));
    run.finish(Outcome::Success);
    assert_eq!(outcomes(&group(&gateway, "long")), ["success"]);
}

#[test]
fn heartbeat_interval_is_at_least_a_second() {
    let (gateway, _scope) = gateway();
    for (interval, expected) in [(Duration::ZERO, 1.0), (Duration::from_millis(1_500), 1.5)] {
        Job::with_name("long").heartbeat(interval).run(|_| Ok::<_, ()>(())).unwrap();
        gateway.wait_for(TIMEOUT, |gateway| {
            let group = gateway.find_group("long", &[]);
            let exported =
                group.and_then(|group| group.get("batch_job_heartbeat_interval_seconds", &[]));
            exported == Some(expected)
        });
    }
}

#[test]
fn slow_gateway_does_not_delay_the_body() {
    let gateway = FakeGateway::start();
    let config = Config::default().url(gateway.url()).unwrap().timeout(TIMEOUT * 3);
    let _scope = config.scope().unwrap();
    // Sends no response until the gateway is healed.
    gateway.fail_next(1, Fault::drip(TIMEOUT));
    let job = Job::with_name("quick");
    let first = job.start();
    gateway.wait_for(TIMEOUT, |gateway| !gateway.requests().is_empty());
    // The start push of the first run is in flight; all requests after it wait and are merged.
    let started = std::time::Instant::now();
    first.finish(Outcome::Error);
    job.run(|_| Ok::<_, ()>(())).unwrap();
    assert!(started.elapsed() < TIMEOUT / 2, "{:?}", started.elapsed());
    assert_eq!(gateway.requests().len(), 1, "two pushes to one group were in flight at once");
    gateway.heal();
    gateway.wait_for(TIMEOUT, |gateway| gateway.requests().len() == 2);
    assert_eq!(outcomes(&group(&gateway, "quick")), ["success"]);
    assert_eq!(gateway.requests().len(), 2, "{:?}", gateway.requests());
}

#[test]
fn hanging_gateway_delays_a_process_but_not_a_task() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::hang());
    let duration = |job: Job, timeout| {
        let config = Config::default().url(gateway.url()).unwrap().timeout(timeout);
        let _scope = config.scope().unwrap();
        let started = std::time::Instant::now();
        job.run(|_| Ok::<_, ()>(())).unwrap();
        started.elapsed()
    };
    let timeout = Duration::from_secs(1);
    let process = duration(Job::with_name("main").whole_process(), timeout);
    assert!(process >= timeout / 2 && process < timeout + TIMEOUT / 4, "{process:?}");
    assert!(duration(Job::with_name("task"), TIMEOUT) < TIMEOUT / 2);
    gateway.heal();
    flush();
}
