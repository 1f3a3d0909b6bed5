//! `TimeSeries`: one sample of a family as remote write sends it, with the labels of its group.
//!
//! As the [specification](https://prometheus.io/docs/specs/prw/remote_write_spec/) requires, labels are sorted by the bytes
//! of their names, each name occurs once, and no value is empty.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::exposition::{EncodedFamily, MetricType, read_sample, sample_lines};
use crate::float::parse_float;
use crate::labels::GroupingKey;
use crate::metrics::push_label_value;
use crate::push_request::Total;
use crate::sink::series::{SeriesLabels, series_labels};

/// The label that contains the name of the metric.
const NAME: &str = "__name__";

/// The value that ends a series: Prometheus reserves a NaN with these bits.
const STALE_MARKER: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// The series of one family. [`reader`](Self::reader) reads them one after the other, because a push can have many.
#[derive(Clone, Debug)]
pub(super) struct SeriesFamily<'a> {
    pub(super) name: &'a str,
    pub(super) metric_type: MetricType,
    pub(super) help: Option<Cow<'a, str>>,
    /// When the values were zero, in milliseconds since the Unix epoch, if they add up over runs.
    pub(super) since: Option<u64>,
    source: SeriesSource<'a>,
}

#[derive(Clone, Debug)]
enum SeriesSource<'a> {
    /// Lines of samples in the group of a key, and the values before the run, if they add up over runs.
    Lines { lines: &'a str, key: &'a GroupingKey, values_before: HashMap<SeriesLabels<'a>, f64> },
    /// Series that end.
    Stale(Vec<SeriesLabels<'a>>),
}

/// One series with its value.
#[derive(Debug)]
pub(super) struct TimeSeries<'r, 'a> {
    pub(super) labels: &'r SeriesLabels<'a>,
    pub(super) value: f64,
    /// The value before the run, if the values add up over runs.
    pub(super) value_before: Option<f64>,
}

impl<'a> SeriesFamily<'a> {
    /// Reads the comments of a family in the group of `key`. Returns `None` if the text is not in the form that this crate
    /// writes.
    pub(super) fn read(key: &'a GroupingKey, name: &'a str, text: &'a str) -> Option<Self> {
        let family = EncodedFamily::parse(text)?;
        let (lines, values_before) = (family.samples, HashMap::new());
        let source = SeriesSource::Lines { lines, key, values_before };
        Some(Self { name, metric_type: family.metric_type, help: family.help, since: None, source })
    }

    /// Adds the total before the run.
    pub(super) fn with_total_before(mut self, key: &'a GroupingKey, total: &'a Total) -> Self {
        self.since = Some(total.since);
        if let SeriesSource::Lines { values_before, .. } = &mut self.source
            && let Some(before) = SeriesFamily::read(key, self.name, &total.text)
        {
            let mut series = before.reader();
            while let Some(Ok(TimeSeries { labels, value, .. })) = series.next() {
                values_before.insert(labels.clone(), value);
            }
        }
        self
    }

    /// Returns stale markers that end these series, whatever their families. Each line is one of [`TimeSeries::ended`]; other
    /// lines are skipped.
    pub(super) fn stale_markers(
        key: &'a GroupingKey,
        lines: impl Iterator<Item = &'a str>,
    ) -> Self {
        let series = lines.filter_map(|mut line| {
            let mut labels = grouping_labels(key, "");
            read_series(&mut line, &mut labels).map(|_| labels)
        });
        let source = SeriesSource::Stale(series.collect());
        Self { name: "", metric_type: MetricType::Untyped, help: None, since: None, source }
    }

    /// Returns the lines of the samples. Stale markers have none.
    pub(super) fn lines(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        sample_lines(match self.source {
            SeriesSource::Lines { lines, .. } => lines,
            SeriesSource::Stale(_) => "",
        })
    }

    /// Returns a reader of the series.
    pub(super) fn reader(&self) -> SeriesReader<'_, 'a> {
        match &self.source {
            SeriesSource::Lines { lines, key, values_before } => {
                let grouping_labels = grouping_labels(key, self.name);
                let labels = grouping_labels.clone();
                SeriesReader::Lines { lines, grouping_labels, labels, values_before }
            }
            SeriesSource::Stale(series) => SeriesReader::Stale(series.iter()),
        }
    }
}

/// Reads the series of a family.
pub(super) enum SeriesReader<'r, 'a> {
    Lines {
        /// The lines that are not read yet.
        lines: &'a str,
        /// The labels that all series have, and a name of the metric, which each line replaces.
        grouping_labels: SeriesLabels<'a>,
        /// The labels of the present series.
        labels: SeriesLabels<'a>,
        values_before: &'r HashMap<SeriesLabels<'a>, f64>,
    },
    Stale(std::slice::Iter<'r, SeriesLabels<'a>>),
}

/// A line is not in the form that this crate writes.
#[derive(Debug)]
pub(super) struct UnreadableLine;

impl<'a> SeriesReader<'_, 'a> {
    /// Returns the next series.
    ///
    /// # Errors
    /// If the line is not in the form that this crate writes. The lines after it are not read.
    pub(super) fn next(&mut self) -> Option<Result<TimeSeries<'_, 'a>, UnreadableLine>> {
        match self {
            Self::Lines { lines, grouping_labels, labels, values_before } => {
                if lines.is_empty() {
                    return None;
                }
                labels.reset(grouping_labels);
                let Some(value) = read_series(lines, labels) else {
                    *lines = "";
                    return Some(Err(UnreadableLine));
                };
                let value_before = values_before.get(labels).copied();
                Some(Ok(TimeSeries { labels, value, value_before }))
            }
            Self::Stale(series) => {
                let labels = series.next()?;
                Some(Ok(TimeSeries { labels, value: STALE_MARKER, value_before: None }))
            }
        }
    }
}

impl TimeSeries<'_, '_> {
    /// Returns the end of the series as a line in the text format. The lines of equal series are equal.
    pub(super) fn ended(&self) -> String {
        let (mut name, mut labels) = ("", String::new());
        for (label, value) in self.labels.iter() {
            if label == NAME {
                name = value;
                continue;
            }
            let separator = if labels.is_empty() { "" } else { "," };
            labels.extend([separator, label, "=\""]);
            push_label_value(&mut labels, value);
            labels.push('"');
        }
        format!("{name}{{{labels}}} NaN")
    }
}

/// Returns the labels of a group, and the name of a metric.
fn grouping_labels<'a>(key: &'a GroupingKey, name: &'a str) -> SeriesLabels<'a> {
    series_labels(key, [(NAME, name.into())].into())
}

/// Reads the first line of samples, and adds its labels to those of its group. Returns the value; `None` if the line is in
/// another form.
fn read_series<'a>(lines: &mut &'a str, labels: &mut SeriesLabels<'a>) -> Option<f64> {
    let (name, value) = read_sample(lines, |label, value| labels.set_missing(label, value))?;
    labels.set(NAME, name.into());
    parse_float(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> GroupingKey {
        GroupingKey::new("j").and_then(|key| key.label("region", "eu")).unwrap()
    }

    fn labels(text: &str) -> Vec<(String, String)> {
        let key = key();
        let family = SeriesFamily::read(&key, "x", text).unwrap();
        let mut series = family.reader();
        let labels = series.next().unwrap().unwrap().labels.iter();
        labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn labels_are_sorted_by_their_bytes() {
        let names: Vec<_> =
            labels("x{a=\"2\",Z=\"1\"} 1\n").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Z", "__name__", "a", "job", "region"]);
    }

    #[test]
    fn label_values_are_unchanged() {
        let long = "x".repeat(255);
        for (escaped, value) in [
            (r"line\nbreak", "line\nbreak"),
            (r#"a \"quote\""#, "a \"quote\""),
            (r"ends with \\", "ends with \\"),
            ("a b,c=d", "a b,c=d"),
            ("é/b", "é/b"),
            (&long, &long),
        ] {
            let found = labels(&format!("x{{v=\"{escaped}\",empty=\"\"}} 1\n"));
            assert_eq!(found.last(), Some(&("v".into(), value.into())));
            assert_eq!(found.len(), 4, "{found:?}");
        }
    }

    fn ended(family: &SeriesFamily<'_>) -> String {
        family.reader().next().unwrap().unwrap().ended()
    }

    fn first_labels<'a>(family: &SeriesFamily<'a>) -> SeriesLabels<'a> {
        family.reader().next().unwrap().unwrap().labels.clone()
    }

    #[test]
    fn ended_series_has_the_same_labels() {
        let key = key();
        for text in [
            "x 1\n",
            "x{b=\"2\",a=\"1\"} 1\n",
            "x{v=\"line\\nbreak \\\"quote\\\" \\\\ é{},=\"} 1\n",
            "x_bucket{le=\"+Inf\"} 1\n",
        ] {
            let family = SeriesFamily::read(&key, "x", text).unwrap();
            let line = ended(&family);
            assert!(!line.contains('\n'), "{line}");
            let markers = SeriesFamily::stale_markers(&key, [line.as_str()].into_iter());
            assert_eq!(first_labels(&markers), first_labels(&family), "{line}");
        }
        let order = ["x{b=\"2\",a=\"1\"} 1\n", "x{a=\"1\",b=\"2\"} 2\n"]
            .map(|text| ended(&SeriesFamily::read(&key, "x", text).unwrap()));
        assert_eq!(order[0], order[1]);
        let none = SeriesFamily::stale_markers(&key, ["", "x", "x{"].into_iter());
        assert!(none.reader().next().is_none());
    }

    #[test]
    fn text_in_another_form_is_not_read() {
        assert!(SeriesFamily::read(&key(), "x", "# UNIT x s\nx 1\n").is_none());
        for text in ["x{a=1} 1\n", "x one\n", "x\nx 1\n", "x{a\nx=\"1\"} 1\n", "\nx 1\n"] {
            let key = key();
            let family = SeriesFamily::read(&key, "x", text).unwrap();
            let mut reader = family.reader();
            assert!(reader.next().is_some_and(|series| series.is_err()), "{text}");
            assert!(reader.next().is_none(), "{text}");
        }
    }
}
