//! Totals over runs: counters and histograms in the text format, added series by series.
//!
//! Both texts were written by this library, so that equal series have the same text up to the value.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::exposition::{EncodedFamily, MetricType};
use crate::float::parse_float;
use crate::metrics::push_number;
use crate::push_request::{Families, RunEnding, Total, Totals};

/// The maximum size of all totals of a group. A family that would exceed it starts again at the values of the last run.
const MAX_TOTALS_SIZE: usize = 256 * 1024;

/// Adds what one run has counted. `started` is the start of the run, in milliseconds since the Unix epoch.
pub(super) fn add_run(totals: &mut Totals, increments: &Families, started: u64) {
    let mut size: usize = totals.values().map(|total| total.text.len()).sum();
    for (name, increment) in increments {
        let added = totals.get(name).and_then(|total| {
            Some(Total { since: total.since, text: combine(&total.text, increment, |a, b| a + b)? })
        });
        size -= totals.get(name).map_or(0, |total| total.text.len());
        let new = || Total { since: started, text: increment.clone() };
        let total =
            added.filter(|total| size + total.text.len() <= MAX_TOTALS_SIZE).unwrap_or_else(new);
        size += total.text.len();
        totals.insert(name.clone(), total);
    }
}

/// Returns the total of the family `name` as it was before these runs.
pub(super) fn total_before(total: &Total, name: &str, endings: &[Arc<RunEnding>]) -> Total {
    let counted = endings.iter().filter_map(|ending| ending.counted.get(name));
    let text = counted.fold(total.text.clone(), |total, run| {
        combine(&total, run, |total, run| total - run).unwrap_or_default()
    });
    Total { since: total.since, text }
}

/// Returns true if totals of the family are meaningful: it is a counter or a histogram.
pub(crate) fn is_summable(text: &str) -> bool {
    EncodedFamily::parse(text)
        .is_some_and(|it| matches!(it.metric_type, MetricType::Counter | MetricType::Histogram))
}

/// Combines the values of two families series by series. A series that only one of them has is combined with 0. Returns
/// `None` if the families have different types or buckets.
fn combine(total: &str, increment: &str, operation: impl Fn(f64, f64) -> f64) -> Option<String> {
    let (old, new) = (EncodedFamily::parse(total)?, EncodedFamily::parse(increment)?);
    let is_histogram = old.metric_type == MetricType::Histogram;
    if old.metric_type != new.metric_type || is_histogram && bounds(total) != bounds(increment) {
        return None;
    }
    let mut increments: HashMap<_, _> = series(increment).collect::<Option<_>>()?;
    let comments = increment.split_inclusive('\n').take_while(|line| line.starts_with('#'));
    let mut text: String = comments.collect();
    for line in series(total) {
        let (series, value) = line?;
        let increment = increments.remove(series).unwrap_or(0.0);
        write_sample(&mut text, series, operation(value, increment));
    }
    for line in series(increment) {
        let (series, _) = line?;
        if let Some(value) = increments.remove(series) {
            write_sample(&mut text, series, operation(0.0, value));
        }
    }
    Some(text)
}

fn write_sample(text: &mut String, series: &str, value: f64) {
    text.push_str(series);
    text.push(' ');
    push_number(text, value);
    text.push('\n');
}

/// Returns the text of each series up to its value, and the value; `None` for an invalid line.
fn series(text: &str) -> impl Iterator<Item = Option<(&str, f64)>> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        Some((series, parse_float(value)?))
    })
}

/// Returns the bounds of the buckets of a histogram. The bound is the last label.
fn bounds(text: &str) -> HashSet<&str> {
    let bounds = series(text).flatten().filter_map(|(series, _)| {
        let (before, bound) = series.rsplit_once("le=\"")?;
        before.ends_with(['{', ',']).then_some(bound)
    });
    bounds.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTER: &str = "# HELP a A.\n# TYPE a counter\na{x=\"1\"} 2\na{x=\"le=\\\"7\"} 0.5\n";

    fn added(total: &str, increment: &str) -> Option<String> {
        combine(total, increment, |a, b| a + b)
    }

    #[test]
    fn series_are_added_and_new_ones_appended() {
        let increment = "# HELP a New.\n# TYPE a counter\na{x=\"0\"} 1\na{x=\"1\"} 3\n";
        assert_eq!(
            added("# HELP a A.\n# TYPE a counter\na{x=\"1\"} 2\na{x=\"2\"} 0.5\n", increment),
            Some(
                "# HELP a New.\n# TYPE a counter\na{x=\"1\"} 5\na{x=\"2\"} 0.5\na{x=\"0\"} 1\n"
                    .into()
            )
        );
    }

    #[test]
    fn histogram_with_other_buckets_starts_again() {
        let histogram = |bound: &str, count: u32| {
            format!(
                "# TYPE h histogram\nh_bucket{{le=\"{bound}\"}} {count}\nh_bucket{{le=\"+Inf\"}} {count}\n\
                 h_sum 1.5\nh_count {count}\n"
            )
        };
        let expected = histogram("1", 5).replace("h_sum 1.5", "h_sum 3");
        assert_eq!(added(&histogram("1", 2), &histogram("1", 3)), Some(expected));
        assert_eq!(added(&histogram("1", 2), &histogram("2", 3)), None);
    }

    #[test]
    fn family_of_another_type_or_form_starts_again() {
        for other in ["# TYPE a histogram\na_sum 1\n", "# TYPE a counter\na x\n", "# EOF\n"] {
            assert_eq!(added(COUNTER, other), None, "{other}");
        }
    }

    #[test]
    fn subtraction_reverses_the_addition() {
        let increment = "# HELP a A.\n# TYPE a counter\na{x=\"1\"} 3\n";
        let total = added(COUNTER, increment).unwrap();
        assert_eq!(combine(&total, increment, |a, b| a - b).as_deref(), Some(COUNTER));
    }

    #[test]
    fn totals_beyond_the_limit_start_again() {
        let mut totals = Totals::new();
        let large = |series: &str| {
            let series = series.repeat(MAX_TOTALS_SIZE / 2);
            Families::from([("a".into(), format!("# TYPE a counter\na{{x=\"{series}\"}} 1\n"))])
        };
        add_run(&mut totals, &large("y"), 5);
        add_run(&mut totals, &large("y"), 6);
        assert!(totals["a"].text.ends_with(" 2\n") && totals["a"].since == 5);
        add_run(&mut totals, &large("z"), 7);
        assert!(totals["a"].text.ends_with(" 1\n") && totals["a"].since == 7);
    }

    #[test]
    fn counters_and_histograms_are_summable() {
        for (kind, is_counted) in
            [("counter", true), ("histogram", true), ("gauge", false), ("summary", false)]
        {
            assert_eq!(is_summable(&format!("# TYPE a {kind}\na 1\n")), is_counted, "{kind}");
        }
    }
}
