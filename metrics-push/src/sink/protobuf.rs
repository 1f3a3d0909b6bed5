//! The delimited protobuf format, made of the text that requests hold: one `io.prometheus.client.MetricFamily` after the
//! other, each with its length in front.
//!
//! The messages are few, small and fixed for good, so they are written by hand. Reads the text as this crate writes and
//! sorts it; of any other it makes nothing, and the text goes as it is.

use std::borrow::Cow;
use std::collections::HashMap;

/// The families as messages; none, if there is a text among them that can't be read.
pub(super) fn encode<'a>(families: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    for (name, text) in families {
        delimited(&mut body, |message| write_family(message, name, text))?;
    }
    Some(body)
}

/// The numbers that the messages give their types.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Counter = 0,
    Gauge = 1,
    Summary = 2,
    Untyped = 3,
    Histogram = 4,
}

fn write_family(message: &mut Vec<u8>, name: &str, text: &str) -> Option<()> {
    string(message, 1, name);
    let mut kind = Kind::Untyped;
    let mut lines = text.split_terminator('\n').peekable();
    while let Some(comment) = lines.next_if(|line| line.starts_with('#')) {
        if let Some(help) = value_of(comment, "# HELP ", name) {
            string(message, 2, &unescaped(help));
        } else if let Some(word) = value_of(comment, "# TYPE ", name) {
            kind = match word {
                "counter" => Kind::Counter,
                "gauge" => Kind::Gauge,
                "summary" => Kind::Summary,
                "untyped" => Kind::Untyped,
                "histogram" => Kind::Histogram,
                _ => return None,
            };
        }
    }
    number(message, 3, kind as u64);
    let mut samples = lines.map(Sample::read);
    match kind {
        Kind::Counter => samples.try_for_each(|sample| write_simple(message, 3, &sample?)),
        Kind::Gauge => samples.try_for_each(|sample| write_simple(message, 2, &sample?)),
        Kind::Untyped => samples.try_for_each(|sample| write_simple(message, 5, &sample?)),
        Kind::Histogram | Kind::Summary => {
            let mut wholes = Wholes::default();
            samples.try_for_each(|sample| wholes.add(name, kind, sample?))?;
            wholes.list.iter().for_each(|whole| whole.write(message, kind));
            Some(())
        }
    }
}

/// What a comment says about a metric.
fn value_of<'a>(comment: &'a str, keyword: &str, name: &str) -> Option<&'a str> {
    comment.strip_prefix(keyword)?.strip_prefix(name)?.strip_prefix(' ')
}

/// A line taken apart.
struct Sample<'a> {
    name: &'a str,
    labels: Labels<'a>,
    value: &'a str,
}

type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

impl<'a> Sample<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
        let mut labels = Labels::new();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside;
            while !rest.starts_with('}') {
                let (label, quoted) = rest.split_once("=\"")?;
                let end = closing_quote(quoted)?;
                labels.push((label, unescaped(&quoted[..end])));
                rest = &quoted[end + 1..];
                rest = rest.strip_prefix(',').unwrap_or(rest);
            }
            rest = &rest[1..];
        }
        Some(Self { name, labels, value: rest.strip_prefix(' ')? })
    }

    fn real(&self) -> Option<f64> {
        self.value.parse().ok()
    }

    /// A count, exact unless it was written as something else.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as a gateway reads it"
    )]
    fn count(&self) -> Option<u64> {
        self.value.parse().ok().or_else(|| Some(self.real()? as u64))
    }

    /// Takes out the label that the text format adds: a bucket's bound, a quantile.
    fn take_bound(&mut self, label: &str) -> Option<f64> {
        let position = self.labels.iter().position(|(name, _)| *name == label)?;
        self.labels.remove(position).1.parse().ok()
    }
}

/// Where the first quote is that is not escaped.
fn closing_quote(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate();
    while let Some((position, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(position),
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    None
}

fn unescaped(text: &str) -> Cow<'_, str> {
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

/// The histograms or summaries of a family, of which the text has several lines each.
#[derive(Default)]
struct Wholes<'a> {
    list: Vec<Whole<'a>>,
    positions: HashMap<Labels<'a>, usize>,
}

#[derive(Default)]
struct Whole<'a> {
    labels: Labels<'a>,
    count: u64,
    sum: f64,
    buckets: Vec<(f64, u64)>,
    quantiles: Vec<(f64, f64)>,
}

impl<'a> Wholes<'a> {
    fn add(&mut self, family: &str, kind: Kind, mut sample: Sample<'a>) -> Option<()> {
        match (sample.name.strip_prefix(family)?, kind) {
            ("_count", _) => self.of(&sample).count = sample.count()?,
            ("_sum", _) => self.of(&sample).sum = sample.real()?,
            ("_bucket", Kind::Histogram) => {
                let bound = sample.take_bound("le")?;
                self.of(&sample).buckets.push((bound, sample.count()?));
            }
            ("", Kind::Summary) => {
                let rank = sample.take_bound("quantile")?;
                self.of(&sample).quantiles.push((rank, sample.real()?));
            }
            _ => return None,
        }
        Some(())
    }

    /// The one that a line belongs to.
    fn of(&mut self, sample: &Sample<'a>) -> &mut Whole<'a> {
        let next = self.list.len();
        let position = *self.positions.entry(sample.labels.clone()).or_insert(next);
        if position == next {
            self.list.push(Whole { labels: sample.labels.clone(), ..Whole::default() });
        }
        &mut self.list[position]
    }
}

impl Whole<'_> {
    fn write(&self, family: &mut Vec<u8>, kind: Kind) {
        let place = if kind == Kind::Histogram { 7 } else { 4 };
        message(family, 4, |metric| {
            write_labels(metric, &self.labels);
            message(metric, place, |whole| {
                number(whole, 1, self.count);
                real(whole, 2, self.sum);
                for (bound, count) in &self.buckets {
                    message(whole, 3, |bucket| {
                        number(bucket, 1, *count);
                        real(bucket, 2, *bound);
                    });
                }
                for (rank, value) in &self.quantiles {
                    message(whole, 3, |quantile| {
                        real(quantile, 1, *rank);
                        real(quantile, 2, *value);
                    });
                }
            });
        });
    }
}

/// A metric with a single number, whose message has this place among the kinds of metrics.
fn write_simple(family: &mut Vec<u8>, place: u8, sample: &Sample<'_>) -> Option<()> {
    let value = sample.real()?;
    message(family, 4, |metric| {
        write_labels(metric, &sample.labels);
        message(metric, place, |simple| real(simple, 1, value));
    });
    Some(())
}

fn write_labels(metric: &mut Vec<u8>, labels: &Labels<'_>) {
    for (name, value) in labels {
        message(metric, 1, |label| {
            string(label, 1, name);
            string(label, 2, value);
        });
    }
}

/// The ways in which a field's value can be written.
const VARINT: u8 = 0;
const FIXED: u8 = 1;
const BYTES: u8 = 2;

fn number(message: &mut Vec<u8>, field: u8, value: u64) {
    message.push(field << 3 | VARINT);
    varint(message, value);
}

fn real(message: &mut Vec<u8>, field: u8, value: f64) {
    message.push(field << 3 | FIXED);
    message.extend(value.to_le_bytes());
}

fn string(message: &mut Vec<u8>, field: u8, value: &str) {
    message.push(field << 3 | BYTES);
    varint(message, value.len() as u64);
    message.extend_from_slice(value.as_bytes());
}

fn message(outer: &mut Vec<u8>, field: u8, write: impl FnOnce(&mut Vec<u8>)) {
    outer.push(field << 3 | BYTES);
    delimited(outer, write);
}

/// A message with its length in front, which is known only when it is written.
fn delimited<T>(outer: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    // Most lengths are a byte; for those that aren't, the message has to move.
    outer.push(0);
    let start = outer.len();
    let written = write(outer);
    let length = outer.len() - start;
    match u8::try_from(length) {
        Ok(short) if short < MORE => outer[start - 1] = short,
        _ => {
            let mut prefix = Vec::new();
            varint(&mut prefix, length as u64);
            outer.splice(start - 1..start, prefix);
        }
    }
    written
}

/// Says of a byte of a number that there are more.
const MORE: u8 = 0x80;

/// Seven bits a byte, the lowest first.
fn varint(message: &mut Vec<u8>, value: u64) {
    let mut rest = value;
    while rest >= u64::from(MORE) {
        message.push(rest as u8 | MORE);
        rest >>= 7;
    }
    message.push(rest as u8);
}
