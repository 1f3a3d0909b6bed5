//! Parses the text format, version 0.0.4, exactly as strictly as the real gateway.
//!
//! Some rules are stricter than most clients expect: the last line needs a line feed, a name has one `TYPE` line, and
//! carriage returns and trailing blanks are invalid. Others are more lenient: a metric needs no type, and a histogram needs
//! no `+Inf` bucket. Duplicate metrics are not checked here, but in `consistency.rs`.

use std::collections::{BTreeMap, HashMap};

use super::family::{Family, Kind, LabelMap, Metric, MetricValue};
use super::go_format::{float_to_count, lossy};
use super::lexer::{
    Escapes, Lexer, SyntaxError, invalid_escape, is_label_name_byte, is_metric_name_byte,
};
use crate::float::parse_float;

/// The body of a push.
#[derive(Debug, Default, PartialEq)]
pub(super) struct PushBody {
    pub(super) families: BTreeMap<String, Family>,
    /// True if a sample has a timestamp, which can be parsed but is not allowed.
    pub(super) has_timestamps: bool,
}

/// Parses a body. The error is the message of the real gateway.
pub(super) fn parse(bytes: &[u8]) -> Result<PushBody, String> {
    let mut parser = Parser {
        lexer: Lexer::new(bytes),
        line: 0,
        drafts: BTreeMap::new(),
        has_timestamps: false,
    };
    match parser.read_lines() {
        Ok(()) => Ok(parser.finish()),
        Err(SyntaxError(what)) => {
            Err(format!("text format parsing error in line {}: {what}", parser.line))
        }
    }
}

/// A family that is not yet complete: its kind may follow.
#[derive(Default)]
struct Draft {
    help: Option<String>,
    kind: Option<Kind>,
    metrics: Vec<Metric>,
    /// The position of each histogram or summary in `metrics`, by its labels.
    positions: HashMap<LabelMap, usize>,
}

/// The suffix of a sample's name, in a histogram or summary.
#[derive(Clone, Copy, PartialEq)]
enum Suffix {
    None,
    Bucket,
    Sum,
    Count,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    line: usize,
    drafts: BTreeMap<String, Draft>,
    has_timestamps: bool,
}

impl Parser<'_> {
    fn finish(self) -> PushBody {
        let families = self.drafts.into_iter().filter(|(_, draft)| !draft.metrics.is_empty());
        let families = families.map(|(name, draft)| {
            let Draft { help, kind, metrics, .. } = draft;
            let kind = kind.unwrap_or(Kind::Untyped);
            (name.clone(), Family { name, help: help.unwrap_or_default(), kind, metrics })
        });
        PushBody { families: families.collect(), has_timestamps: self.has_timestamps }
    }

    fn read_lines(&mut self) -> Result<(), SyntaxError> {
        loop {
            self.line += 1;
            self.lexer.skip_blanks();
            match self.lexer.peek().ok() {
                // The input may only end between two lines.
                None => return Ok(()),
                Some(b'\n') => self.lexer.skip(),
                Some(b'#') => {
                    self.lexer.skip();
                    self.read_comment()?;
                }
                Some(_) => self.read_sample()?,
            }
        }
    }

    fn read_comment(&mut self) -> Result<(), SyntaxError> {
        self.lexer.skip_blanks();
        let keyword = self.lexer.read_word()?;
        self.lexer.skip_blanks();
        if self.lexer.peek()? == b'\n' || (keyword != b"HELP" && keyword != b"TYPE") {
            self.lexer.read_rest(Escapes::Dropped)?;
            return Ok(());
        }
        let is_help = keyword == b"HELP";
        let name = self.lexer.read_name(is_metric_name_byte)?;
        match self.lexer.peek()? {
            b'\n' => {
                self.lexer.skip();
                return Ok(());
            }
            b' ' | b'\t' => self.lexer.skip_blanks(),
            _ => return Err(SyntaxError("invalid metric name in comment".into())),
        }
        let (name, _) = self.resolve(name);
        if self.lexer.peek()? == b'\n' {
            self.lexer.skip();
            return Ok(());
        }
        if is_help { self.read_help(&name) } else { self.read_type(&name) }
    }

    fn read_help(&mut self, name: &str) -> Result<(), SyntaxError> {
        if self.draft(name).help.is_some() {
            return Err(format!("second HELP line for metric name {name:?}").into());
        }
        let help = self.lexer.read_rest(Escapes::Decoded)?;
        self.draft(name).help = Some(lossy(&help));
        Ok(())
    }

    fn read_type(&mut self, name: &str) -> Result<(), SyntaxError> {
        if self.draft(name).kind.is_some() {
            let what = format!(
                "second TYPE line for metric name {name:?}, or TYPE reported after samples"
            );
            return Err(what.into());
        }
        let word = lossy(&self.lexer.read_rest(Escapes::Dropped)?);
        let kind = Kind::from_word(&word).ok_or_else(|| format!("unknown metric type {word:?}"))?;
        self.draft(name).kind = Some(kind);
        Ok(())
    }

    fn read_sample(&mut self) -> Result<(), SyntaxError> {
        let name = self.lexer.read_name(is_metric_name_byte)?;
        // If the input ends here, the real gateway reports that before an invalid name.
        self.lexer.peek()?;
        if name.is_empty() {
            return Err(SyntaxError("invalid metric name".into()));
        }
        let (family, suffix) = self.resolve(name);
        let kind = *self.draft(&family).kind.get_or_insert(Kind::Untyped);
        self.lexer.skip_blanks();
        let mut labels = LabelMap::new();
        let mut bound = None;
        if self.lexer.peek()? == b'{' {
            self.lexer.skip();
            self.read_labels(&family, kind, &mut labels, &mut bound)?;
            self.lexer.skip_blanks();
        }
        let word = self.lexer.read_word()?;
        let value = std::str::from_utf8(&word).ok().and_then(parse_float);
        let value =
            value.ok_or_else(|| format!("expected float as value, got {:?}", lossy(&word)))?;
        self.draft(&family).store(kind, labels, suffix, bound, value);
        self.read_end_of_sample()
    }

    fn read_end_of_sample(&mut self) -> Result<(), SyntaxError> {
        if self.lexer.peek()? != b'\n' {
            self.lexer.skip_blanks();
            let word = lossy(&self.lexer.read_word()?);
            if word.parse::<i64>().is_err() {
                return Err(format!("expected integer as timestamp, got {word:?}").into());
            }
            self.has_timestamps = true;
            let rest = self.lexer.read_rest(Escapes::Dropped)?;
            if !rest.is_empty() {
                return Err(format!("spurious string after timestamp: {:?}", lossy(&rest)).into());
            }
            return Ok(());
        }
        self.lexer.skip();
        Ok(())
    }

    /// Reads the labels and the closing brace. The value of `le` or `quantile` goes to `bound`.
    fn read_labels(
        &mut self,
        family: &str,
        kind: Kind,
        labels: &mut LabelMap,
        bound: &mut Option<f64>,
    ) -> Result<(), SyntaxError> {
        let special = match kind {
            Kind::Histogram => Some("le"),
            Kind::Summary => Some("quantile"),
            Kind::Counter | Kind::Gauge | Kind::Untyped => None,
        };
        loop {
            self.lexer.skip_blanks();
            if self.lexer.peek()? == b'}' {
                self.lexer.skip();
                return Ok(());
            }
            let name = self.read_label_name(family)?;
            if Some(name.as_str()) != special && labels.contains_key(&name) {
                return Err(format!("duplicate label names for metric {family:?}").into());
            }
            let value = self.read_label_value()?;
            if Some(name.as_str()) == special {
                let read = parse_float(&value).ok_or_else(|| {
                    format!("expected float as value for '{name}' label, got {value:?}")
                })?;
                *bound = (!read.is_nan()).then_some(read);
            } else {
                labels.insert(name, value.clone());
            }
            self.lexer.skip_blanks();
            match self.lexer.peek()? {
                b',' => self.lexer.skip(),
                b'}' => {}
                _ => return Err(format!("unexpected end of label value {value:?}").into()),
            }
        }
    }

    fn read_label_name(&mut self, family: &str) -> Result<String, SyntaxError> {
        let name = self.lexer.read_name(is_label_name_byte)?;
        self.lexer.peek()?;
        if name.is_empty() {
            return Err(format!("invalid label name for metric {family:?}").into());
        }
        if name == "__name__" {
            return Err(SyntaxError("label name \"__name__\" is reserved".into()));
        }
        self.lexer.skip_blanks();
        match self.lexer.peek()? {
            b'=' => self.lexer.skip(),
            other => {
                let found = char::from(other);
                return Err(format!("expected '=' after label name, found {found:?}").into());
            }
        }
        Ok(name)
    }

    fn read_label_value(&mut self) -> Result<String, SyntaxError> {
        self.lexer.skip_blanks();
        match self.lexer.peek()? {
            b'"' => self.lexer.skip(),
            other => {
                let found = char::from(other);
                return Err(
                    format!("expected '\"' at start of label value, found {found:?}").into()
                );
            }
        }
        let mut value = Vec::new();
        loop {
            match self.lexer.next()? {
                b'"' => break,
                b'\n' => {
                    let value = lossy(&value);
                    return Err(format!("label value {value:?} contains unescaped new-line").into());
                }
                b'\\' => value.push(match self.lexer.next()? {
                    b'n' => b'\n',
                    same @ (b'"' | b'\\') => same,
                    other => return Err(invalid_escape(other)),
                }),
                byte => value.push(byte),
            }
        }
        String::from_utf8(value)
            .map_err(|e| format!("invalid label value {:?}", lossy(e.as_bytes())).into())
    }

    /// Returns the family of a sample's name: the one with this name, or the histogram or summary that the sample is part of.
    fn resolve(&mut self, name: String) -> (String, Suffix) {
        if self.drafts.contains_key(&name) {
            return (name, Suffix::None);
        }
        let parts = [("_count", Suffix::Count), ("_sum", Suffix::Sum), ("_bucket", Suffix::Bucket)];
        for (ending, suffix) in parts {
            let Some(base) = name.strip_suffix(ending).filter(|base| !base.is_empty()) else {
                continue;
            };
            let is_part = match self.drafts.get(base).and_then(|draft| draft.kind) {
                Some(Kind::Histogram) => true,
                Some(Kind::Summary) => suffix != Suffix::Bucket,
                _ => false,
            };
            if is_part {
                return (base.to_owned(), suffix);
            }
        }
        self.drafts.entry(name.clone()).or_default();
        (name, Suffix::None)
    }

    fn draft(&mut self, name: &str) -> &mut Draft {
        self.drafts.entry(name.to_owned()).or_default()
    }
}

impl Draft {
    fn store(
        &mut self,
        kind: Kind,
        labels: LabelMap,
        suffix: Suffix,
        bound: Option<f64>,
        value: f64,
    ) {
        let metric = self.metric(kind, labels);
        match (metric, suffix, bound) {
            (MetricValue::Number(number), ..) => *number = value,
            (
                MetricValue::Histogram { count, .. } | MetricValue::Summary { count, .. },
                Suffix::Count,
                _,
            ) => {
                *count = float_to_count(value);
            }
            (
                MetricValue::Histogram { sum, .. } | MetricValue::Summary { sum, .. },
                Suffix::Sum,
                _,
            ) => {
                *sum = value;
            }
            (MetricValue::Histogram { buckets, .. }, _, Some(bound)) => {
                buckets.push((bound, float_to_count(value)));
            }
            (MetricValue::Summary { quantiles, .. }, _, Some(rank)) => {
                quantiles.push((rank, value));
            }
            (MetricValue::Histogram { .. } | MetricValue::Summary { .. }, _, None) => {}
        }
    }

    /// Returns the value to write to. All lines of a histogram or summary share one metric; of other kinds, each line is one.
    fn metric(&mut self, kind: Kind, labels: LabelMap) -> &mut MetricValue {
        let next = self.metrics.len();
        let position = if kind.has_suffixes() {
            *self.positions.entry(labels.clone()).or_insert(next)
        } else {
            next
        };
        if position == next {
            self.metrics.push(Metric { labels, value: MetricValue::empty(kind) });
        }
        &mut self.metrics[position].value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses a text and prints the families.
    fn reprint(text: &str) -> Result<String, String> {
        let body = parse(text.as_bytes())?;
        Ok(super::super::exposition::print(body.families.values()))
    }

    #[test]
    fn parse_reads_back_printed_exposition() {
        let text = "# HELP c Back\\\\slash and \\n.\n# TYPE c counter\nc{a=\"q\\\"\\\\\\n\",b=\"é\"} 1e+06\n\
                    # TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 3\nh_sum 2.5\nh_count 3\n\
                    # TYPE s summary\ns{quantile=\"0.9\"} NaN\ns_sum 1\ns_count 2\n\
                    # TYPE u untyped\nu -Inf\n";
        assert_eq!(reprint(text).as_deref(), Ok(text));
    }

    #[test]
    fn parse_adds_missing_type_and_inf_bucket() {
        let last = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 3\nh_sum 0\nh_count 3\n";
        assert_eq!(
            reprint(&last.replace("h_bucket{le=\"+Inf\"} 3\nh_sum 0\n", "")).as_deref(),
            Ok(last)
        );
        assert_eq!(reprint("\n  m\t{ } 1\n# EOF\n").as_deref(), Ok("# TYPE m untyped\nm 1\n"));
        assert_eq!(reprint("# TYPE m gauge\n# HELP m Nothing follows.\n").as_deref(), Ok(""));
    }

    #[test]
    fn parse_splits_histogram_lines_by_labels() {
        let body =
            parse(b"# TYPE h histogram\nh_sum{a=\"1\"} 1\nh_sum{a=\"2\"} 2\nh_count{a=\"1\"} 3\n");
        assert_eq!(body.unwrap().families["h"].metrics.len(), 2);
    }

    #[test]
    fn parse_reports_timestamps() {
        assert!(parse(b"m 1 1700000000000\n").unwrap().has_timestamps);
        assert!(!parse(b"m 1\n").unwrap().has_timestamps);
    }

    #[test]
    fn parse_error_contains_line_and_cause() {
        for (text, line, what) in [
            ("m 1", 1, "unexpected end of input stream"),
            ("m 1\n# comment", 2, "unexpected end of input stream"),
            ("m 1\nn 2\r\n", 2, "expected float as value, got \"2\\r\""),
            ("m 1 \n", 1, "expected integer as timestamp, got \"\""),
            ("m 1 2 3\n", 1, "spurious string after timestamp: \" 3\""),
            (
                "# TYPE m gauge\n# TYPE m gauge\n",
                2,
                "second TYPE line for metric name \"m\", or TYPE reported after samples",
            ),
            (
                "m 1\n# TYPE m gauge\n",
                2,
                "second TYPE line for metric name \"m\", or TYPE reported after samples",
            ),
            ("# HELP m a\n# HELP m a\n", 2, "second HELP line for metric name \"m\""),
            ("# TYPE m info\n", 1, "unknown metric type \"info\""),
            ("# TYPE m-n gauge\n", 1, "invalid metric name in comment"),
            ("# HELP m \\q\n", 1, "invalid escape sequence '\\q'"),
            ("9m 1\n", 1, "invalid metric name"),
            ("m{9=\"\"} 1\n", 1, "invalid label name for metric \"m\""),
            ("m{a=\"1\",a=\"2\"} 1\n", 1, "duplicate label names for metric \"m\""),
            ("m{__name__=\"n\"} 1\n", 1, "label name \"__name__\" is reserved"),
            ("m{a=1} 1\n", 1, "expected '\"' at start of label value, found '1'"),
            ("m{a:\"1\"} 1\n", 1, "expected '=' after label name, found ':'"),
            ("m{a=\"1\" 1\n", 1, "unexpected end of label value \"1\""),
            ("m{a=\"\n\"} 1\n", 1, "label value \"\" contains unescaped new-line"),
            (
                "# TYPE h histogram\nh_bucket{le=\"x\"} 1\n",
                2,
                "expected float as value for 'le' label, got \"x\"",
            ),
        ] {
            let expected = format!("text format parsing error in line {line}: {what}");
            assert_eq!(reprint(text), Err(expected), "{text:?}");
        }
        assert!(parse(b"m{a=\"\xFF\"} 1\n").unwrap_err().contains("invalid label value"));
    }
}
