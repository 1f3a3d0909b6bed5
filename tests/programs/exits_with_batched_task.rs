//! A process that exits while a task is running, long before the interval of its batches ends.

use std::time::Duration;

use metrics_push::{Config, Job};

fn main() {
    let (config, _) = Config::from_env();
    metrics_push::init(config.batch(Duration::from_secs(3_600))).unwrap();
    let _run = Job::new("task").start();
    std::process::exit(3);
}
