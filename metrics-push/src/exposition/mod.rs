//! `Exposition`: text-format metrics of another program, checked line by line before they are sent.
//!
//! A gateway rejects an exposition as a whole, and silently drops or merges some samples. `Exposition` returns the first
//! mistake as an error with its line. Families are ordered by name. The text of numbers does not change.

mod comment;
mod distribution;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod lexer;
mod sample;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use crate::error::{Error, Kind};
use crate::float::parse_float;
use crate::labels::{GroupingKey, RESERVED_METRICS};
use crate::ordered_map::ordered_map;
use crate::push_request::Families;
use comment::{Comment, Keyword, escape_help, metric_type, unescape_help};
pub(crate) use distribution::Distribution;
use lexer::{Mistake, is_blank, labels, metric_name, mistake, trim_blanks, value};
pub(crate) use sample::{EncodedFamily, LabelPairs, MetricType, Sample, single_value};
#[cfg(feature = "remote-write")]
pub(crate) use sample::{read_sample, sample_lines};

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
///
/// # Differences from the gateway
///
/// Text that a Pushgateway accepts is accepted, and results in the same series. Text that it rejects is rejected. These
/// differences are deliberate.
///
/// Accepted although the gateway rejects it, and sent in the form that the gateway accepts:
///
/// - a byte order mark, `\r\n` at the end of lines, and blanks at the end of lines;
/// - a last line without a line feed;
/// - a backslash in a help text that is not part of `\\` or `\n`.
///
/// Rejected although the gateway accepts it:
///
/// - samples that the gateway drops or ignores in part: a histogram's or summary's sample without a bound, with the bound
///   `NaN`, or with a bound where none belongs, such as `h_count{le="1"}`;
/// - a bucket, quantile, sum or count that occurs twice, and two samples whose labels differ only in empty values;
/// - labels whose name starts with two underscores, which Prometheus removes;
/// - a name or label that is directly followed by its value, such as `a+1`;
/// - the names `push_time_seconds` and `push_failure_time_seconds`, which the gateway replaces;
/// - the type `gauge_histogram`: one sample named like its family truncates every later scrape of the gateway;
/// - text that is not UTF-8, in comments.
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    families: BTreeMap<String, FamilyLines>,
    /// All series, to find duplicates.
    series: BTreeSet<String>,
    /// All label names, each with one metric that has it.
    labels: BTreeMap<String, String>,
    /// The number of texts that were read before the current one.
    texts: usize,
}

#[derive(Clone, Debug, Default)]
struct FamilyLines {
    help: Option<Described<String>>,
    metric_type: Option<Described<MetricType>>,
    samples: String,
}

/// The content of a comment, and the number of the text that contains it.
#[derive(Clone, Debug)]
struct Described<T> {
    content: T,
    text: usize,
}

impl FromStr for Exposition {
    type Err = Error;

    /// Parses the text format.
    ///
    /// # Errors
    /// `is_metric` for the first mistake, with its line.
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::default().with(text.as_bytes())
    }
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
const RECODE: &str =
    "save the text as UTF-8, for example with iconv -f LATIN1 -t UTF-8, or -f UTF-16 for UTF-16";

impl Exposition {
    /// Adds the metrics of another text, for example of a second file. Both may contain samples of one metric if it has the
    /// same type in both.
    ///
    /// # Errors
    /// `is_metric` for the first mistake, with its line.
    pub fn with(mut self, text: &[u8]) -> Result<Self, Error> {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        if is_utf16(text) {
            return Err(Error::new(
                Kind::Metric,
                "the text is UTF-16, and the text format is UTF-8",
            )
            .at("line", 1)
            .remedy(RECODE));
        }
        for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            self.parse_line(line).map_err(|mistake| {
                let error = Error::new(Kind::Metric, mistake.message).at("line", number);
                error.remedy(mistake.remedy)
            })?;
        }
        self.texts += 1;
        Ok(self)
    }

    /// Returns true if there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Returns the names of the metric families, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.families_with_samples().map(|(name, _)| name.as_str())
    }

    fn families_with_samples(&self) -> impl Iterator<Item = (&String, &FamilyLines)> {
        self.families.iter().filter(|(_, family)| !family.samples.is_empty())
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
        let encoded = self.families_with_samples();
        Ok(ordered_map(encoded.map(|(name, family)| (name.clone(), family.text(name)))))
    }

    fn parse_line(&mut self, line: &[u8]) -> Result<(), Mistake> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = std::str::from_utf8(line).map_err(|error| {
            mistake(format!("the byte 0x{:02X} is not UTF-8", line[error.valid_up_to()]), RECODE)
        })?;
        let line = line.trim_start_matches(is_blank);
        match line.strip_prefix('#') {
            Some(comment) => match Comment::parse(comment)? {
                Some(comment) => self.apply_comment(&comment),
                None => Ok(()),
            },
            None if line.is_empty() => Ok(()),
            None => self.parse_sample(line),
        }
    }

    fn apply_comment(&mut self, comment: &Comment<'_>) -> Result<(), Mistake> {
        let name = self.family_name(comment.name);
        let text = self.texts;
        let family = self.families.entry(name.clone()).or_default();
        match (comment.keyword, comment.text) {
            (_, None) => Ok(()),
            (Keyword::Help, Some(help)) => family.set_help(&name, help, text),
            (Keyword::Type, Some(word)) => {
                family.set_type(&name, metric_type(trim_blanks(word))?, text)
            }
        }
    }

    fn parse_sample(&mut self, line: &str) -> Result<(), Mistake> {
        let (name, rest) = metric_name(line)?;
        if RESERVED_METRICS.contains(&name) {
            return Err(mistake(
                format!("the metric name {name:?} is reserved by the gateway"),
                "rename the metric",
            ));
        }
        let (mut labels, rest) = labels(rest.trim_start_matches(is_blank))?;
        labels.retain(|_, value| !value.is_empty());
        let value = value(rest)?;
        let family_name = self.family_name(name);
        let family = self.families.entry(family_name.clone()).or_default();
        let metric_type = family.metric_type();
        let suffix = &name[family_name.len()..];
        let bound = check_bound(name, suffix, metric_type, &labels)?;
        if family.samples.is_empty() {
            self.check_collisions(&family_name, metric_type)?;
        }
        self.add_series(name, &labels, bound)?;

        let family = self.families.entry(family_name).or_default();
        // Writing to a string does not fail.
        let _ = writeln!(family.samples, "{name}{} {value}", LabelSet(&labels));
        for label in labels.into_keys() {
            self.labels.entry(label).or_insert_with(|| name.to_owned());
        }
        Ok(())
    }

    /// Adds a series to those that find duplicates. The gateway compares bounds as numbers.
    fn add_series(
        &mut self,
        name: &str,
        labels: &BTreeMap<String, String>,
        bound: Option<(&'static str, f64)>,
    ) -> Result<(), Mistake> {
        let mut compared = labels.clone();
        if let Some((label, number)) = bound {
            compared.insert(label.to_owned(), number.to_string());
        }
        if self.series.insert(format!("{name}{}", LabelSet(&compared))) {
            return Ok(());
        }
        Err(mistake(
            format!("duplicate series {name}{}", LabelSet(labels)),
            "write different labels for each sample of a metric",
        ))
    }

    /// Returns the name of a sample's family: its own name if a line before it has this name, otherwise that of the
    /// histogram or summary whose suffix it has.
    fn family_name(&self, sample: &str) -> String {
        if self.families.contains_key(sample) {
            return sample.to_owned();
        }
        let base = SUFFIXES.iter().find_map(|suffix| {
            let base = sample.strip_suffix(suffix)?;
            let metric_type = self.families.get(base)?.metric_type();
            has_samples_with(metric_type, suffix).then_some(base)
        });
        base.unwrap_or(sample).to_owned()
    }

    /// Checks that no other family has the name of a sample of this one, or the reverse.
    fn check_collisions(&self, name: &str, metric_type: MetricType) -> Result<(), Mistake> {
        let collision = |single: &str, whole: &str, metric_type: MetricType| {
            Err(mistake(
                format!(
                    "the metric {single:?} has the name of a sample of the {} {whole:?}",
                    metric_type.as_str()
                ),
                "rename one of them; if it is such a sample, write its TYPE line before all of its samples",
            ))
        };
        let with_samples =
            |name: &str| self.families.get(name).filter(|family| !family.samples.is_empty());
        for suffix in SUFFIXES {
            if let Some(base) = name.strip_suffix(suffix)
                && let Some(whole) = with_samples(base)
                && has_samples_with(whole.metric_type(), suffix)
            {
                return collision(name, base, whole.metric_type());
            }
            let part = format!("{name}{suffix}");
            if has_samples_with(metric_type, suffix) && with_samples(&part).is_some() {
                return collision(&part, name, metric_type);
            }
        }
        Ok(())
    }
}

/// The suffixes of the samples of histograms and summaries.
const SUFFIXES: [&str; 3] = ["_count", "_sum", "_bucket"];

fn has_samples_with(metric_type: MetricType, suffix: &str) -> bool {
    match metric_type {
        MetricType::Histogram => true,
        MetricType::Summary => suffix != "_bucket",
        MetricType::Counter | MetricType::Gauge | MetricType::Untyped => false,
    }
}

/// Returns true for text in UTF-16 or UTF-32. The first character of the text format is an ASCII character.
fn is_utf16(text: &[u8]) -> bool {
    match text {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [first, second, ..] => (*first == 0) != (*second == 0),
        _ => false,
    }
}

impl FamilyLines {
    fn metric_type(&self) -> MetricType {
        self.metric_type.as_ref().map_or(MetricType::Untyped, |described| described.content)
    }

    /// Sets the help text. That of an earlier text has priority.
    fn set_help(&mut self, name: &str, help: &str, text: usize) -> Result<(), Mistake> {
        match &self.help {
            Some(help) if help.text == text => Err(mistake(
                format!("the HELP line of {name:?} is repeated"),
                "write one HELP line per metric",
            )),
            Some(_) => Ok(()),
            None => {
                self.help = Some(Described { content: unescape_help(help), text });
                Ok(())
            }
        }
    }

    fn set_type(&mut self, name: &str, content: MetricType, text: usize) -> Result<(), Mistake> {
        match &self.metric_type {
            None if self.samples.is_empty() => {
                self.metric_type = Some(Described { content, text });
                Ok(())
            }
            Some(earlier) if earlier.text != text => {
                if earlier.content == content {
                    return Ok(());
                }
                Err(mistake(
                    format!(
                        "the type of {name:?} is {} here and {} in an earlier text",
                        content.as_str(),
                        earlier.content.as_str()
                    ),
                    "give the metric the same type in all files",
                ))
            }
            _ => Err(mistake(
                format!("the TYPE line of {name:?} is repeated, or follows its samples"),
                "write one TYPE line before the samples of a metric",
            )),
        }
    }

    fn text(&self, name: &str) -> String {
        let mut text = String::new();
        if let Some(help) = &self.help {
            text.extend(["# HELP ", name, " ", &escape_help(&help.content), "\n"]);
        }
        if let Some(described) = &self.metric_type {
            text.extend(["# TYPE ", name, " ", described.content.as_str(), "\n"]);
        }
        text.push_str(&self.samples);
        text
    }
}

/// Checks that exactly the buckets of a histogram have a label `le`, and exactly the quantiles of a summary a label
/// `quantile`, both with a number. Returns the label and the number.
fn check_bound(
    sample: &str,
    suffix: &str,
    metric_type: MetricType,
    labels: &BTreeMap<String, String>,
) -> Result<Option<(&'static str, f64)>, Mistake> {
    let (label, needs_bound) = match metric_type {
        MetricType::Histogram if suffix.is_empty() => {
            return Err(mistake(
                format!("the histogram {sample:?} has a sample without a suffix"),
                "end the names of its samples in _bucket, _sum and _count",
            ));
        }
        MetricType::Histogram => ("le", suffix == "_bucket"),
        MetricType::Summary => ("quantile", suffix.is_empty()),
        MetricType::Counter | MetricType::Gauge | MetricType::Untyped => return Ok(None),
    };
    let bound = labels.get(label).map(|value| parse_float(value).filter(|bound| !bound.is_nan()));
    match (needs_bound, bound) {
        (false, None) => Ok(None),
        (true, Some(Some(bound))) => Ok(Some((label, bound))),
        (true, _) => Err(mistake(
            format!("the sample {sample:?} has no numeric label {label:?}"),
            "add the label, for example le=\"0.5\" or quantile=\"0.9\"",
        )),
        (false, Some(_)) => Err(mistake(
            format!("the sample {sample:?} has the label {label:?}"),
            "remove the label: only buckets have le, and only quantiles have quantile",
        )),
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
            ("a{b=1} 1", "the value of the label \"b\" is not in quotes (line: 1)"),
            ("a{b} 1", "invalid labels (line: 1)"),
            ("a{b=\"1\"", "invalid labels"),
            ("a{b=\"1} 1", "the value of the label \"b\" has no closing quote"),
            ("a{b=\"1\n\"} 1", "the value of the label \"b\" has no closing quote"),
            (
                "a{b=\"1\" c=\"2\"} 1",
                "unexpected \"c=\\\"2\\\"} 1\" after the value of the label \"b\"",
            ),
            (
                "a{b=\"say \"hi\"\"} 1",
                "unexpected \"hi\\\"\\\"} 1\" after the value of the label \"b\"",
            ),
            (
                r#"a{path="C:\data"} 1"#,
                r#"invalid escape sequence \d in the value of the label "path""#,
            ),
            (r#"a{path="C:\"} 1"#, "has no closing quote"),
            ("a{__name__=\"b\"} 1", "the label name \"__name__\" is reserved"),
            ("{\"my.metric\"} 1", "quoted names such as"),
            ("a{\"my.label\"=\"1\"} 1", "quoted names such as"),
            ("# TYPE \"my.metric\" gauge", "quoted names such as"),
            ("{a=\"1\"} 1", "invalid metric name \"\""),
            ("a-1", "invalid metric name \"a-1\""),
            ("a\u{a0}1", "invalid metric name"),
            ("# HELP a-b Help.", "invalid metric name \"a-b\""),
            ("a{b=\"1\",b=\"2\"} 1", "duplicate label \"b\""),
            ("a", "the sample has no value"),
            ("a one", "invalid value \"one\""),
            ("ok 1\nr -nan", "invalid value \"-nan\" (line: 2); write a number"),
            ("r +NaN", "invalid value \"+NaN\""),
            ("r 1e999", "invalid value \"1e999\": it is out of range"),
            ("r -1e400", "out of range"),
            ("r 0x10", "invalid value"),
            ("r 1_000", "invalid value"),
            ("r 1,5", "invalid value"),
            ("a 1 1700000000000", "a timestamp"),
            ("a 1 x", "unexpected \"x\" after the value"),
            ("a 1\na 2", "duplicate series a (line: 2)"),
            ("a{x=\"1\"} 1\na{x=\"1\",y=\"\"} 2", "duplicate series a{x=\"1\"} (line: 2)"),
            ("# TYPE a number\na 1", "invalid metric type \"number\""),
            ("# TYPE a gauge\n# TYPE a gauge\na 1", "is repeated, or follows"),
            ("a 1\n# TYPE a gauge", "is repeated, or follows"),
            ("# HELP a b\n# HELP a c\na 1", "the HELP line of \"a\" is repeated (line: 2)"),
            (
                "# TYPE h histogram\n# TYPE h_count counter\nh_count 1",
                "the TYPE line of \"h\" is repeated",
            ),
            (
                "# TYPE h_count counter\nh_count 5\n# TYPE h histogram\nh_sum 1",
                "\"h_count\" has the name of a sample of the histogram \"h\" (line: 4)",
            ),
            (
                "# TYPE s summary\ns{quantile=\"1\"} 1\n# TYPE t gauge\nt 1\ns_bucket 1\ns_count 1\ns_sum 1\ns_sum{quantile=\"x\"} 1",
                "the sample \"s_sum\" has the label \"quantile\" (line: 8)",
            ),
            (
                "h_bucket{le=\"1\"} 1\n# TYPE h histogram\nh_sum 1",
                "\"h_bucket\" has the name of a sample of the histogram \"h\" (line: 3)",
            ),
            (
                "# TYPE h histogram\nh_count{le=\"f\"} 1",
                "the sample \"h_count\" has the label \"le\" (line: 2)",
            ),
            ("# TYPE h histogram\nh_bucket{le=\"NaN\"} 1", "has no numeric label \"le\""),
            (
                "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 1",
                "duplicate series h_bucket{le=\"1.0\"} (line: 3)",
            ),
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
    fn comments_have_the_forms_that_the_gateway_reads() {
        for (text, sent) in [
            ("# HELP\ta\tx y\na 1", "# HELP a x y\na 1\n"),
            ("#  HELP   a   x  \na 1", "# HELP a x  \na 1\n"),
            ("# TYPE a GAUGE\na 1", "# TYPE a gauge\na 1\n"),
            ("#TYPE a\tCounter \t\na 1", "# TYPE a counter\na 1\n"),
            ("# HELP\n# TYPE\n# TYPE a\n# HELP a\n# HELP a \n#\na 1", "a 1\n"),
            ("#EOF\n# EOF of this\n# EOF\n# UNIT a b\n## HELP a x\na 1", "a 1\n"),
            ("# HELP a Size of C:\\data\na 1", "# HELP a Size of C:\\\\data\na 1\n"),
            ("# TYPE s_sum gauge\n# TYPE s summary\ns_sum 1", "# TYPE s_sum gauge\ns_sum 1\n"),
            ("\u{feff}a 1\r\n\t b \t2 \r\n", "a 1\nb 2\n"),
        ] {
            assert_eq!(families(text), sent, "{text:?}");
        }
    }

    #[test]
    fn text_in_another_encoding_is_an_error_with_the_line() {
        let utf16 =
            |to_bytes: fn(u16) -> [u8; 2]| "a 1\n".encode_utf16().flat_map(to_bytes).collect();
        let utf16_be: Vec<u8> = utf16(u16::to_be_bytes);
        let utf16_le: Vec<u8> = utf16(u16::to_le_bytes);
        for (bytes, expected) in [
            (&b"a 1\nb{c=\"\xe9\"} 1\n"[..], "the byte 0xE9 is not UTF-8 (line: 2)"),
            (&b"\x1f\x8b\x08"[..], "the byte 0x8B is not UTF-8 (line: 1)"),
            (&utf16_be, "the text is UTF-16"),
            (&utf16_le, "the text is UTF-16"),
            (&[b"\xff\xfe", &utf16_le[..]].concat(), "the text is UTF-16"),
        ] {
            let error = Exposition::default().with(bytes).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("iconv"), "{error}");
        }
    }

    #[test]
    fn second_text_adds_samples_and_may_repeat_comments() {
        let first = "# HELP a First.\n# TYPE a gauge\na{x=\"1\"} 1\n";
        let with = |second: &str| {
            let exposition = first.parse::<Exposition>().unwrap().with(second.as_bytes())?;
            exposition
                .families_for(&key())
                .map(|families| families.into_values().collect::<String>())
        };
        let merged = with("# HELP a Second.\n# TYPE a gauge\na{x=\"2\"} 2\nb 1").unwrap();
        assert_eq!(merged, format!("{first}a{{x=\"2\"}} 2\nb 1\n"));
        for (second, expected) in [
            (
                "# TYPE a counter\n",
                "the type of \"a\" is counter here and gauge in an earlier text (line: 1)",
            ),
            ("\na{x=\"1\"} 2", "duplicate series a{x=\"1\"} (line: 2)"),
            ("# TYPE b gauge\n# TYPE b gauge", "the TYPE line of \"b\" is repeated"),
        ] {
            let error = with(second).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
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
