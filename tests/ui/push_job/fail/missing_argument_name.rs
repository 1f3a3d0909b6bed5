//! A job name without `name =`.

use metrics_push::push_job;

#[push_job("nightly")]
fn import() {}

fn main() {}
