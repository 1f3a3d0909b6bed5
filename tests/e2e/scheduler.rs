//! The example with tasks of plain tokio intervals, run to its end: what it leaves tells its runs apart.

use metrics_push::testing::FakeGateway;

use crate::programs::{command, program};

#[test]
fn tasks_that_fail_panic_overlap_are_dropped_and_try_again_are_told_apart() {
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
    // Failed twice before it worked.
    gateway.group("reminders", &[]).assert_outcome("success").assert_family(FAILURE);
    // Ran, and was in the way of another run.
    let backup = gateway.group("backup", &[]);
    backup.assert_family("batch_job_last_success_timestamp_seconds");
    backup.assert_family(SKIPPED).assert_no_family(FAILURE);
}
