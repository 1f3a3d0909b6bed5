//! Exposition: metrics in the text format that somebody else wrote, checked before a gateway sees them.
//!
//! A gateway's refusal names no line, and some mistakes it takes without a word: each is an error with its line
//! here. What is left is sorted by family; samples keep their numbers as they were written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use crate::error::{Error, Kind};
use crate::labels::{GATEWAYS_OWN, GroupingKey, is_label_name, is_metric_name};
use crate::push_request::Families;

/// Metrics in the text format, as a script writes them, checked and ready to be pushed.
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
    families: BTreeMap<String, Family>,
    /// Every series, to notice one that comes twice.
    series: BTreeSet<String>,
    /// Every label, with a metric that has it.
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default)]
struct Family {
    help: Option<String>,
    kind: Option<&'static str>,
    samples: String,
}

impl FromStr for Exposition {
    type Err = Error;

    /// Reads the text format.
    ///
    /// # Errors
    /// `is_metric`, with the line, for the first mistake.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut exposition = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            exposition.read(line.trim()).map_err(|mistake| {
                let error = Error::new(Kind::Metric, mistake.what).at("line", number);
                error.remedy(mistake.remedy)
            })?;
        }
        exposition.families.retain(|_, family| !family.samples.is_empty());
        Ok(exposition)
    }
}

/// What is wrong with a line, and what to write instead.
struct Mistake {
    what: String,
    remedy: &'static str,
}

fn mistake(what: impl Into<String>, remedy: &'static str) -> Mistake {
    Mistake { what: what.into(), remedy }
}

const SAMPLE_FORM: &str = "write a sample as name{label=\"value\"} 1";

impl Exposition {
    /// Whether there is no sample in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }

    /// The names of the metric families, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.families.keys().map(String::as_str)
    }

    /// The families as they are sent to this group.
    ///
    /// # Errors
    /// `is_metric`, if there are none, or a metric has one of the key's labels.
    pub(crate) fn families_for(&self, key: &GroupingKey) -> Result<Families, Error> {
        let refused = |what: String| Error::new(Kind::Metric, what).at("group", key);
        if self.is_empty() {
            // An empty push is a silent deletion.
            return Err(refused("there is no metric to push".to_owned())
                .remedy("check what wrote the exposition; to empty a group, delete it"));
        }
        if let Some((label, metric)) = self.labels.iter().find(|(label, _)| key.has_label(label)) {
            return Err(refused(format!("metric {metric:?} has the grouping label {label:?}"))
                .remedy("leave it out of the metric: the gateway gives it to all of the group"));
        }
        let encoded = self.families.iter().map(|(name, family)| (name.clone(), family.text(name)));
        Ok(encoded.collect())
    }

    fn read(&mut self, line: &str) -> Result<(), Mistake> {
        match line.strip_prefix('#') {
            Some(comment) => self.read_comment(comment.trim_start()),
            None if line.is_empty() => Ok(()),
            None => self.read_sample(line),
        }
    }

    fn read_comment(&mut self, comment: &str) -> Result<(), Mistake> {
        let (keyword, rest) = comment.split_once(char::is_whitespace).unwrap_or((comment, ""));
        match keyword {
            "HELP" => {
                let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
                self.family(name)?.help.get_or_insert_with(|| help.to_owned());
                Ok(())
            }
            "TYPE" => self.read_type(rest),
            "EOF" => Err(mistake(
                "this is the end mark of OpenMetrics",
                "write the Prometheus text format, version 0.0.4, which has none",
            )),
            _ => Ok(()),
        }
    }

    fn read_type(&mut self, text: &str) -> Result<(), Mistake> {
        const KINDS: [&str; 5] = ["counter", "gauge", "histogram", "summary", "untyped"];
        let (name, word) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
        let word = word.trim();
        let kind = KINDS.into_iter().find(|kind| *kind == word).ok_or_else(|| {
            mistake(
                format!("{word:?} is no type of a metric"),
                "write counter, gauge, histogram, summary or untyped",
            )
        })?;
        let family = self.family(name)?;
        if family.kind.is_some() || !family.samples.is_empty() {
            return Err(mistake(
                format!("the type of {name:?} comes a second time, or after its samples"),
                "write one TYPE line before the samples of a metric",
            ));
        }
        family.kind = Some(kind);
        Ok(())
    }

    fn read_sample(&mut self, line: &str) -> Result<(), Mistake> {
        let name_ends = line.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(line.len());
        let (name, rest) = line.split_at(name_ends);
        let (labels, rest) = read_labels(rest.trim_start())?;
        let value = read_value(rest)?;
        let family_name = self.family_of(name).to_owned();
        check_bound(name, &family_name, self.family(&family_name)?.kind, &labels)?;

        let series = format!("{name}{}", Labels(&labels));
        for label in labels.into_keys() {
            self.labels.entry(label).or_insert_with(|| name.to_owned());
        }
        if !self.series.insert(series.clone()) {
            return Err(mistake(
                format!("the series {series} comes a second time"),
                "give each sample of a metric labels of its own",
            ));
        }
        let samples = &mut self.family(&family_name)?.samples;
        // Writing to a string does not fail.
        let _ = writeln!(samples, "{series} {value}");
        Ok(())
    }

    /// The family that a sample of this name belongs to: that of a histogram or summary has a shorter name.
    fn family_of<'a>(&self, sample: &'a str) -> &'a str {
        for suffix in ["_bucket", "_count", "_sum"] {
            let Some(base) = sample.strip_suffix(suffix) else { continue };
            match self.families.get(base).and_then(|family| family.kind) {
                Some("histogram") => return base,
                Some("summary") if suffix != "_bucket" => return base,
                _ => {}
            }
        }
        sample
    }

    fn family(&mut self, name: &str) -> Result<&mut Family, Mistake> {
        if !is_metric_name(name) {
            return Err(mistake(format!("{name:?} is no name for a metric"), SAMPLE_FORM));
        }
        if GATEWAYS_OWN.contains(&name) {
            return Err(mistake(
                format!("the gateway keeps the name {name:?} for itself"),
                "give the metric another name",
            ));
        }
        Ok(self.families.entry(name.to_owned()).or_default())
    }
}

impl Family {
    fn text(&self, name: &str) -> String {
        let mut text = String::new();
        if let Some(help) = &self.help {
            text.extend(["# HELP ", name, " ", help, "\n"]);
        }
        if let Some(kind) = self.kind {
            text.extend(["# TYPE ", name, " ", kind, "\n"]);
        }
        text.push_str(&self.samples);
        text
    }
}

/// A bucket has a bound, a quantile its rank; nothing else has either.
fn check_bound(
    sample: &str,
    family: &str,
    kind: Option<&str>,
    labels: &BTreeMap<String, String>,
) -> Result<(), Mistake> {
    let wants = match kind {
        Some("histogram") if sample == family => {
            return Err(mistake(
                format!("the histogram {family:?} has a sample without a suffix"),
                "a histogram has samples that end in _bucket, _sum and _count",
            ));
        }
        Some("histogram") if sample.ends_with("_bucket") => "le",
        Some("summary") if sample == family => "quantile",
        _ => return Ok(()),
    };
    let number = labels.get(wants).map(|value| value.parse::<f64>());
    match number {
        Some(Ok(_)) => Ok(()),
        _ => Err(mistake(
            format!("the sample {sample:?} has no label {wants:?} that is a number"),
            "give it one, such as le=\"0.5\" or quantile=\"0.9\"",
        )),
    }
}

/// Labels, if there are any, and what comes after them. Those with an empty value are as good as absent.
fn read_labels(text: &str) -> Result<(BTreeMap<String, String>, &str), Mistake> {
    let mut labels = BTreeMap::new();
    let Some(mut rest) = text.strip_prefix('{') else { return Ok((labels, text)) };
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('}') {
            labels.retain(|_, value: &mut String| !value.is_empty());
            return Ok((labels, after));
        }
        let unclear = || mistake("the labels can't be read", SAMPLE_FORM);
        let (name, after) = rest.split_once('=').ok_or_else(unclear)?;
        let name = name.trim();
        if !is_label_name(name) {
            return Err(mistake(format!("{name:?} is no name for a label"), SAMPLE_FORM));
        }
        let quoted = after.trim_start().strip_prefix('"').ok_or_else(unclear)?;
        let (value, after) = unquote(quoted).ok_or_else(unclear)?;
        if labels.insert(name.to_owned(), value).is_some() {
            return Err(mistake(
                format!("the label {name:?} comes twice"),
                "give a label one value per sample",
            ));
        }
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => more,
            None if after.starts_with('}') => after,
            None => return Err(unclear()),
        };
    }
}

/// The value up to the closing quote, and what comes after it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other @ ('"' | '\\') => other,
                _ => return None,
            }),
            _ => value.push(character),
        }
    }
    None
}

fn read_value(text: &str) -> Result<&str, Mistake> {
    let mut words = text.split_whitespace();
    let value = words.next().ok_or_else(|| mistake("the sample has no value", SAMPLE_FORM))?;
    if value.parse::<f64>().is_err() {
        return Err(mistake(format!("{value:?} is no number"), SAMPLE_FORM));
    }
    match words.next() {
        None => Ok(value),
        Some(more) if more.parse::<f64>().is_ok() => Err(mistake(
            "the sample has a timestamp, which a gateway takes from nobody",
            "leave the timestamp out, or push it as the value of another metric",
        )),
        Some(more) => Err(mistake(format!("there is {more:?} after the value"), SAMPLE_FORM)),
    }
}

/// A label set in the text format.
struct Labels<'a>(&'a BTreeMap<String, String>);

impl fmt::Display for Labels<'_> {
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

    fn sent(text: &str) -> String {
        let families = text.parse::<Exposition>().unwrap().families_for(&key()).unwrap();
        families.into_values().collect()
    }

    fn refused(text: &str) -> String {
        text.parse::<Exposition>().unwrap_err().to_string()
    }

    #[test]
    fn families_are_gathered_from_wherever_their_lines_are() {
        let text = "# a comment\nb 1\n\n# HELP a What a is.\r\n# TYPE a gauge\r\na{y=\"2\", x=\"1\",} +Inf\n\
                    b{z=\"\"  ,w=\"q\\\"\\\\\\n\"}   1e3\na 0";
        assert_eq!(
            sent(text),
            "# HELP a What a is.\n# TYPE a gauge\na{x=\"1\",y=\"2\"} +Inf\na 0\n\
             b 1\nb{w=\"q\\\"\\\\\\n\"} 1e3\n"
        );
    }

    #[test]
    fn histograms_and_summaries_stay_whole() {
        let text = "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n\
                    # TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\n";
        let exposition: Exposition = text.parse().unwrap();
        assert_eq!(exposition.names().collect::<Vec<_>>(), ["h", "s"]);
        assert_eq!(sent(text), text);
    }

    #[test]
    fn each_mistake_is_told_with_its_line_and_the_remedy() {
        for (text, expected) in [
            ("ok 1\nmy-metric 1\n", "\"my-metric\" is no name for a metric (line: 2); write"),
            ("a{b-c=\"1\"} 1", "\"b-c\" is no name for a label (line: 1)"),
            ("a{b=1} 1", "the labels can't be read (line: 1)"),
            ("a{b=\"1} 1", "the labels can't be read"),
            ("a{b=\"1\" c=\"2\"} 1", "the labels can't be read"),
            ("a{b=\"1\",b=\"2\"} 1", "the label \"b\" comes twice"),
            ("a", "the sample has no value"),
            ("a one", "\"one\" is no number"),
            ("a 1 1700000000000", "a timestamp"),
            ("a 1 x", "there is \"x\" after the value"),
            ("a 1\na 2", "the series a comes a second time (line: 2)"),
            ("a{x=\"1\"} 1\na{x=\"1\",y=\"\"} 2", "the series a{x=\"1\"} comes a second time"),
            ("# TYPE a number\na 1", "\"number\" is no type"),
            ("# TYPE a gauge\n# TYPE a gauge\na 1", "comes a second time, or after"),
            ("a 1\n# TYPE a gauge", "comes a second time, or after"),
            ("# EOF", "OpenMetrics"),
            ("push_time_seconds 1", "keeps the name \"push_time_seconds\" for itself"),
            ("# TYPE h histogram\nh 1", "has a sample without a suffix"),
            ("# TYPE h histogram\nh_bucket 1", "has no label \"le\""),
            ("# TYPE s summary\ns 1", "has no label \"quantile\""),
        ] {
            let told = refused(text);
            assert!(told.contains(expected), "{text:?}: {told}");
            assert!(told.contains("(line: ") && told.contains("); "), "{told}");
        }
    }

    #[test]
    fn what_a_gateway_would_silently_overwrite_or_empty_is_refused() {
        let refused = |text: &str| {
            let exposition: Exposition = text.parse().unwrap();
            exposition.families_for(&key()).unwrap_err().to_string()
        };
        for (text, expected) in [
            ("a{job=\"x\"} 1", "metric \"a\" has the grouping label \"job\""),
            ("a 1\nb{region=\"x\"} 1", "metric \"b\" has the grouping label \"region\""),
            ("", "there is no metric to push"),
            ("# TYPE a gauge\n", "there is no metric to push"),
        ] {
            let told = refused(text);
            assert!(told.contains(expected) && told.contains("region=\"eu\""), "{text:?}: {told}");
        }
    }
}
