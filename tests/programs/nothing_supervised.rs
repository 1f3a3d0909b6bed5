//! The job that does nothing, with a supervisor.

use metrics_push::push_job;

#[push_job(supervise)]
fn main() {}
