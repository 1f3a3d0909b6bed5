//! The examples, run to their end: what they leave on a gateway tells their runs apart.

use std::process::Command;

use metrics_push::testing::{FakeGateway, Group};

const OUTCOME: &str = "batch_job_last_run_outcome";

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

#[track_caller]
fn assert_outcome(group: &Group, outcome: &str) {
    assert_eq!(
        group.value(OUTCOME, &[("outcome", outcome)]).to_bits(),
        1.0_f64.to_bits(),
        "{group}"
    );
}

/// Whether there is a time stamp of this event.
fn has_been(group: &Group, event: &str) -> bool {
    group.has_family(&format!("batch_job_last_{event}_timestamp_seconds"))
}

#[test]
fn cron_tasks_that_fail_panic_overlap_and_try_again_are_told_apart() {
    let gateway = after(env!("CARGO_BIN_EXE_cron_scheduler"));
    let group = |job: &str| gateway.group(job, &[]);
    assert_outcome(&group("reindex"), "error");
    assert_outcome(&group("archive"), "panic");
    assert_outcome(&group("report"), "cancelled");
    for failed in ["reindex", "archive", "report"] {
        assert!(has_been(&group(failed), "failure") && !has_been(&group(failed), "success"));
    }

    let orders = group("sync_orders");
    assert_outcome(&orders, "success");
    assert_eq!(orders.value("sync_orders_attempts", &[]).to_bits(), 3.0_f64.to_bits());
    let processed = orders.value("batch_job_last_run_records", &[("result", "processed")]);
    assert_eq!(processed.to_bits(), 17.0_f64.to_bits());

    let backup = group("backup");
    assert!(has_been(&backup, "success") && has_been(&backup, "skipped"), "{backup}");
    assert!(!has_been(&backup, "failure"), "{backup}");
}

#[test]
fn apalis_tasks_that_fail_panic_time_out_and_are_retried_are_told_apart() {
    let gateway = after(env!("CARGO_BIN_EXE_apalis_worker"));
    assert_outcome(&gateway.group("invoice", &[("tenant", "2")]), "success");
    assert_outcome(&gateway.group("invoice", &[("tenant", "3")]), "error");
    assert_outcome(&gateway.group("reindex", &[]), "panic");
    assert_outcome(&gateway.group("archive", &[]), "cancelled");

    let reminders = gateway.group("reminders", &[]);
    assert_outcome(&reminders, "success");
    assert!(has_been(&reminders, "failure") && has_been(&reminders, "success"), "{reminders}");
}
