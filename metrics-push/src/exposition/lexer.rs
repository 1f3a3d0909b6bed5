//! Splits lines of text from other programs into names, labels and values, with an error for each mistake.
//!
//! The rules are those of the gateway's parser: only spaces and tabs separate words, and names consist of ASCII characters.

use std::collections::BTreeMap;

use crate::float::{is_out_of_range, parse_float};
use crate::labels::{is_label_name, is_metric_name};
use crate::log::excerpt;

/// A mistake in a line, and the remedy.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) message: String,
    pub(super) remedy: &'static str,
}

pub(super) fn mistake(message: impl Into<String>, remedy: &'static str) -> Mistake {
    Mistake { message: message.into(), remedy }
}

const SAMPLE_FORM: &str = "write a sample as name{label=\"value\"} 1";
const NUMBER_FORM: &str = "write a number such as 1.5 or 1e6, NaN, +Inf or -Inf";
const ESCAPES: &str =
    "write \\\\ for a backslash, \\\" for a quote and \\n for a line feed in a value";
/// The maximum length of the text that a message quotes.
const MAX_QUOTED_CHARS: usize = 80;

pub(super) const fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

pub(super) fn trim_blanks(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// Splits a text at its first blank.
pub(super) fn split_blank(text: &str) -> (&str, &str) {
    text.split_at(text.find(is_blank).unwrap_or(text.len()))
}

/// Returns the metric name at the start of a text, and the text after it. A blank, a brace or the end must follow.
pub(super) fn metric_name(text: &str) -> Result<(&str, &str), Mistake> {
    if text.starts_with('"') || text.starts_with("{\"") {
        return Err(quoted_name());
    }
    let end = text.find(|c| is_blank(c) || c == '{').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if is_metric_name(name) {
        return Ok((name, rest));
    }
    Err(mistake(format!("invalid metric name {:?}", excerpt(name, MAX_QUOTED_CHARS)), SAMPLE_FORM))
}

fn quoted_name() -> Mistake {
    mistake(
        "quoted names such as {\"my.metric\"} need a newer text format, which is not supported",
        "rename the metric or label: use letters, digits and underscores without quotes",
    )
}

/// Returns the labels, including those with an empty value, and the text after them.
pub(super) fn labels(text: &str) -> Result<(BTreeMap<String, String>, &str), Mistake> {
    let mut labels = BTreeMap::new();
    let Some(mut rest) = text.strip_prefix('{') else { return Ok((labels, text)) };
    loop {
        rest = rest.trim_start_matches(is_blank);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (name, quoted) = label_name(rest)?;
        let (value, after) = label_value(name, quoted)?;
        if labels.insert(name.to_owned(), value).is_some() {
            return Err(mistake(
                format!("duplicate label {name:?}"),
                "write each label once per sample",
            ));
        }
        let after = after.trim_start_matches(is_blank);
        rest = match after.strip_prefix(',') {
            Some(more) => more,
            None if after.starts_with('}') => after,
            None if after.is_empty() => return Err(invalid_labels()),
            None => {
                return Err(mistake(
                    format!(
                        "unexpected {:?} after the value of the label {name:?}",
                        excerpt(after, MAX_QUOTED_CHARS)
                    ),
                    "write \\\" for a quote inside a value, and a comma between labels",
                ));
            }
        };
    }
}

fn invalid_labels() -> Mistake {
    mistake("invalid labels", SAMPLE_FORM)
}

/// Returns the name of a label, and the text after its equals sign.
fn label_name(text: &str) -> Result<(&str, &str), Mistake> {
    if text.starts_with('"') {
        return Err(quoted_name());
    }
    let (name, after) = text.split_once('=').ok_or_else(invalid_labels)?;
    let name = name.trim_end_matches(is_blank);
    if name == "__name__" {
        return Err(mistake(
            "the label name \"__name__\" is reserved by the gateway",
            "write the name of the metric before the labels",
        ));
    }
    if !is_label_name(name) {
        let name = excerpt(name, MAX_QUOTED_CHARS);
        return Err(mistake(format!("invalid label name {name:?}"), SAMPLE_FORM));
    }
    Ok((name, after.trim_start_matches(is_blank)))
}

/// Returns the value of a label, and the text after its closing quote.
fn label_value<'a>(name: &str, text: &'a str) -> Result<(String, &'a str), Mistake> {
    let inside = text.strip_prefix('"').ok_or_else(|| {
        mistake(format!("the value of the label {name:?} is not in quotes"), SAMPLE_FORM)
    })?;
    let mut value = String::new();
    let mut characters = inside.chars();
    loop {
        match characters.next() {
            Some('"') => return Ok((value, characters.as_str())),
            Some('\\') => value.push(match characters.next() {
                Some('n') => '\n',
                Some(same @ ('"' | '\\')) => same,
                Some(other) => {
                    return Err(mistake(
                        format!(
                            "invalid escape sequence \\{other} in the value of the label {name:?}"
                        ),
                        ESCAPES,
                    ));
                }
                None => return Err(unclosed(name)),
            }),
            Some(character) => value.push(character),
            None => return Err(unclosed(name)),
        }
    }
}

fn unclosed(name: &str) -> Mistake {
    mistake(format!("the value of the label {name:?} has no closing quote"), ESCAPES)
}

/// Returns the value of a sample, which must be the rest of its line.
pub(super) fn value(text: &str) -> Result<&str, Mistake> {
    let (value, rest) = split_blank(trim_blanks(text));
    if value.is_empty() {
        return Err(mistake("the sample has no value", SAMPLE_FORM));
    }
    if parse_float(value).is_none() {
        let quoted = excerpt(value, MAX_QUOTED_CHARS);
        return Err(if is_out_of_range(value) {
            mistake(format!("invalid value {quoted:?}: it is out of range"), NUMBER_FORM)
        } else {
            mistake(format!("invalid value {quoted:?}"), NUMBER_FORM)
        });
    }
    let rest = trim_blanks(rest);
    if rest.is_empty() {
        return Ok(value);
    }
    Err(if rest.parse::<i64>().is_ok() || parse_float(rest).is_some() {
        mistake(
            "the sample has a timestamp, which gateways reject",
            "remove the timestamp, or push it as the value of another metric",
        )
    } else {
        let rest = excerpt(rest, MAX_QUOTED_CHARS);
        mistake(format!("unexpected {rest:?} after the value"), SAMPLE_FORM)
    })
}
