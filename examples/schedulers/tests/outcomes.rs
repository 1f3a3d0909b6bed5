//! The examples, run to their end: what they leave on a gateway tells their runs apart.

use std::process::Command;

use metrics_push::testing::{FakeGateway, Group};

/// The gateway after the program has pushed to it.
fn after(program: &str) -> FakeGateway {
    let gateway = FakeGateway::start();
    let output = Command::new(program)
        .env("METRICS_PUSH_URL", gateway.url())
        .env("METRICS_PUSH_STATE_DIR", "off")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    gateway
}

/// One backup ran, and another was in its way.
#[track_caller]
fn assert_overlapped(backup: &Group) {
    assert!(has_been(backup, "success") && has_been(backup, "skipped"), "{backup}");
    assert!(!has_been(backup, "failure"), "{backup}");
}

/// Whether there is a time stamp of this event.
fn has_been(group: &Group, event: &str) -> bool {
    group.has_family(&format!("batch_job_last_{event}_timestamp_seconds"))
}

#[test]
fn cron_tasks_that_fail_panic_overlap_and_try_again_are_told_apart() {
    let gateway = after(env!("CARGO_BIN_EXE_cron_scheduler"));
    let group = |job: &str| gateway.group(job, &[]);
    group("reindex").assert_outcome("error");
    group("archive").assert_outcome("panic");
    group("report").assert_outcome("cancelled");
    for failed in ["reindex", "archive", "report"] {
        assert!(has_been(&group(failed), "failure") && !has_been(&group(failed), "success"));
    }

    let orders = group("sync_orders");
    orders.assert_outcome("success");
    orders.assert_value("sync_orders_attempts", &[], 3.0);
    orders.assert_value("batch_job_last_run_records", &[("result", "processed")], 17.0);

    assert_overlapped(&group("backup"));
}

#[test]
fn apalis_tasks_that_fail_panic_overlap_time_out_and_are_retried_are_told_apart() {
    let gateway = after(env!("CARGO_BIN_EXE_apalis_worker"));
    gateway.group("invoice", &[("tenant", "2")]).assert_outcome("success");
    gateway.group("invoice", &[("tenant", "3")]).assert_outcome("error");
    gateway.group("reindex", &[]).assert_outcome("panic");
    gateway.group("archive", &[]).assert_outcome("cancelled");

    let reminders = gateway.group("reminders", &[]);
    reminders.assert_outcome("success");
    assert!(has_been(&reminders, "failure") && has_been(&reminders, "success"), "{reminders}");
    assert_overlapped(&gateway.group("backup", &[]));
}
