//! A job with stages, and functions whose calls are counted and timed.
//!
//! ```sh
//! cargo run --example etl_steps
//! ```

#[path = "support/mod.rs"]
mod support;

use std::error::Error;
use std::fmt::Write as _;
use std::num::ParseIntError;

use metrics_push::{counted, prometheus, push_job, timed};

const READINGS: &str = "21 22 x 23 24 - 25 26 27 28";

/// Parses one reading. `#[counted]` counts an invalid one with `outcome="error"`.
#[counted]
#[timed]
fn parse(word: &str) -> Result<i64, ParseIntError> {
    word.parse()
}

/// Formats a report. The argument `format` becomes a label of the histogram.
#[timed(name = "report_duration_seconds", labels(format = format), buckets = [0.001, 0.01, 0.1, 1.0])]
fn report(values: &[i64], format: &str) -> String {
    let mut report = String::new();
    for value in values {
        let _ = match format {
            "csv" => write!(report, "{value},"),
            _ => writeln!(report, "value {value}"),
        };
    }
    report
}

/// `#[counted]` and `#[timed]` register in the default registry, so this job pushes it.
#[push_job(run = run, registry = prometheus::default_registry())]
fn etl_steps() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = {
        let _extract = run.stage("extract");
        READINGS.split_whitespace().collect()
    };
    let values: Vec<_> = {
        let _transform = run.stage("transform");
        words.iter().filter_map(|word| parse(word).ok()).collect()
    };
    run.add_processed(values.len() as u64);
    run.add_failed((words.len() - values.len()) as u64);
    let _load = run.stage("load");
    for format in ["csv", "text"] {
        println!("{}", report(&values, format).trim_end());
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let gateway = support::ExampleGateway::start()?;
    etl_steps()?;
    gateway.print_status()
}
