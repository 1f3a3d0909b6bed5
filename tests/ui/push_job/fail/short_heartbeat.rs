//! Heartbeats that are shorter than a second.

use std::time::Duration;

use metrics_push::push_job;

const SHORT: Duration = Duration::from_millis(10);

#[push_job(heartbeat = "1ms")]
fn literal() {}

#[push_job(heartbeat = "0.99s")]
fn fraction() {}

#[push_job(heartbeat = SHORT)]
fn constant() {}

fn main() {}
