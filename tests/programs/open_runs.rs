//! Starts many runs, then finishes all of them. Prints how long that took and how much CPU it used, in seconds.
//!
//! Usage: `open_runs NUMBER`. The environment configures the gateway and the state directory.

use std::fs;
use std::time::{Duration, Instant};

use metrics_push::{Job, Outcome};

fn main() {
    let number: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap();
    let started = Instant::now();
    let start = |tenant: usize| Job::new("task").start_with(&[("tenant", &tenant)]);
    let runs: Vec<_> = (0..number).map(start).collect();
    let opened = started.elapsed();
    runs.into_iter().for_each(|run| run.finish(Outcome::Success));
    let finished = started.elapsed();
    let left = metrics_push::flush(Duration::from_secs(300));
    assert_eq!(left, 0);
    let wall = started.elapsed().as_secs_f64();
    eprintln!("started after {opened:?}, finished after {finished:?}");
    println!("wall={wall:.2} cpu={:.2}", cpu_seconds());
}

/// Returns the CPU time of this process.
fn cpu_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().unwrap()).sum();
    ticks / TICKS_PER_SECOND
}
