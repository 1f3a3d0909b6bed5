//! A job that does nothing, to see what reporting that costs.

use metrics_push::push_job;

#[push_job]
fn main() {}
