//! A job that does nothing, to measure the cost of its report.

use metrics_push::push_job;

#[push_job]
fn main() {}
