//! `TimeSeries`: one sample of a family as remote write sends it, with the labels of its group.
//!
//! As the [specification](https://prometheus.io/docs/specs/prw/remote_write_spec/) requires, labels are sorted by the bytes
//! of their names, each name occurs once, and no value is empty.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::exposition::{EncodedFamily, MetricType, Sample};
use crate::labels::GroupingKey;
use crate::push_request::Total;
use crate::sink::series::{SeriesLabels, series_labels};

/// The label that contains the name of the metric.
const NAME: &str = "__name__";

/// The value that ends a series: Prometheus reserves a NaN with these bits.
const STALE_MARKER: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// The series of one family.
#[derive(Clone, Debug)]
pub(super) struct SeriesFamily<'a> {
    pub(super) name: &'a str,
    pub(super) metric_type: MetricType,
    pub(super) help: Option<Cow<'a, str>>,
    pub(super) series: Vec<TimeSeries<'a>>,
    /// When the values were zero, in milliseconds since the Unix epoch, if they add up over runs.
    pub(super) since: Option<u64>,
}

/// One series with its value.
#[derive(Clone, Debug)]
pub(super) struct TimeSeries<'a> {
    pub(super) labels: SeriesLabels<'a>,
    pub(super) value: f64,
    /// The value before the run, if the values add up over runs.
    pub(super) value_before: Option<f64>,
}

impl<'a> SeriesFamily<'a> {
    /// Reads the text of a family in the group of `key`. Returns `None` if it is not in the form that this crate writes.
    pub(super) fn read(key: &'a GroupingKey, name: &'a str, text: &'a str) -> Option<Self> {
        let family = EncodedFamily::parse(text)?;
        let series = family.samples().map(|sample| TimeSeries::new(key, sample?));
        let series = series.collect::<Option<_>>()?;
        Some(Self { name, metric_type: family.metric_type, help: family.help, series, since: None })
    }

    /// Adds the total before the run.
    pub(super) fn with_total_before(mut self, key: &GroupingKey, total: &Total) -> Self {
        self.since = Some(total.since);
        let before = SeriesFamily::read(key, self.name, &total.text);
        let before = before.into_iter().flat_map(|family| family.series);
        let values: BTreeMap<_, _> = before.map(|series| (series.labels, series.value)).collect();
        for series in &mut self.series {
            series.value_before = values.get(&series.labels).copied();
        }
        self
    }

    /// Returns stale markers, which end these series of any families. Each line is one of [`TimeSeries::ended`]; others
    /// are skipped.
    pub(super) fn stale_markers(
        key: &'a GroupingKey,
        lines: impl Iterator<Item = &'a str>,
    ) -> Self {
        let series = lines.filter_map(|line| TimeSeries::new(key, Sample::parse(line)?));
        let series = series.map(|series| TimeSeries { value: STALE_MARKER, ..series }).collect();
        Self { name: "", metric_type: MetricType::Untyped, help: None, series, since: None }
    }
}

impl<'a> TimeSeries<'a> {
    fn new(key: &'a GroupingKey, sample: Sample<'a>) -> Option<Self> {
        let (name, value) = (sample.name, sample.number()?);
        let mut labels = series_labels(key, sample.labels);
        labels.set(NAME, name.into());
        Some(Self { labels, value, value_before: None })
    }

    /// Returns the end of the series as a line in the text format. The lines of equal series are equal.
    pub(super) fn ended(&self) -> String {
        let (mut name, mut labels) = ("", Vec::new());
        for (label, value) in self.labels.iter() {
            if label == NAME {
                name = value;
            } else {
                labels.push(format!("{label}=\"{}\"", escape_value(value)));
            }
        }
        format!("{name}{{{}}} NaN", labels.join(","))
    }
}

fn escape_value(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '\n', '"']) {
        return value.into();
    }
    value.replace('\\', r"\\").replace('\n', r"\n").replace('"', "\\\"").into()
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
        let labels = family.series[0].labels.iter();
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
            let line = family.series[0].ended();
            assert!(!line.contains('\n'), "{line}");
            let markers = SeriesFamily::stale_markers(&key, [line.as_str()].into_iter());
            assert_eq!(markers.series[0].labels, family.series[0].labels, "{line}");
        }
        let order = ["x{b=\"2\",a=\"1\"} 1\n", "x{a=\"1\",b=\"2\"} 2\n"]
            .map(|text| SeriesFamily::read(&key, "x", text).unwrap().series[0].ended());
        assert_eq!(order[0], order[1]);
        let none = SeriesFamily::stale_markers(&key, ["", "x", "x{"].into_iter());
        assert!(none.series.is_empty());
    }

    #[test]
    fn text_in_another_form_is_not_read() {
        assert!(SeriesFamily::read(&key(), "x", "x{a=1} 1\n").is_none());
        assert!(SeriesFamily::read(&key(), "x", "x one\n").is_none());
    }
}
