//! Runs the example `scheduler` and checks the outcome of each of its tasks.

use metrics_push::testing::FakeGateway;

use crate::programs::{command, program};

#[test]
fn scheduler_example_reports_each_outcome() {
    let gateway = FakeGateway::start();
    let mut scheduler = command(program("scheduler"));
    scheduler.env("METRICS_PUSH_URL", gateway.url()).env("METRICS_PUSH_STATE_DIR", "off");
    assert!(scheduler.output().unwrap().status.success());

    const FAILURE: &str = "batch_job_last_failure_timestamp_seconds";
    const SKIPPED: &str = "batch_job_last_skipped_timestamp_seconds";
    gateway.group("invoices", &[("tenant", "2")]).assert_outcome("success");
    gateway.group("invoices", &[("tenant", "3")]).assert_outcome("error");
    gateway.group("reindex", &[]).assert_outcome("panic");
    gateway.group("archive", &[]).assert_outcome("cancelled");
    gateway.group("rotate_logs", &[]).assert_outcome("skipped");
    // The first two attempts fail.
    gateway.group("reminders", &[]).assert_outcome("success").assert_family(FAILURE);
    // One run succeeds, and the runs that overlap with it are skipped.
    let backup = gateway.group("backup", &[]);
    backup.assert_family("batch_job_last_success_timestamp_seconds");
    backup.assert_family(SKIPPED).assert_no_family(FAILURE);
}
