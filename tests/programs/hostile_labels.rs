//! A job with long and panicking labels, for tests that limit its memory and read its stderr.

use std::fmt;

use metrics_push::{Job, Outcome, counted, counter_vec, timed};
use prometheus::{HistogramOpts, HistogramVec};

/// The length of the long values.
const LONG: usize = 1_000_000;

/// A value whose `Display` implementation panics.
struct Panics;

impl fmt::Display for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("in Display")
    }
}

/// Is timed.
#[timed(name = "times_seconds", labels(of = value))]
fn time(value: &str) {
    let _ = value;
}

/// Is counted.
#[counted(name = "counts_total", labels(of = Panics))]
fn count() {}

/// Is judged.
#[counted(name = "judged_total", ok_if = |_| panic!("in a predicate"))]
fn judge() {}

fn main() {
    let job = Job::with_name("j".repeat(LONG)).whole_process();
    let run = job.start_with(&[("shard", &"s".repeat(LONG)), ("tenant", &Panics)]);
    let ours = counter_vec("ours_total", "Ours.", &["of"]).unwrap();
    let theirs = HistogramVec::new(HistogramOpts::new("theirs", "Theirs."), &["of"]).unwrap();
    prometheus::register(Box::new(theirs.clone())).unwrap();
    for number in 0..20 {
        let value = format!("{}{number}", "v".repeat(LONG));
        time(&value);
        ours.with_label_values(&[&value]).inc();
        theirs.with_label_values(&[&value]).observe(1.0);
        drop(run.stage(value));
        count();
        judge();
    }
    run.finish(Outcome::Success);
}
