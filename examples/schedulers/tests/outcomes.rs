//! Runs the examples and checks the outcomes that they push to a gateway.

use std::fs;
use std::path::Path;
use std::process::Command;

use metrics_push::testing::{FakeGateway, Group};

/// Runs a program without a configured state directory, and returns the gateway that it has pushed to.
fn gateway_after(program: &str) -> FakeGateway {
    let gateway = FakeGateway::start();
    let name = Path::new(program).file_name().unwrap().to_str().unwrap();
    let home = format!("home-of-{name}-{}", std::process::id());
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(home);
    fs::create_dir_all(&home).unwrap();
    let mut command = Command::new(program);
    for variable in ["METRICS_PUSH_STATE_DIR", "STATE_DIRECTORY", "XDG_STATE_HOME"] {
        command.env_remove(variable);
    }
    command.env("METRICS_PUSH_URL", gateway.url()).env("HOME", &home);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::remove_dir(&home).expect("an example leaves no files in the home directory");
    gateway
}

/// Fails unless one backup succeeded and an overlapping one was skipped.
#[track_caller]
fn assert_overlapped(backup: &Group) {
    assert!(has_timestamp(backup, "success") && has_timestamp(backup, "skipped"), "{backup}");
    assert!(!has_timestamp(backup, "failure"), "{backup}");
}

/// Returns true if the group has the timestamp of this event.
fn has_timestamp(group: &Group, event: &str) -> bool {
    group.has_family(&format!("batch_job_last_{event}_timestamp_seconds"))
}

#[test]
fn cron_scheduler_reports_every_outcome() {
    let gateway = gateway_after(env!("CARGO_BIN_EXE_cron_scheduler"));
    let group = |job: &str| gateway.group(job, &[]);
    group("reindex").assert_outcome("error");
    group("archive").assert_outcome("panic");
    group("report").assert_outcome("cancelled");
    for failed in ["reindex", "archive", "report"] {
        assert!(
            has_timestamp(&group(failed), "failure") && !has_timestamp(&group(failed), "success")
        );
    }

    let orders = group("sync_orders");
    orders.assert_outcome("success");
    orders.assert_value("sync_orders_attempts", &[], 3.0);
    orders.assert_value("batch_job_last_run_records", &[("result", "processed")], 17.0);

    assert_overlapped(&group("backup"));
}

#[test]
fn apalis_worker_reports_every_outcome() {
    let gateway = gateway_after(env!("CARGO_BIN_EXE_apalis_worker"));
    gateway.group("invoice", &[("tenant", "2")]).assert_outcome("success");
    gateway.group("invoice", &[("tenant", "3")]).assert_outcome("error");
    gateway.group("reindex", &[]).assert_outcome("panic");
    gateway.group("archive", &[]).assert_outcome("cancelled");

    let reminders = gateway.group("reminders", &[]);
    reminders.assert_outcome("success");
    assert!(
        has_timestamp(&reminders, "failure") && has_timestamp(&reminders, "success"),
        "{reminders}"
    );
    assert_overlapped(&gateway.group("backup", &[]));
}
