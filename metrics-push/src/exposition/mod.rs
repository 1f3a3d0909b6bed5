//! `Exposition`: text-format metrics of another program, checked line by line before they are sent.
//!
//! A gateway rejects an exposition without the line number, and silently accepts some mistakes. `Exposition` returns
//! the first mistake as an error with its line. Families are ordered by name. The text of numbers does not change.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod sample;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use crate::error::{Error, Kind};
use crate::labels::{GroupingKey, RESERVED_METRICS, is_label_name, is_metric_name};
use crate::push_request::Families;
use sample::unquote;
pub(crate) use sample::{EncodedFamily, LabelPairs, MetricType, Sample, single_value};

/// Metrics in the text format, for example from a script, checked and ready to push.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// use metrics_push::{Exposition, Gateway, GroupingKey, testing::FakeGateway};
///
/// # let fake = FakeGateway::start();
/// let exposition: Exposition = "backup_bytes{disk=\"a\"} 4096\n".parse()?;
/// let key = GroupingKey::new("backup")?;
/// Gateway::new(fake.url())?.push(&key, &exposition)?;
/// # assert_eq!(fake.group("backup", &[]).value("backup_bytes", &[("disk", "a")]), 4096.0);
///
/// let mistake = "backup_bytes{disk=a} 4096\n".parse::<Exposition>().unwrap_err();
/// assert!(mistake.to_string().contains("line: 1"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    families: BTreeMap<String, FamilyLines>,
    /// All series, to find duplicates.
    series: BTreeSet<String>,
    /// All label names, each with one metric that has it.
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default)]
struct FamilyLines {
    help: Option<String>,
    metric_type: Option<MetricType>,
    samples: String,
}

impl FromStr for Exposition {
    type Err = Error;

    /// Parses the text format.
    ///
    /// # Errors
    /// `is_metric` for the first mistake, with its line.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut exposition = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            exposition.parse_line(line.trim()).map_err(|mistake| {
                let error = Error::new(Kind::Metric, mistake.message).at("line", number);
                error.remedy(mistake.remedy)
            })?;
        }
        exposition.families.retain(|_, family| !family.samples.is_empty());
        Ok(exposition)
    }
}

/// A mistake in a line, and the remedy.
struct Mistake {
    message: String,
    remedy: &'static str,
}

fn mistake(message: impl Into<String>, remedy: &'static str) -> Mistake {
    Mistake { message: message.into(), remedy }
}

const SAMPLE_FORM: &str = "write a sample as name{label=\"value\"} 1";

impl Exposition {
    /// Returns true if there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }

    /// Returns the names of the metric families, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.families.keys().map(String::as_str)
    }

    /// Returns the families for a request to the group of `key`.
    ///
    /// # Errors
    /// `is_metric` if there are none, or a metric has one of the key's labels.
    pub(crate) fn families_for(&self, key: &GroupingKey) -> Result<Families, Error> {
        let refused = |message: String| Error::new(Kind::Metric, message).at("group", key);
        if self.is_empty() {
            // A push without a body silently deletes all metrics of the group.
            return Err(refused("the exposition has no metrics".to_owned())
                .remedy("check the program that writes it; to empty a group, delete it"));
        }
        if let Some((label, metric)) = self.labels.iter().find(|(label, _)| key.has_label(label)) {
            return Err(refused(format!("metric {metric:?} has the grouping label {label:?}"))
                .remedy(
                    "remove it from the metric: the gateway adds it to every metric of the group",
                ));
        }
        let encoded = self.families.iter().map(|(name, family)| (name.clone(), family.text(name)));
        Ok(encoded.collect())
    }

    fn parse_line(&mut self, line: &str) -> Result<(), Mistake> {
        match line.strip_prefix('#') {
            Some(comment) => self.parse_comment(comment.trim_start()),
            None if line.is_empty() => Ok(()),
            None => self.parse_sample(line),
        }
    }

    fn parse_comment(&mut self, comment: &str) -> Result<(), Mistake> {
        let (keyword, rest) = comment.split_once(char::is_whitespace).unwrap_or((comment, ""));
        match keyword {
            "HELP" => {
                let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
                self.family(name)?.help.get_or_insert_with(|| help.to_owned());
                Ok(())
            }
            "TYPE" => self.parse_type(rest),
            "EOF" => Err(mistake(
                "OpenMetrics is not supported",
                "write the Prometheus text format, version 0.0.4, which has no # EOF",
            )),
            _ => Ok(()),
        }
    }

    fn parse_type(&mut self, text: &str) -> Result<(), Mistake> {
        let (name, word) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
        let word = word.trim();
        let metric_type = MetricType::parse(word).ok_or_else(|| {
            mistake(
                format!("invalid metric type {word:?}"),
                "write counter, gauge, histogram, summary or untyped",
            )
        })?;
        let family = self.family(name)?;
        if family.metric_type.is_some() || !family.samples.is_empty() {
            return Err(mistake(
                format!("the TYPE line of {name:?} is repeated, or follows its samples"),
                "write one TYPE line before the samples of a metric",
            ));
        }
        family.metric_type = Some(metric_type);
        Ok(())
    }

    fn parse_sample(&mut self, line: &str) -> Result<(), Mistake> {
        let name_ends = line.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(line.len());
        let (name, rest) = line.split_at(name_ends);
        let (labels, rest) = parse_labels(rest.trim_start())?;
        let value = parse_value(rest)?;
        let family_name = self.family_name(name).to_owned();
        check_bound(name, &family_name, self.family(&family_name)?.metric_type, &labels)?;

        let series = format!("{name}{}", LabelSet(&labels));
        for label in labels.into_keys() {
            self.labels.entry(label).or_insert_with(|| name.to_owned());
        }
        if !self.series.insert(series.clone()) {
            return Err(mistake(
                format!("duplicate series {series}"),
                "write different labels for each sample of a metric",
            ));
        }
        let samples = &mut self.family(&family_name)?.samples;
        // Writing to a string does not fail.
        let _ = writeln!(samples, "{series} {value}");
        Ok(())
    }

    /// Returns the name of a sample's family. Samples of histograms and summaries have a suffix.
    fn family_name<'a>(&self, sample: &'a str) -> &'a str {
        for suffix in ["_bucket", "_count", "_sum"] {
            let Some(base) = sample.strip_suffix(suffix) else { continue };
            match self.families.get(base).and_then(|family| family.metric_type) {
                Some(MetricType::Histogram) => return base,
                Some(MetricType::Summary) if suffix != "_bucket" => return base,
                _ => {}
            }
        }
        sample
    }

    fn family(&mut self, name: &str) -> Result<&mut FamilyLines, Mistake> {
        if !is_metric_name(name) {
            return Err(mistake(format!("invalid metric name {name:?}"), SAMPLE_FORM));
        }
        if RESERVED_METRICS.contains(&name) {
            return Err(mistake(
                format!("the metric name {name:?} is reserved by the gateway"),
                "rename the metric",
            ));
        }
        Ok(self.families.entry(name.to_owned()).or_default())
    }
}

impl FamilyLines {
    fn text(&self, name: &str) -> String {
        let mut text = String::new();
        if let Some(help) = &self.help {
            text.extend(["# HELP ", name, " ", help, "\n"]);
        }
        if let Some(metric_type) = self.metric_type {
            text.extend(["# TYPE ", name, " ", metric_type.as_str(), "\n"]);
        }
        text.push_str(&self.samples);
        text
    }
}

/// Checks that a bucket of a histogram has a numeric label `le`, and a quantile of a summary a numeric label
/// `quantile`.
fn check_bound(
    sample: &str,
    family: &str,
    metric_type: Option<MetricType>,
    labels: &BTreeMap<String, String>,
) -> Result<(), Mistake> {
    let label = match metric_type {
        Some(MetricType::Histogram) if sample == family => {
            return Err(mistake(
                format!("the histogram {family:?} has a sample without a suffix"),
                "end the names of its samples in _bucket, _sum and _count",
            ));
        }
        Some(MetricType::Histogram) if sample.ends_with("_bucket") => "le",
        Some(MetricType::Summary) if sample == family => "quantile",
        _ => return Ok(()),
    };
    match labels.get(label).map(|value| value.parse::<f64>()) {
        Some(Ok(_)) => Ok(()),
        _ => Err(mistake(
            format!("the sample {sample:?} has no numeric label {label:?}"),
            "add the label, for example le=\"0.5\" or quantile=\"0.9\"",
        )),
    }
}

/// Returns the labels without those that have an empty value, and the text after them.
fn parse_labels(text: &str) -> Result<(BTreeMap<String, String>, &str), Mistake> {
    let mut labels = BTreeMap::new();
    let Some(mut rest) = text.strip_prefix('{') else { return Ok((labels, text)) };
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('}') {
            labels.retain(|_, value: &mut String| !value.is_empty());
            return Ok((labels, after));
        }
        let invalid = || mistake("invalid labels", SAMPLE_FORM);
        let (name, after) = rest.split_once('=').ok_or_else(invalid)?;
        let name = name.trim();
        if !is_label_name(name) {
            return Err(mistake(format!("invalid label name {name:?}"), SAMPLE_FORM));
        }
        let quoted = after.trim_start().strip_prefix('"').ok_or_else(invalid)?;
        let (value, after) = unquote(quoted).ok_or_else(invalid)?;
        if labels.insert(name.to_owned(), value.into_owned()).is_some() {
            return Err(mistake(
                format!("duplicate label {name:?}"),
                "write each label once per sample",
            ));
        }
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => more,
            None if after.starts_with('}') => after,
            None => return Err(invalid()),
        };
    }
}

fn parse_value(text: &str) -> Result<&str, Mistake> {
    let mut words = text.split_whitespace();
    let value = words.next().ok_or_else(|| mistake("the sample has no value", SAMPLE_FORM))?;
    if value.parse::<f64>().is_err() {
        return Err(mistake(format!("invalid value {value:?}"), SAMPLE_FORM));
    }
    match words.next() {
        None => Ok(value),
        Some(more) if more.parse::<f64>().is_ok() => Err(mistake(
            "the sample has a timestamp, which gateways reject",
            "remove the timestamp, or push it as the value of another metric",
        )),
        Some(more) => Err(mistake(format!("unexpected {more:?} after the value"), SAMPLE_FORM)),
    }
}

/// Writes labels in the text format.
struct LabelSet<'a>(&'a BTreeMap<String, String>);

impl fmt::Display for LabelSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (name, value)) in self.0.iter().enumerate() {
            f.write_str(if position == 0 { "{" } else { "," })?;
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(f, "{name}=\"{value}\"")?;
        }
        f.write_str(if self.0.is_empty() { "" } else { "}" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> GroupingKey {
        GroupingKey::new("import").and_then(|key| key.label("region", "eu")).unwrap()
    }

    fn families(text: &str) -> String {
        let families = text.parse::<Exposition>().unwrap().families_for(&key()).unwrap();
        families.into_values().collect()
    }

    fn mistake_in(text: &str) -> String {
        text.parse::<Exposition>().unwrap_err().to_string()
    }

    #[test]
    fn parse_accepts_lines_of_a_family_in_any_place() {
        let text = "# a comment\nb 1\n\n# HELP a What a is.\r\n# TYPE a gauge\r\na{y=\"2\", x=\"1\",} +Inf\n\
                    b{z=\"\"  ,w=\"q\\\"\\\\\\n\"}   1e3\na 0";
        assert_eq!(
            families(text),
            "# HELP a What a is.\n# TYPE a gauge\na{x=\"1\",y=\"2\"} +Inf\na 0\n\
             b 1\nb{w=\"q\\\"\\\\\\n\"} 1e3\n"
        );
    }

    #[test]
    fn histogram_and_summary_keep_their_samples() {
        let text = "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n\
                    # TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\n";
        let exposition: Exposition = text.parse().unwrap();
        assert_eq!(exposition.names().collect::<Vec<_>>(), ["h", "s"]);
        assert_eq!(families(text), text);
    }

    #[test]
    fn mistake_has_its_line_and_the_remedy() {
        for (text, expected) in [
            ("ok 1\nmy-metric 1\n", "invalid metric name \"my-metric\" (line: 2); write"),
            ("a{b-c=\"1\"} 1", "invalid label name \"b-c\" (line: 1)"),
            ("a{b=1} 1", "invalid labels (line: 1)"),
            ("a{b=\"1} 1", "invalid labels"),
            ("a{b=\"1\" c=\"2\"} 1", "invalid labels"),
            ("a{b=\"1\",b=\"2\"} 1", "duplicate label \"b\""),
            ("a", "the sample has no value"),
            ("a one", "invalid value \"one\""),
            ("a 1 1700000000000", "a timestamp"),
            ("a 1 x", "unexpected \"x\" after the value"),
            ("a 1\na 2", "duplicate series a (line: 2)"),
            ("a{x=\"1\"} 1\na{x=\"1\",y=\"\"} 2", "duplicate series a{x=\"1\"} (line: 2)"),
            ("# TYPE a number\na 1", "invalid metric type \"number\""),
            ("# TYPE a gauge\n# TYPE a gauge\na 1", "is repeated, or follows"),
            ("a 1\n# TYPE a gauge", "is repeated, or follows"),
            ("# EOF", "OpenMetrics"),
            ("push_time_seconds 1", "the metric name \"push_time_seconds\" is reserved"),
            ("# TYPE h histogram\nh 1", "has a sample without a suffix"),
            ("# TYPE h histogram\nh_bucket 1", "has no numeric label \"le\""),
            ("# TYPE s summary\ns 1", "has no numeric label \"quantile\""),
        ] {
            let error = mistake_in(text);
            assert!(error.contains(expected), "{text:?}: {error}");
            assert!(error.contains("(line: ") && error.contains("); "), "{error}");
        }
    }

    #[test]
    fn grouping_labels_and_empty_expositions_are_rejected() {
        let rejection = |text: &str| {
            let exposition: Exposition = text.parse().unwrap();
            exposition.families_for(&key()).unwrap_err().to_string()
        };
        for (text, expected) in [
            ("a{job=\"x\"} 1", "metric \"a\" has the grouping label \"job\""),
            ("a 1\nb{region=\"x\"} 1", "metric \"b\" has the grouping label \"region\""),
            ("", "the exposition has no metrics"),
            ("# TYPE a gauge\n", "the exposition has no metrics"),
        ] {
            let error = rejection(text);
            assert!(error.contains(expected), "{text:?}: {error}");
            assert!(error.contains("region=\"eu\""), "{text:?}: {error}");
        }
    }
}
