//! What the benches share: medians of interleaved rounds, and tables.
//!
//! On a machine that others use too, what is measured side by side, round by round, can be compared; what is
//! measured one after the other can't.

pub mod pushgateway;
pub mod request;

use std::fmt;

/// The value in the middle.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The median of the ratios of two rows, round by round.
#[must_use]
pub fn median_ratio(values: &[f64], basis: &[f64]) -> f64 {
    let ratios: Vec<_> = values.iter().zip(basis).map(|(value, basis)| value / basis).collect();
    median(&ratios)
}

/// A table in Markdown.
pub struct Table {
    lines: Vec<String>,
}

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new(columns: &[&str]) -> Self {
        let rule = vec!["---"; columns.len()];
        Self { lines: vec![line(columns), line(&rule)] }
    }

    /// Adds a row.
    pub fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        self.lines.push(line(cells));
    }

    /// Adds a ratio, and whether it is within its target.
    pub fn ratio(&mut self, what: &str, ratio: f64, target: f64) {
        let verdict = if ratio <= target { "met" } else { "missed" };
        self.row(&[what, &format!("{ratio:.2}"), &format!("{target:.2}"), verdict]);
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
