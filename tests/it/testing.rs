//! Tests of jobs, as users write them: isolated from each other, and with messages that help.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use metrics_push::testing::FakeGateway;
use metrics_push::{Config, Gateway, GroupingKey, Job, Outcome, Scope, push_job};

#[push_job(name = "import", grouping(region = region), run = run)]
fn import(region: &str, records: u64) -> Result<(), String> {
    run.add_processed(records);
    if records == 0 { Err("there is nothing to import".to_owned()) } else { Ok(()) }
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

/// What an assertion that fails has to say.
fn message(assertion: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assertion)).unwrap_err();
    panic.downcast_ref::<String>().unwrap().clone()
}

#[test]
fn outcome_metrics_and_labels_of_a_run_are_asserted() {
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
fn what_is_there_instead_is_shown() {
    let (gateway, _scope) = scoped();
    import("eu", 0).unwrap_err();
    let group = gateway.after_run("import", &[("region", "eu")]);
    let records = "batch_job_last_run_records";
    for (told, expected) in [
        (
            message(|| {
                group.assert_outcome("success");
            }),
            r#"{job="import",region="eu"} should have ended with "success", and ended with "error"; the group holds:"#,
        ),
        (
            message(|| {
                group.assert_value(records, &[("result", "processed")], 3.0);
            }),
            "should be 3 in {job=\"import\",region=\"eu\"}, and is 0",
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
            "should hold orders, and holds batch_job_info, batch_job_last_completion",
        ),
        (
            message(|| {
                group.assert_no_family(records);
            }),
            "result=\"failed\"} 0",
        ),
    ] {
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_run_that_has_not_ended_is_no_outcome() {
    let (gateway, _scope) = scoped();
    let run = Job::new("open").start();
    gateway.wait_for(Duration::from_secs(10), |gateway| gateway.find_group("open", &[]).is_some());
    let group = gateway.group("open", &[]);
    assert_eq!(group.outcome(), None);
    let told = message(|| {
        group.assert_outcome("success");
    });
    assert!(told.contains("and has not ended"), "{told}");
    run.finish(Outcome::Success);
    gateway.after_run("open", &[]).assert_outcome("success");
}

#[test]
fn tests_that_run_at_once_see_their_own_runs_only() {
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
async fn a_spawned_task_takes_the_configuration_along() {
    let (gateway, _scope) = scoped();
    tokio::spawn(Scope::wrap_future(reindex())).await.unwrap();
    gateway.after_run("reindex", &[]).assert_outcome("success");

    let blocking = Scope::wrap_fn(|| import("eu", 1));
    tokio::task::spawn_blocking(blocking).await.unwrap().unwrap();
    gateway.after_run("import", &[("region", "eu")]).assert_outcome("success");
}

#[tokio::test]
async fn a_scope_holds_while_its_future_is_polled_and_no_longer() {
    let gateway = FakeGateway::start();
    let around = {
        let _scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
        Scope::wrap_future(reindex())
    };
    let _elsewhere = Config::default().scope().unwrap();
    let (_, ()) = tokio::join!(around, reindex());
    gateway.after_run("reindex", &[]).assert_outcome("success");
    let pushes = gateway.requests().iter().filter(|request| request.method == "PUT").count();
    assert_eq!(pushes, 1, "{gateway}");
}

#[test]
fn a_gateway_that_goes_answers_what_it_has_taken() {
    for _ in 0..50 {
        let gateway = FakeGateway::start();
        let pusher = Gateway::new(gateway.url()).unwrap();
        let push = thread::spawn(move || {
            let key = GroupingKey::new("quick").unwrap();
            pusher.timeout(Duration::from_secs(2)).push(&key, &"x 1".parse().unwrap())
        });
        gateway.wait_for(Duration::from_secs(10), |gateway| !gateway.groups().is_empty());
        drop(gateway);
        push.join().unwrap().unwrap();
    }
}
