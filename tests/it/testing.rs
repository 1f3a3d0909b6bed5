//! Tests of `metrics_push::testing`, used as in the tests of a job: parallel tests do not affect each other, and failed
//! assertions print the contents of the group.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Config, Gateway, GroupingKey, Job, Outcome, Scope, push_job};

#[push_job(name = "import", grouping(region = region), run = run)]
fn import(region: &str, records: u64) -> Result<(), String> {
    run.add_processed(records);
    if records == 0 { Err("no records to import".to_owned()) } else { Ok(()) }
}

#[push_job(name = "reindex")]
async fn reindex() {
    tokio::task::yield_now().await;
}

fn scoped() -> (FakeGateway, Scope) {
    let gateway = FakeGateway::start();
    let scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
    (gateway, scope)
}

/// Returns the panic message of a failed assertion.
fn message(assertion: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assertion)).unwrap_err();
    panic.downcast_ref::<String>().unwrap().clone()
}

#[test]
fn assertions_pass_on_outcome_values_and_families() {
    let (gateway, _scope) = scoped();
    import("eu", 3).unwrap();
    gateway
        .after_run("import", &[("region", "eu")])
        .assert_outcome("success")
        .assert_value("batch_job_last_run_records", &[("result", "processed")], 3.0)
        .assert_family("batch_job_last_success_timestamp_seconds")
        .assert_no_family("batch_job_last_failure_timestamp_seconds");
    gateway.clear();
    import("eu", 0).unwrap_err();
    gateway.after_run("import", &[("region", "eu")]).assert_outcome("error");
}

#[test]
fn failed_assertions_print_the_actual_contents() {
    let (gateway, _scope) = scoped();
    import("eu", 0).unwrap_err();
    let group = gateway.after_run("import", &[("region", "eu")]);
    let records = "batch_job_last_run_records";
    for (text, expected) in [
        (
            message(|| {
                group.assert_outcome("success");
            }),
            r#"expected outcome "success", but the last run of {job="import",region="eu"} finished as "error"; contents of the group:"#,
        ),
        (
            message(|| {
                group.assert_value(records, &[("result", "processed")], 3.0);
            }),
            "to be 3 in the group {job=\"import\",region=\"eu\"}, but it is 0",
        ),
        (
            message(|| {
                group.assert_value(records, &[("result", "good")], 3.0);
            }),
            "result=\"processed\"",
        ),
        (
            message(|| {
                group.assert_family("orders");
            }),
            "to have the family orders, but it has: batch_job_consecutive_failures, batch_job_consecutive_successes",
        ),
        (
            message(|| {
                group.assert_no_family(records);
            }),
            "result=\"failed\"} 0",
        ),
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn open_run_has_no_outcome() {
    let (gateway, _scope) = scoped();
    let run = Job::new("open").start();
    gateway.wait_for(Duration::from_secs(10), |gateway| gateway.find_group("open", &[]).is_some());
    let group = gateway.group("open", &[]);
    assert_eq!(group.outcome(), None);
    let text = message(|| {
        group.assert_outcome("success");
    });
    assert!(text.contains("has not finished"), "{text}");
    run.finish(Outcome::Success);
    gateway.after_run("open", &[]).assert_outcome("success");
}

#[test]
fn after_run_fails_at_once_for_misspelled_job_or_label() {
    let (gateway, _scope) = scoped();
    import("eu", 3).unwrap();
    for (job, labels) in [
        ("imprt", &[("region", "eu")][..]),
        ("import", &[("region", "us")]),
        ("import", &[("regoin", "eu")]),
        ("import", &[]),
    ] {
        let called = Instant::now();
        let text = message(|| drop(gateway.after_run(job, labels)));
        assert!(called.elapsed() < Duration::from_secs(9), "{text}");
        assert!(text.contains("no run of the group {") && text.contains(job), "{text}");
        assert!(text.contains("{job=\"import\",region=\"eu\"}"), "{text}");
    }
}

#[test]
fn after_run_waits_for_a_run_that_is_retried_or_follows_an_open_one() {
    let (gateway, _scope) = scoped();
    import("eu", 3).unwrap();
    gateway.after_run("import", &[("region", "eu")]).assert_outcome("success");
    // Fails all attempts of the first second.
    gateway.fault(Fault::status(503));
    let healed = gateway.requests().len();
    thread::scope(|scope| {
        scope.spawn(|| {
            gateway.wait_for(Duration::from_secs(10), |it| it.requests().len() >= healed + 4);
            gateway.heal();
        });
        import("us", 3).unwrap();
        gateway.after_run("import", &[("region", "us")]).assert_outcome("success");
    });
}

#[test]
fn unknown_outcome_is_rejected_with_the_known_ones() {
    let (gateway, _scope) = scoped();
    import("eu", 3).unwrap();
    let group = gateway.after_run("import", &[("region", "eu")]);
    for unknown in ["failure", "Success", "ok", ""] {
        let text = message(|| {
            group.assert_outcome(unknown);
        });
        let expected = format!("unknown outcome {unknown:?}; use one of: ");
        assert!(text.starts_with(&expected), "{text}");
        for known in Outcome::ALL {
            assert!(text.contains(known.as_str()), "{text}");
        }
    }
}

#[test]
fn parallel_tests_see_only_their_own_runs() {
    let tests: Vec<_> = (1..=8)
        .map(|records| {
            thread::spawn(move || {
                let (gateway, _scope) = scoped();
                import("eu", records).unwrap();
                #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                gateway.after_run("import", &[("region", "eu")]).assert_value(
                    "batch_job_last_run_records",
                    &[("result", "processed")],
                    records as f64,
                );
                assert_eq!(gateway.groups().len(), 1);
            })
        })
        .collect();
    for test in tests {
        test.join().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spawned_task_uses_the_scope_of_its_wrapper() {
    let (gateway, _scope) = scoped();
    tokio::spawn(Scope::wrap_future(reindex())).await.unwrap();
    gateway.after_run("reindex", &[]).assert_outcome("success");

    let blocking = Scope::wrap_fn(|| import("eu", 1));
    tokio::task::spawn_blocking(blocking).await.unwrap().unwrap();
    gateway.after_run("import", &[("region", "eu")]).assert_outcome("success");
}

#[tokio::test]
async fn scope_applies_only_while_its_future_is_polled() {
    let gateway = FakeGateway::start();
    let wrapped = {
        let _scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
        Scope::wrap_future(reindex())
    };
    let _elsewhere = Config::default().scope().unwrap();
    let (_, ()) = tokio::join!(wrapped, reindex());
    gateway.after_run("reindex", &[]).assert_outcome("success");
    let pushes = gateway.requests().iter().filter(|request| request.method == "PUT").count();
    assert_eq!(pushes, 1, "{gateway}");
}

#[test]
fn dropped_gateway_still_responds_to_stored_push() {
    for _ in 0..50 {
        let gateway = FakeGateway::start();
        let pusher = Gateway::new(gateway.url()).unwrap();
        let push = thread::spawn(move || {
            let key = GroupingKey::new("quick").unwrap();
            pusher.timeout(Duration::from_secs(20)).push(&key, &"x 1".parse().unwrap())
        });
        gateway.wait_for(Duration::from_secs(10), |gateway| !gateway.groups().is_empty());
        drop(gateway);
        push.join().unwrap().unwrap();
    }
}
