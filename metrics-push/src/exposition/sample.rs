//! Reads the text format as this crate writes it: the HELP and TYPE comments, samples and labels of one family.
//!
//! [`Exposition`](super::Exposition) checks text from other programs and writes it in this form. The parsers return
//! `None` for text in another form.

use std::borrow::Cow;

use crate::float::parse_float;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricType {
    Counter,
    Gauge,
    Histogram,
    Summary,
    Untyped,
}

impl MetricType {
    const ALL: [Self; 5] =
        [Self::Counter, Self::Gauge, Self::Histogram, Self::Summary, Self::Untyped];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Untyped => "untyped",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric_type| metric_type.as_str() == word)
    }
}

/// The text of one family: the values of its comments, and its samples.
#[derive(Debug)]
pub(crate) struct EncodedFamily<'a> {
    pub(crate) help: Option<Cow<'a, str>>,
    pub(crate) metric_type: MetricType,
    /// The lines of the samples.
    pub(crate) samples: &'a str,
}

impl<'a> EncodedFamily<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut family = Self { help: None, metric_type: MetricType::Untyped, samples: text };
        while let Some(comment) = family.samples.strip_prefix("# ") {
            let (comment, after) = comment.split_once('\n')?;
            let (keyword, name_and_value) = comment.split_once(' ')?;
            let (_, value) = name_and_value.split_once(' ')?;
            match keyword {
                "HELP" => family.help = Some(unescape(value)),
                "TYPE" => family.metric_type = MetricType::parse(value)?,
                _ => return None,
            }
            family.samples = after;
        }
        Some(family)
    }

    pub(crate) fn samples(&self) -> impl Iterator<Item = Option<Sample<'a>>> + use<'a> {
        sample_lines(self.samples).map(Sample::parse)
    }
}

/// Splits the samples of a family into lines.
pub(crate) fn sample_lines(samples: &str) -> impl Iterator<Item = &str> {
    samples.split_terminator('\n')
}

/// Returns the value of a family with one sample.
pub(crate) fn single_value(text: &str) -> Option<f64> {
    let mut samples = EncodedFamily::parse(text)?.samples();
    let sample = samples.next()??;
    if samples.next().is_some() { None } else { sample.number() }
}

/// The names and values of labels, in the order of the text.
pub(crate) type LabelPairs<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// One line with a value.
#[derive(Debug, PartialEq)]
pub(crate) struct Sample<'a> {
    pub(crate) name: &'a str,
    pub(crate) labels: LabelPairs<'a>,
    value: &'a str,
}

/// Reads the first line of samples, and removes it from `lines`. Passes the name and the value of each label to `add_label`.
/// Returns the name and the value of the sample.
///
/// Does not search for the end of the line first: names and label values contain no line feeds, so the first line feed is after
/// the value.
pub(crate) fn read_sample<'a>(
    lines: &mut &'a str,
    mut add_label: impl FnMut(&'a str, Cow<'a, str>),
) -> Option<(&'a str, &'a str)> {
    let (name, mut rest) = split_before(lines, |byte| matches!(byte, b'{' | b' ' | b'\n'))?;
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, quoted) = split_before(rest, |byte| matches!(byte, b'=' | b'\n'))?;
            let (value, after) = unquote(quoted.strip_prefix("=\"")?)?;
            add_label(label, value);
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let rest = rest.strip_prefix(' ')?;
    let (value, end) = split_before(rest, |byte| byte == b'\n').unwrap_or((rest, ""));
    *lines = end.strip_prefix('\n').unwrap_or(end);
    Some((name, value))
}

/// Splits a text before the first byte for which `is_end` returns true; `None` if there is no such byte. Faster than a search
/// for a pattern, because most parts of a line are short.
fn split_before(text: &str, is_end: impl Fn(u8) -> bool) -> Option<(&str, &str)> {
    text.bytes().position(is_end).map(|position| text.split_at(position))
}

impl<'a> Sample<'a> {
    pub(crate) fn parse(mut line: &'a str) -> Option<Self> {
        let mut labels = LabelPairs::new();
        let (name, value) = read_sample(&mut line, |label, value| labels.push((label, value)))?;
        Some(Self { name, labels, value })
    }

    pub(crate) fn number(&self) -> Option<f64> {
        parse_float(self.value)
    }

    /// Returns a count, which is exact if it is written as an integer.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a gateway converts counts like this"
    )]
    pub(crate) fn count(&self) -> Option<u64> {
        self.value.parse().ok().or_else(|| Some(self.number()? as u64))
    }

    /// Removes a label with a numeric value, such as the bound of a bucket, and returns the number.
    pub(crate) fn take_number(&mut self, label: &str) -> Option<f64> {
        let position = self.labels.iter().position(|(name, _)| *name == label)?;
        parse_float(&self.labels.remove(position).1)
    }
}

/// Returns the label value up to the closing quote, and the text after the quote.
fn unquote(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let special = |byte: &u8| matches!(byte, b'"' | b'\\');
    let mut end = text.as_bytes().iter().position(special)?;
    if text.as_bytes()[end] == b'"' {
        return Some((text[..end].into(), &text[end + 1..]));
    }
    while text.as_bytes()[end] == b'\\' {
        if !matches!(text.as_bytes().get(end + 1)?, b'n' | b'"' | b'\\') {
            return None;
        }
        let next = end + 2;
        end = next + text.as_bytes()[next..].iter().position(special)?;
    }
    Some((unescape(&text[..end]), &text[end + 1..]))
}

/// Replaces escape sequences. An unknown one becomes its second character, because help texts of other programs may
/// contain one.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn family_has_its_comments_and_samples() {
        let text =
            "# HELP a A \\\\ and\\nmore.\n# TYPE a counter\na{x=\"q\\\"\\n}\",y=\"\"} 1e3\na 2\n";
        let family = EncodedFamily::parse(text).unwrap();
        assert_eq!(family.help.as_deref(), Some("A \\ and\nmore."));
        assert_eq!(family.metric_type, MetricType::Counter);
        let samples: Vec<_> = family.samples().map(Option::unwrap).collect();
        assert_eq!(samples[0].labels, [("x", "q\"\n}".into()), ("y", "".into())]);
        assert_eq!((samples[0].number(), samples[0].count()), (Some(1_000.0), Some(1_000)));
        assert_eq!((samples[1].name, samples[1].labels.len()), ("a", 0));
    }

    #[test]
    fn count_is_exact_beyond_the_precision_of_a_float() {
        let sample = Sample::parse("a 9007199254740993").unwrap();
        assert_eq!(sample.count(), Some(9_007_199_254_740_993));
    }

    #[test]
    fn other_text_is_not_parsed() {
        for line in ["a", "a{x=1} 1", "a{x=\"1} 1", "a{x=\"\\t\"} 1", "a{x=\"1\"}1"] {
            assert_eq!(Sample::parse(line), None, "{line}");
        }
        for text in ["# TYPE a number\na 1\n", "# EOF\n", "# a comment\na 1\n"] {
            assert!(EncodedFamily::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn single_value_needs_exactly_one_sample() {
        assert_eq!(single_value("# TYPE a gauge\na 1.5\n"), Some(1.5));
        assert_eq!(single_value("a{x=\"y z\"} 2\n"), Some(2.0));
        assert_eq!(single_value("# TYPE a gauge\n"), None);
        assert_eq!(single_value("a{x=\"1\"} 1\na{x=\"2\"} 2\n"), None);
    }
}
