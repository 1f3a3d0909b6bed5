//! The smallest job: its run is all that it pushes. [`one_shot`](../one_shot.rs) starts it.

use metrics_push::push_job;

#[push_job(name = "one_shot")]
fn main() {}
