//! Encodes samples in InfluxDB's line protocol: one line per measurement and set of tags.
//!
//! | sample | line |
//! | --- | --- |
//! | `batch_job_x{job="a"} 1` | `batch_job,job=a x=1` |
//! | `rows{job="a"} 2` | `rows,job=a value=2` |
//! | `size_bucket{job="a",le="1"} 3` | `size,job=a,le=1 bucket=3` |
//! | `size_sum{job="a"} 0.5`, `size_count{job="a"} 3` | `size,job=a count=3,sum=0.5` |
//!
//! All values are floats, because a server rejects a field whose type changes. It also rejects NaN and infinite values,
//! so they are left out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::exposition::{EncodedFamily, Sample};
use crate::labels::GroupingKey;
use crate::sink::series::series_labels;

/// The measurement of the families that describe a run.
const OUTCOME_MEASUREMENT: &str = "batch_job";

/// The field of a sample whose name is that of its family.
const VALUE_FIELD: &str = "value";

/// The names of tags and fields that InfluxDB uses for its own columns.
const RESERVED_KEYS: [&str; 4] = ["_field", "_measurement", "_time", "time"];

/// Encodes families, given as names and texts, with a time in milliseconds since the Unix epoch. Returns an empty text if
/// no sample has a finite value.
pub(in crate::sink) fn encode<'a>(
    key: &GroupingKey,
    families: impl Iterator<Item = (&'a str, &'a str)>,
    unix_millis: u64,
) -> String {
    let mut fields_by_series = BTreeMap::new();
    for (name, text) in families {
        let samples = EncodedFamily::parse(text).into_iter().flat_map(|family| family.samples());
        for sample in samples.flatten() {
            add_sample(&mut fields_by_series, key, name, sample);
        }
    }
    let mut lines = String::new();
    for (series, fields) in fields_by_series {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{series} {fields} {unix_millis}");
    }
    lines
}

fn add_sample(
    fields_by_series: &mut BTreeMap<String, String>,
    key: &GroupingKey,
    family: &str,
    sample: Sample<'_>,
) {
    let Some(number) = sample.number().filter(|number| number.is_finite()) else { return };
    let (measurement, field) = measurement_and_field(family, sample.name);
    let mut series = measurement.to_owned();
    for (name, value) in series_labels(key, sample.labels) {
        series.push(',');
        push_key(&mut series, name);
        series.push('=');
        push_tag_value(&mut series, &value);
    }
    let fields = fields_by_series.entry(series).or_default();
    if !fields.is_empty() {
        fields.push(',');
    }
    push_key(fields, field);
    let _ = write!(fields, "={number}");
}

/// In VictoriaMetrics, a measurement and a field joined by `_` are the name of a metric. For outcome families and for
/// histograms, it is the name of the sample.
fn measurement_and_field<'a>(family: &'a str, sample: &'a str) -> (&'a str, &'a str) {
    let after = |prefix| sample.strip_prefix(prefix)?.strip_prefix('_').filter(|s| !s.is_empty());
    match after(OUTCOME_MEASUREMENT) {
        Some(field) => (OUTCOME_MEASUREMENT, field),
        None => (family, after(family).unwrap_or(VALUE_FIELD)),
    }
}

fn push_key(line: &mut String, name: &str) {
    line.push_str(name);
    if RESERVED_KEYS.contains(&name) {
        line.push('_');
    }
}

/// Writes the value of a tag. A line feed cannot be escaped, so it becomes a space. Servers disagree on the
/// meaning of a backslash before a separator, so it becomes a slash.
fn push_tag_value(line: &mut String, value: &str) {
    let mut characters = value.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek().is_none_or(|next| is_separator(*next)) => line.push('/'),
            '\n' => line.push_str("\\ "),
            separator if is_separator(separator) => line.extend(['\\', separator]),
            other => line.push(other),
        }
    }
}

const fn is_separator(character: char) -> bool {
    matches!(character, ',' | '=' | ' ' | '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: u64 = 1_700_000_000_123;

    fn lines(families: &[(&str, &str)]) -> String {
        let key = GroupingKey::new("nightly").unwrap().label("region", "eu").unwrap();
        encode(&key, families.iter().copied(), TIME)
    }

    #[test]
    fn outcome_families_with_the_same_labels_are_one_line() {
        let families = [
            (
                "batch_job_last_run_outcome",
                "# TYPE batch_job_last_run_outcome gauge\n\
                 batch_job_last_run_outcome{outcome=\"error\"} 0\n\
                 batch_job_last_run_outcome{outcome=\"success\"} 1\n",
            ),
            ("batch_job_last_run_success", "batch_job_last_run_success 1\n"),
            (
                "batch_job_last_success_timestamp_seconds",
                "batch_job_last_success_timestamp_seconds 1700000000.5\n",
            ),
        ];
        assert_eq!(
            lines(&families),
            "batch_job,job=nightly,outcome=error,region=eu last_run_outcome=0 1700000000123\n\
             batch_job,job=nightly,outcome=success,region=eu last_run_outcome=1 1700000000123\n\
             batch_job,job=nightly,region=eu last_run_success=1,\
             last_success_timestamp_seconds=1700000000.5 1700000000123\n"
        );
    }

    #[test]
    fn other_family_is_a_measurement_with_one_field() {
        assert_eq!(
            lines(&[("rows_total", "# TYPE rows_total counter\nrows_total{disk=\"a\"} 1e3\n")]),
            "rows_total,disk=a,job=nightly,region=eu value=1000 1700000000123\n"
        );
        assert_eq!(
            lines(&[("batch_job_", "batch_job_ 1\n"), ("batch_jobs", "batch_jobs 2\n")]),
            "batch_job_,job=nightly,region=eu value=1 1700000000123\n\
             batch_jobs,job=nightly,region=eu value=2 1700000000123\n"
        );
    }

    #[test]
    fn histogram_has_a_line_for_each_bucket() {
        let text = "# TYPE size histogram\nsize_bucket{le=\"0.1\"} 1\nsize_bucket{le=\"+Inf\"} 3\n\
                    size_sum 0.5\nsize_count 3\n";
        assert_eq!(
            lines(&[("size", text)]),
            "size,job=nightly,le=+Inf,region=eu bucket=3 1700000000123\n\
             size,job=nightly,le=0.1,region=eu bucket=1 1700000000123\n\
             size,job=nightly,region=eu sum=0.5,count=3 1700000000123\n"
        );
    }

    #[test]
    fn summary_has_a_line_for_each_quantile() {
        let text = "# TYPE size summary\nsize{quantile=\"0.5\"} 2\nsize_sum 4\nsize_count 2\n";
        assert_eq!(
            lines(&[("size", text)]),
            "size,job=nightly,quantile=0.5,region=eu value=2 1700000000123\n\
             size,job=nightly,region=eu sum=4,count=2 1700000000123\n"
        );
    }

    #[test]
    fn values_without_a_number_are_left_out() {
        let families = [("a", "a NaN\n"), ("b", "b{x=\"1\"} +Inf\nb{x=\"2\"} -Inf\n")];
        assert_eq!(lines(&families), "");
        assert_eq!(
            lines(&[("a", "a{x=\"1\"} NaN\na{x=\"2\"} 1\n")]),
            "a,job=nightly,region=eu,x=2 value=1 1700000000123\n"
        );
    }

    #[test]
    fn values_are_floats_without_a_type_suffix() {
        for (text, value) in [
            ("17", "17"),
            ("+1.5", "1.5"),
            ("-0.25", "-0.25"),
            ("9007199254740993", "9007199254740992"),
            ("1e-7", "0.0000001"),
        ] {
            let line = lines(&[("a", &format!("a {text}\n"))]);
            assert_eq!(line, format!("a,job=nightly,region=eu value={value} {TIME}\n"));
        }
    }

    #[test]
    fn separators_in_tag_values_are_escaped() {
        for (value, written) in [
            ("a b,c=d", r"a\ b\,c\=d"),
            ("a\"b", "a\"b"),
            ("é/b", "é/b"),
            (r"C:\data", r"C:\data"),
            ("a\nb", r"a\ b"),
            (r"tail\", "tail/"),
            (r"a\,b", r"a/\,b"),
            (r"a\\ b", r"a\/\ b"),
            ("a\\\nb", r"a/\ b"),
        ] {
            let mut line = String::new();
            push_tag_value(&mut line, value);
            assert_eq!(line, written);
        }
    }

    #[test]
    fn names_of_columns_are_not_tags_or_fields() {
        assert_eq!(
            lines(&[("batch_job_time", "batch_job_time{time=\"1\",_field=\"x\"} 1\n")]),
            "batch_job,_field_=x,job=nightly,region=eu,time_=1 time_=1 1700000000123\n"
        );
    }
}
