//! Runs as a gateway sees them: which verb, which families, which outcome, whatever the way they end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use metrics_push::prometheus::{GaugeVec, Opts};
use metrics_push::testing::{FakeGateway, Fault, Group};
use metrics_push::{Config, Job, Outcome, Run, Scope, Verb, flush};

/// Longer than anything here takes, short enough for a person to wait for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway, and this thread pushing to it.
fn gateway() -> (FakeGateway, Scope) {
    let gateway = FakeGateway::start();
    let scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
    (gateway, scope)
}

fn group(gateway: &FakeGateway, job: &str) -> Group {
    assert_eq!(flush(PATIENCE), 0, "requests are left");
    gateway.group(job, &[])
}

fn outcome_of(group: &Group) -> Vec<&'static str> {
    Outcome::ALL
        .into_iter()
        .map(Outcome::as_str)
        .filter(|outcome| group.value("batch_job_last_run_outcome", &[("outcome", outcome)]) > 0.5)
        .collect()
}

#[test]
fn a_success_replaces_the_group_and_tells_everything() {
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
    assert_eq!(outcome_of(&group), ["success"]);
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
fn counts_past_all_bounds_stay_at_the_bound() {
    let (gateway, _scope) = gateway();
    let job = Job::with_name("import");
    job.run(|run| -> Result<(), ()> {
        for count in [Run::add_processed, Run::add_failed, Run::add_skipped] {
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
fn a_failure_keeps_the_last_success() {
    let (gateway, _scope) = gateway();
    let job = Job::with_name("import");
    job.run(|_| Ok::<_, ()>(())).unwrap();
    let before = group(&gateway, "import");
    job.run(|_| Err::<(), _>("no input")).unwrap_err();
    let after = group(&gateway, "import");
    assert_eq!(outcome_of(&after), ["error"]);
    let name = "batch_job_last_success_timestamp_seconds";
    assert_eq!(after.value(name, &[]).to_bits(), before.value(name, &[]).to_bits());
    assert!(after.value("batch_job_last_run_success", &[]).abs() < f64::EPSILON);
    assert!(after.has_family("batch_job_last_failure_timestamp_seconds"));
    let last = gateway.requests().pop().unwrap();
    assert_eq!(last.method, "POST");
    assert!(!String::from_utf8_lossy(&last.body).contains("last_success"));
}

#[test]
fn a_panic_is_reported_and_goes_on() {
    let (gateway, _scope) = gateway();
    let job = Job::with_name("import");
    let panic =
        catch_unwind(AssertUnwindSafe(|| job.run(|_| -> Result<(), ()> { panic!("boom") })));
    assert_eq!(*panic.unwrap_err().downcast::<&str>().unwrap(), "boom");
    assert_eq!(outcome_of(&group(&gateway, "import")), ["panic"]);
}

#[test]
fn a_run_that_nobody_finishes_was_cancelled() {
    let (gateway, _scope) = gateway();
    drop(Job::with_name("import").start());
    assert_eq!(outcome_of(&group(&gateway, "import")), ["cancelled"]);
}

/// Runs a job to its end when it is dropped.
struct InDrop(Job);

impl Drop for InDrop {
    fn drop(&mut self) {
        self.0.run(|_| Ok::<_, ()>(())).unwrap();
        drop(self.0.start());
    }
}

#[test]
fn runs_that_begin_while_the_thread_unwinds_are_no_panics() {
    let (gateway, _scope) = gateway();
    let job = InDrop(Job::with_name("cleanup"));
    catch_unwind(AssertUnwindSafe(|| {
        let _job = job;
        panic!("somebody else's");
    }))
    .unwrap_err();
    let group = group(&gateway, "cleanup");
    assert_eq!(outcome_of(&group), ["cancelled"]);
    assert!(group.has_family("batch_job_last_success_timestamp_seconds"));
}

#[test]
fn a_skipped_run_is_neither_success_nor_failure() {
    let (gateway, _scope) = gateway();
    let job = Job::with_name("import");
    job.run(|_| Ok::<_, ()>(())).unwrap();
    job.run(|run| {
        run.skip("another instance holds the lock");
        Ok::<_, ()>(())
    })
    .unwrap();
    let group = group(&gateway, "import");
    assert_eq!(outcome_of(&group), ["skipped"]);
    assert!((group.value("batch_job_last_run_success", &[]) - 1.0).abs() < f64::EPSILON);
    assert!(group.has_family("batch_job_last_skipped_timestamp_seconds"));
    assert!(!group.has_family("batch_job_last_failure_timestamp_seconds"));
}

#[test]
fn an_error_after_a_skip_is_an_error() {
    let (gateway, _scope) = gateway();
    let skip_and_fail = |run: &Run| {
        run.skip("nothing to do");
        Err::<(), _>("or was there?")
    };
    Job::with_name("import").run(skip_and_fail).unwrap_err();
    assert_eq!(outcome_of(&group(&gateway, "import")), ["error"]);
}

#[test]
fn what_the_code_no_longer_exports_disappears_unless_successes_add() {
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
fn overlapping_runs_of_one_job_keep_their_own_times() {
    let (gateway, _scope) = gateway();
    let job = Job::with_name("overlap");
    let (first, second) = (job.start(), job.start());
    first.add_processed(1);
    second.add_processed(2);
    second.finish(Outcome::Success);
    first.finish(Outcome::Error);
    let group = group(&gateway, "overlap");
    assert_eq!(outcome_of(&group), ["error"]);
    let processed = group.value("batch_job_last_run_records", &[("result", "processed")]);
    assert!((processed - 1.0).abs() < f64::EPSILON);
    assert!(group.has_family("batch_job_last_success_timestamp_seconds"));
}

#[test]
fn a_metric_that_clashes_with_the_key_is_left_out_and_the_outcome_is_not() {
    let (gateway, _scope) = gateway();
    let job = Job::with_name("import");
    let run = job.start();
    let clash = GaugeVec::new(Opts::new("clash", "Has a job label."), &["job"]).unwrap();
    clash.with_label_values(&["other"]).set(1.0);
    run.registry().register(Box::new(clash)).unwrap();
    run.finish(Outcome::Success);
    let group = group(&gateway, "import");
    assert_eq!(outcome_of(&group), ["success"]);
    assert!(!group.has_family("clash"));
}

#[test]
fn a_whole_process_pushes_the_default_registry_and_a_task_does_not() {
    let (gateway, _scope) = gateway();
    metrics_push::counter("things_of_the_process_total", "Things.").unwrap().inc();
    let body = |_: &Run| Ok::<_, ()>(());
    Job::with_name("main").whole_process().run(body).unwrap();
    Job::with_name("task").run(body).unwrap();
    assert!(group(&gateway, "main").has_family("things_of_the_process_total"));
    assert!(!group(&gateway, "task").has_family("things_of_the_process_total"));
}

#[test]
fn the_start_is_pushed_while_the_body_runs() {
    let (gateway, _scope) = gateway();
    let job = Job::with_name("long").max_runtime(Duration::from_secs(60));
    let run = job.start();
    gateway.wait_for(PATIENCE, |gateway| gateway.find_group("long", &[]).is_some());
    let group = gateway.group("long", &[]);
    assert!(outcome_of(&group).is_empty());
    assert!((group.value("batch_job_max_runtime_seconds", &[]) - 60.0).abs() < f64::EPSILON);
    assert!(!group.has_family("batch_job_last_completion_timestamp_seconds"));
    run.finish(Outcome::Success);
}

#[test]
fn a_heart_beats_until_the_run_is_over() {
    let (gateway, _scope) = gateway();
    let job = Job::with_name("long").heartbeat(Duration::from_millis(5));
    let run = job.start();
    run.progress(1, 4);
    let ratio = |gateway: &FakeGateway| {
        gateway.find_group("long", &[])?.get("batch_job_progress_ratio", &[])
    };
    gateway.wait_for(PATIENCE, |gateway| ratio(gateway) == Some(0.25));
    run.finish(Outcome::Success);
    let beats = group(&gateway, "long");
    assert_eq!(outcome_of(&beats), ["success"]);
}

#[test]
fn a_slow_gateway_does_not_delay_the_body_and_gets_one_push() {
    let (gateway, _scope) = gateway();
    let stall = Duration::from_millis(300);
    gateway.fail_next(1, Fault::stall(stall));
    let job = Job::with_name("quick");
    let first = job.start();
    gateway.wait_for(PATIENCE, |gateway| !gateway.requests().is_empty());
    // The start push of the first run is under way: all that follows waits and is merged.
    let before = std::time::Instant::now();
    first.finish(Outcome::Error);
    job.run(|_| Ok::<_, ()>(())).unwrap();
    assert!(before.elapsed() < stall / 2, "{:?}", before.elapsed());
    gateway.wait_for(PATIENCE, |gateway| gateway.requests().len() == 2);
    assert!(before.elapsed() > stall / 2, "two pushes to one group were under way at once");
    assert_eq!(outcome_of(&group(&gateway, "quick")), ["success"]);
    assert_eq!(gateway.requests().len(), 2, "{:?}", gateway.requests());
}

#[test]
fn a_dead_gateway_costs_a_process_its_time_and_a_task_nothing() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::hang());
    let budget = Duration::from_millis(300);
    let config = Config::default().url(gateway.url()).unwrap().timeout(budget);
    let _scope = config.scope().unwrap();
    let took = |job: Job| {
        let before = std::time::Instant::now();
        job.run(|_| Ok::<_, ()>(())).unwrap();
        before.elapsed()
    };
    assert!(took(Job::with_name("task")) < budget / 2);
    let process = took(Job::with_name("main").whole_process());
    assert!(process >= budget / 2 && process < budget * 2, "{process:?}");
}
