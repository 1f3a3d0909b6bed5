//! Finishes 20,000 runs in 1,000 groups, and asserts that each group takes one push per interval.
//!
//! This is a separate program, because a flush in another test of the same process would end the interval early.

use std::time::{Duration, Instant};

use metrics_push::testing::FakeGateway;
use metrics_push::{Config, Job, Outcome};

const GROUPS: usize = 1_000;
const RUNS: usize = 20_000;
/// Longer than the program runs.
const INTERVAL: Duration = Duration::from_secs(3_600);
/// Longer than a busy machine needs for the pushes.
const TIMEOUT: Duration = Duration::from_secs(300);

fn main() {
    let gateway = FakeGateway::start();
    let config = Config::default().url(gateway.url()).unwrap().batch(INTERVAL);
    let _scope = config.timeout(TIMEOUT).scope().unwrap();
    let started = Instant::now();
    for number in 0..RUNS {
        let tenant = number % GROUPS;
        Job::new("task").start_with(&[("tenant", &tenant)]).finish(Outcome::Success);
    }
    let per_second = RUNS as f64 / started.elapsed().as_secs_f64();
    assert!(gateway.requests().is_empty());
    assert_eq!(metrics_push::flush(TIMEOUT), 0);
    assert_eq!((gateway.requests().len(), gateway.groups().len()), (GROUPS, GROUPS));
    println!("{per_second:.0} runs per second");
}
