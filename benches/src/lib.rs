//! Code that the benches share: medians of interleaved rounds, Markdown tables, servers, journals of dead processes,
//! functions to annotate, and the resource usage of processes.
//!
//! On a machine with other load, only measurements of the same round are comparable. So the benches measure all candidates
//! in turn and compute ratios per round.

pub mod certificate;
pub mod functions;
pub mod journals;
pub mod pushgateway;
pub mod request;
pub mod server;
pub mod usage;

use std::fmt;
use std::process::Command;

/// Returns the median of the values.
///
/// # Panics
/// If there are no values.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Returns the median of the ratios `values / basis`, computed per round.
#[must_use]
pub fn median_ratio(values: &[f64], basis: &[f64]) -> f64 {
    let ratios: Vec<_> = values.iter().zip(basis).map(|(value, basis)| value / basis).collect();
    median(&ratios)
}

/// Builds a program of the workspace beside this one, with the same profile.
///
/// # Panics
/// If the program does not build.
pub fn build_beside(package: &str, program: &str) {
    let profile: &[_] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", package, "--bin", program]);
    let built = cargo.args(profile).current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(built.expect("cargo starts").success(), "{program} does not build");
}

/// A Markdown table.
pub struct Table {
    lines: Vec<String>,
}

impl Table {
    /// Creates a table with these columns.
    #[must_use]
    pub fn new(columns: &[&str]) -> Self {
        let rule = vec!["---"; columns.len()];
        Self { lines: vec![line(columns), line(&rule)] }
    }

    /// Adds a row.
    pub fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        self.lines.push(line(cells));
    }

    /// Adds a row with a ratio, its target, and whether the target is met.
    pub fn ratio(&mut self, name: &str, ratio: f64, target: f64) {
        let verdict = if ratio <= target { "met" } else { "missed" };
        self.row(&[name, &format!("{ratio:.2}"), &format!("{target:.2}"), verdict]);
    }
}

fn line<S: AsRef<str>>(cells: &[S]) -> String {
    let cells: Vec<_> = cells.iter().map(AsRef::as_ref).collect();
    format!("| {} |", cells.join(" | "))
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
