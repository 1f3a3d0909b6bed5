//! Reads the text format, version 0.0.4, exactly as strictly as the real gateway.
//!
//! That is stricter than most clients expect in some places (the last line needs its line feed, one
//! `TYPE` line per name, no carriage return, no blank after a value) and laxer in others (metrics
//! without a type, histograms without a `+Inf` bucket). Duplicates are not its business.

use std::collections::{BTreeMap, HashMap};

use super::family::{Family, Kind, Labels, Metric, Value};
use super::number::{count_of, lossy, parse_float};

/// The body of a push.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Body {
    pub(super) families: BTreeMap<String, Family>,
    /// Whether any sample came with a timestamp, which is readable but not allowed.
    pub(super) has_timestamps: bool,
}

/// Reads a body, or says why it can't be read, in the words of the real gateway.
pub(super) fn parse(bytes: &[u8]) -> Result<Body, String> {
    let mut parser =
        Parser { bytes, position: 0, line: 0, drafts: BTreeMap::new(), has_timestamps: false };
    match parser.read_lines() {
        Ok(()) => Ok(parser.finish()),
        Err(Problem(what)) => {
            Err(format!("text format parsing error in line {}: {what}", parser.line))
        }
    }
}

struct Problem(String);

impl From<String> for Problem {
    fn from(what: String) -> Self {
        Self(what)
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
    bytes: &'a [u8],
    position: usize,
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
            self.skip_blanks();
            match self.bytes.get(self.position) {
                // The only place where the end is no surprise.
                None => return Ok(()),
                Some(b'\n') => self.position += 1,
                Some(b'#') => {
                    self.position += 1;
                    self.read_comment()?;
                }
                Some(_) => self.read_sample()?,
            }
        }
    }

    fn read_comment(&mut self) -> Result<(), Problem> {
        self.skip_blanks();
        let keyword = self.read_word()?;
        self.skip_blanks();
        if self.peek()? == b'\n' || (keyword != b"HELP" && keyword != b"TYPE") {
            self.read_rest(Escapes::Ignored)?;
            return Ok(());
        }
        let is_help = keyword == b"HELP";
        let name = self.read_name(is_metric_name_byte)?;
        match self.peek()? {
            b'\n' => {
                self.position += 1;
                return Ok(());
            }
            b' ' | b'\t' => self.skip_blanks(),
            _ => return Err(Problem("invalid metric name in comment".into())),
        }
        let (name, _) = self.resolve(name);
        if self.peek()? == b'\n' {
            self.position += 1;
            return Ok(());
        }
        if is_help { self.read_help(&name) } else { self.read_type(&name) }
    }

    fn read_help(&mut self, name: &str) -> Result<(), Problem> {
        if self.draft(name).help.is_some() {
            return Err(format!("second HELP line for metric name {name:?}").into());
        }
        let help = self.read_rest(Escapes::Known)?;
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
        let word = lossy(&self.read_rest(Escapes::Ignored)?);
        let kind = Kind::from_word(&word).ok_or_else(|| format!("unknown metric type {word:?}"))?;
        self.draft(name).kind = Some(kind);
        Ok(())
    }

    fn read_sample(&mut self) -> Result<(), Problem> {
        let name = self.read_name(is_metric_name_byte)?;
        // The end of the input comes before everything else that may be wrong.
        self.peek()?;
        if name.is_empty() {
            return Err(Problem("invalid metric name".into()));
        }
        let (family, suffix) = self.resolve(name);
        let kind = *self.draft(&family).kind.get_or_insert(Kind::Untyped);
        self.skip_blanks();
        let mut labels = Labels::new();
        let mut bound = None;
        if self.peek()? == b'{' {
            self.position += 1;
            self.read_labels(&family, kind, &mut labels, &mut bound)?;
            self.skip_blanks();
        }
        let word = self.read_word()?;
        let value = std::str::from_utf8(&word).ok().and_then(parse_float);
        let value =
            value.ok_or_else(|| format!("expected float as value, got {:?}", lossy(&word)))?;
        self.draft(&family).store(kind, labels, suffix, bound, value);
        self.read_end_of_sample()
    }

    fn read_end_of_sample(&mut self) -> Result<(), Problem> {
        if self.peek()? != b'\n' {
            self.skip_blanks();
            let word = lossy(&self.read_word()?);
            if word.parse::<i64>().is_err() {
                return Err(format!("expected integer as timestamp, got {word:?}").into());
            }
            self.has_timestamps = true;
            let rest = self.read_rest(Escapes::Ignored)?;
            if !rest.is_empty() {
                return Err(format!("spurious string after timestamp: {:?}", lossy(&rest)).into());
            }
            return Ok(());
        }
        self.position += 1;
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
            self.skip_blanks();
            if self.peek()? == b'}' {
                self.position += 1;
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
            self.skip_blanks();
            match self.peek()? {
                b',' => self.position += 1,
                b'}' => {}
                _ => return Err(format!("unexpected end of label value {value:?}").into()),
            }
        }
    }

    fn read_label_name(&mut self, family: &str) -> Result<String, Problem> {
        let name = self.read_name(is_label_name_byte)?;
        self.peek()?;
        if name.is_empty() {
            return Err(format!("invalid label name for metric {family:?}").into());
        }
        if name == "__name__" {
            return Err(Problem("label name \"__name__\" is reserved".into()));
        }
        self.skip_blanks();
        match self.peek()? {
            b'=' => self.position += 1,
            other => {
                let found = char::from(other);
                return Err(format!("expected '=' after label name, found {found:?}").into());
            }
        }
        Ok(name)
    }

    fn read_label_value(&mut self) -> Result<String, Problem> {
        self.skip_blanks();
        match self.peek()? {
            b'"' => self.position += 1,
            other => {
                let found = char::from(other);
                return Err(
                    format!("expected '\"' at start of label value, found {found:?}").into()
                );
            }
        }
        let mut value = Vec::new();
        loop {
            match self.next()? {
                b'"' => break,
                b'\n' => {
                    let value = lossy(&value);
                    return Err(format!("label value {value:?} contains unescaped new-line").into());
                }
                b'\\' => value.push(match self.next()? {
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

    fn peek(&self) -> Result<u8, Problem> {
        let byte = self.bytes.get(self.position).copied();
        byte.ok_or_else(|| Problem("unexpected end of input stream".into()))
    }

    fn next(&mut self) -> Result<u8, Problem> {
        let byte = self.peek()?;
        self.position += 1;
        Ok(byte)
    }

    fn skip_blanks(&mut self) {
        while matches!(self.bytes.get(self.position), Some(b' ' | b'\t')) {
            self.position += 1;
        }
    }

    fn read_while(&mut self, fits: impl Fn(u8) -> bool) -> Vec<u8> {
        let rest = &self.bytes[self.position..];
        let length = rest.iter().position(|&byte| !fits(byte)).unwrap_or(rest.len());
        self.position += length;
        rest[..length].to_vec()
    }

    /// Everything up to a blank or the end of the line, which has to be there.
    fn read_word(&mut self) -> Result<Vec<u8>, Problem> {
        let word = self.read_while(|byte| !matches!(byte, b' ' | b'\t' | b'\n'));
        self.peek()?;
        Ok(word)
    }

    fn read_name(&mut self, fits: fn(u8) -> bool) -> Result<String, Problem> {
        if self.peek()?.is_ascii_digit() {
            return Ok(String::new());
        }
        Ok(lossy(&self.read_while(fits)))
    }

    /// The rest of the line, with its end.
    fn read_rest(&mut self, escapes: Escapes) -> Result<Vec<u8>, Problem> {
        let mut rest = Vec::new();
        loop {
            match (self.next()?, escapes) {
                (b'\n', _) => return Ok(rest),
                // Odd, but so it is: here, a backslash is just left out.
                (b'\\', Escapes::Ignored) => {}
                (b'\\', Escapes::Known) => rest.push(match self.next()? {
                    b'n' => b'\n',
                    b'\\' => b'\\',
                    other => return Err(invalid_escape(other)),
                }),
                (byte, _) => rest.push(byte),
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Escapes {
    Known,
    Ignored,
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

fn invalid_escape(byte: u8) -> Problem {
    Problem(format!("invalid escape sequence '\\{}'", char::from(byte)))
}

const fn is_label_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

const fn is_metric_name_byte(byte: u8) -> bool {
    is_label_name_byte(byte) || byte == b':'
}
