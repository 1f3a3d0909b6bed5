//! Reads the text format, version 0.0.4, exactly as strictly as the real gateway.
//!
//! That is stricter than most clients expect in some places (the last line needs its line feed, one
//! `TYPE` line per name, no carriage return, no blank after a value) and laxer in others (metrics
//! without a type, histograms without a `+Inf` bucket). Duplicates are not its business.

use std::collections::{BTreeMap, HashMap};

use super::family::{Family, Kind, Labels, Metric, Value};
use super::go_format::{count_of, lossy, parse_float};
use super::lexer::{
    Cursor, Escapes, Problem, invalid_escape, is_label_name_byte, is_metric_name_byte,
};

/// The body of a push.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Body {
    pub(super) families: BTreeMap<String, Family>,
    /// Whether any sample came with a timestamp, which is readable but not allowed.
    pub(super) has_timestamps: bool,
}

/// Reads a body, or says why it can't be read, in the words of the real gateway.
pub(super) fn parse(bytes: &[u8]) -> Result<Body, String> {
    let mut parser = Parser {
        cursor: Cursor::new(bytes),
        line: 0,
        drafts: BTreeMap::new(),
        has_timestamps: false,
    };
    match parser.read_lines() {
        Ok(()) => Ok(parser.finish()),
        Err(Problem(what)) => {
            Err(format!("text format parsing error in line {}: {what}", parser.line))
        }
    }
}

/// A family whose kind may not be known yet.
#[derive(Default)]
struct Draft {
    help: Option<String>,
    kind: Option<Kind>,
    metrics: Vec<Metric>,
    /// Where a histogram's or summary's metric is, by its labels.
    positions: HashMap<Labels, usize>,
}

/// What a sample's name ends with, in a histogram or summary.
#[derive(Clone, Copy, PartialEq)]
enum Suffix {
    None,
    Bucket,
    Sum,
    Count,
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    line: usize,
    drafts: BTreeMap<String, Draft>,
    has_timestamps: bool,
}

impl Parser<'_> {
    fn finish(self) -> Body {
        let families = self.drafts.into_iter().filter(|(_, draft)| !draft.metrics.is_empty());
        let families = families.map(|(name, draft)| {
            let Draft { help, kind, metrics, .. } = draft;
            let kind = kind.unwrap_or(Kind::Untyped);
            (name.clone(), Family { name, help: help.unwrap_or_default(), kind, metrics })
        });
        Body { families: families.collect(), has_timestamps: self.has_timestamps }
    }

    fn read_lines(&mut self) -> Result<(), Problem> {
        loop {
            self.line += 1;
            self.cursor.skip_blanks();
            match self.cursor.peek().ok() {
                // The only place where the end is no surprise.
                None => return Ok(()),
                Some(b'\n') => self.cursor.skip(),
                Some(b'#') => {
                    self.cursor.skip();
                    self.read_comment()?;
                }
                Some(_) => self.read_sample()?,
            }
        }
    }

    fn read_comment(&mut self) -> Result<(), Problem> {
        self.cursor.skip_blanks();
        let keyword = self.cursor.read_word()?;
        self.cursor.skip_blanks();
        if self.cursor.peek()? == b'\n' || (keyword != b"HELP" && keyword != b"TYPE") {
            self.cursor.read_rest(Escapes::Ignored)?;
            return Ok(());
        }
        let is_help = keyword == b"HELP";
        let name = self.cursor.read_name(is_metric_name_byte)?;
        match self.cursor.peek()? {
            b'\n' => {
                self.cursor.skip();
                return Ok(());
            }
            b' ' | b'\t' => self.cursor.skip_blanks(),
            _ => return Err(Problem("invalid metric name in comment".into())),
        }
        let (name, _) = self.resolve(name);
        if self.cursor.peek()? == b'\n' {
            self.cursor.skip();
            return Ok(());
        }
        if is_help { self.read_help(&name) } else { self.read_type(&name) }
    }

    fn read_help(&mut self, name: &str) -> Result<(), Problem> {
        if self.draft(name).help.is_some() {
            return Err(format!("second HELP line for metric name {name:?}").into());
        }
        let help = self.cursor.read_rest(Escapes::Known)?;
        self.draft(name).help = Some(lossy(&help));
        Ok(())
    }

    fn read_type(&mut self, name: &str) -> Result<(), Problem> {
        if self.draft(name).kind.is_some() {
            let what = format!(
                "second TYPE line for metric name {name:?}, or TYPE reported after samples"
            );
            return Err(what.into());
        }
        let word = lossy(&self.cursor.read_rest(Escapes::Ignored)?);
        let kind = Kind::from_word(&word).ok_or_else(|| format!("unknown metric type {word:?}"))?;
        self.draft(name).kind = Some(kind);
        Ok(())
    }

    fn read_sample(&mut self) -> Result<(), Problem> {
        let name = self.cursor.read_name(is_metric_name_byte)?;
        // The end of the input comes before everything else that may be wrong.
        self.cursor.peek()?;
        if name.is_empty() {
            return Err(Problem("invalid metric name".into()));
        }
        let (family, suffix) = self.resolve(name);
        let kind = *self.draft(&family).kind.get_or_insert(Kind::Untyped);
        self.cursor.skip_blanks();
        let mut labels = Labels::new();
        let mut bound = None;
        if self.cursor.peek()? == b'{' {
            self.cursor.skip();
            self.read_labels(&family, kind, &mut labels, &mut bound)?;
            self.cursor.skip_blanks();
        }
        let word = self.cursor.read_word()?;
        let value = std::str::from_utf8(&word).ok().and_then(parse_float);
        let value =
            value.ok_or_else(|| format!("expected float as value, got {:?}", lossy(&word)))?;
        self.draft(&family).store(kind, labels, suffix, bound, value);
        self.read_end_of_sample()
    }

    fn read_end_of_sample(&mut self) -> Result<(), Problem> {
        if self.cursor.peek()? != b'\n' {
            self.cursor.skip_blanks();
            let word = lossy(&self.cursor.read_word()?);
            if word.parse::<i64>().is_err() {
                return Err(format!("expected integer as timestamp, got {word:?}").into());
            }
            self.has_timestamps = true;
            let rest = self.cursor.read_rest(Escapes::Ignored)?;
            if !rest.is_empty() {
                return Err(format!("spurious string after timestamp: {:?}", lossy(&rest)).into());
            }
            return Ok(());
        }
        self.cursor.skip();
        Ok(())
    }

    /// Reads labels up to and with the closing brace; `le` and `quantile` are apart.
    fn read_labels(
        &mut self,
        family: &str,
        kind: Kind,
        labels: &mut Labels,
        bound: &mut Option<f64>,
    ) -> Result<(), Problem> {
        let special = match kind {
            Kind::Histogram => Some("le"),
            Kind::Summary => Some("quantile"),
            Kind::Counter | Kind::Gauge | Kind::Untyped => None,
        };
        loop {
            self.cursor.skip_blanks();
            if self.cursor.peek()? == b'}' {
                self.cursor.skip();
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
            self.cursor.skip_blanks();
            match self.cursor.peek()? {
                b',' => self.cursor.skip(),
                b'}' => {}
                _ => return Err(format!("unexpected end of label value {value:?}").into()),
            }
        }
    }

    fn read_label_name(&mut self, family: &str) -> Result<String, Problem> {
        let name = self.cursor.read_name(is_label_name_byte)?;
        self.cursor.peek()?;
        if name.is_empty() {
            return Err(format!("invalid label name for metric {family:?}").into());
        }
        if name == "__name__" {
            return Err(Problem("label name \"__name__\" is reserved".into()));
        }
        self.cursor.skip_blanks();
        match self.cursor.peek()? {
            b'=' => self.cursor.skip(),
            other => {
                let found = char::from(other);
                return Err(format!("expected '=' after label name, found {found:?}").into());
            }
        }
        Ok(name)
    }

    fn read_label_value(&mut self) -> Result<String, Problem> {
        self.cursor.skip_blanks();
        match self.cursor.peek()? {
            b'"' => self.cursor.skip(),
            other => {
                let found = char::from(other);
                return Err(
                    format!("expected '\"' at start of label value, found {found:?}").into()
                );
            }
        }
        let mut value = Vec::new();
        loop {
            match self.cursor.next()? {
                b'"' => break,
                b'\n' => {
                    let value = lossy(&value);
                    return Err(format!("label value {value:?} contains unescaped new-line").into());
                }
                b'\\' => value.push(match self.cursor.next()? {
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

    /// The family that a name belongs to: its own, or the histogram or summary it is a part of.
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
        labels: Labels,
        suffix: Suffix,
        bound: Option<f64>,
        value: f64,
    ) {
        let metric = self.metric(kind, labels);
        match (metric, suffix, bound) {
            (Value::Number(number), ..) => *number = value,
            (Value::Histogram { count, .. } | Value::Summary { count, .. }, Suffix::Count, _) => {
                *count = count_of(value);
            }
            (Value::Histogram { sum, .. } | Value::Summary { sum, .. }, Suffix::Sum, _) => {
                *sum = value;
            }
            (Value::Histogram { buckets, .. }, _, Some(bound)) => {
                buckets.push((bound, count_of(value)));
            }
            (Value::Summary { quantiles, .. }, _, Some(rank)) => quantiles.push((rank, value)),
            (Value::Histogram { .. } | Value::Summary { .. }, _, None) => {}
        }
    }

    /// The lines of one histogram or summary make one metric; of other kinds, each line is one.
    fn metric(&mut self, kind: Kind, labels: Labels) -> &mut Value {
        let next = self.metrics.len();
        let position = if kind.has_suffixes() {
            *self.positions.entry(labels.clone()).or_insert(next)
        } else {
            next
        };
        if position == next {
            self.metrics.push(Metric { labels, value: Value::empty(kind) });
        }
        &mut self.metrics[position].value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The families that are read, as an exposition; or the complaint.
    fn read(text: &str) -> Result<String, String> {
        let body = parse(text.as_bytes())?;
        Ok(super::super::exposition::print(body.families.values()))
    }

    #[test]
    fn an_exposition_is_read_back_as_it_was_printed() {
        let text = "# HELP c Back\\\\slash and \\n.\n# TYPE c counter\nc{a=\"q\\\"\\\\\\n\",b=\"é\"} 1e+06\n\
                    # TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 3\nh_sum 2.5\nh_count 3\n\
                    # TYPE s summary\ns{quantile=\"0.9\"} NaN\ns_sum 1\ns_count 2\n\
                    # TYPE u untyped\nu -Inf\n";
        assert_eq!(read(text).as_deref(), Ok(text));
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let last = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 3\nh_sum 0\nh_count 3\n";
        assert_eq!(
            read(&last.replace("h_bucket{le=\"+Inf\"} 3\nh_sum 0\n", "")).as_deref(),
            Ok(last)
        );
        assert_eq!(read("\n  m\t{ } 1\n# EOF\n").as_deref(), Ok("# TYPE m untyped\nm 1\n"));
        assert_eq!(read("# TYPE m gauge\n# HELP m Nothing follows.\n").as_deref(), Ok(""));
    }

    #[test]
    fn lines_of_one_histogram_are_told_apart_by_their_labels() {
        let body =
            parse(b"# TYPE h histogram\nh_sum{a=\"1\"} 1\nh_sum{a=\"2\"} 2\nh_count{a=\"1\"} 3\n");
        assert_eq!(body.unwrap().families["h"].metrics.len(), 2);
    }

    #[test]
    fn timestamps_are_read_and_noted() {
        assert!(parse(b"m 1 1700000000000\n").unwrap().has_timestamps);
        assert!(!parse(b"m 1\n").unwrap().has_timestamps);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
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
            assert_eq!(read(text), Err(expected), "{text:?}");
        }
        assert!(parse(b"m{a=\"\xFF\"} 1\n").unwrap_err().contains("invalid label value"));
    }
}
