//! Reads the `HELP` and `TYPE` comments of text from other programs.

use super::lexer::{Mistake, is_blank, metric_name, mistake, split_blank};
use super::sample::MetricType;

/// A comment with a meaning.
pub(super) struct Comment<'a> {
    pub(super) keyword: Keyword,
    pub(super) name: &'a str,
    /// The text after the name; `None` if the line ends there.
    pub(super) text: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Keyword {
    Help,
    Type,
}

impl<'a> Comment<'a> {
    /// Parses the text after `#`. Returns `None` for a comment that the gateway ignores.
    pub(super) fn parse(line: &'a str) -> Result<Option<Self>, Mistake> {
        let (keyword, rest) = split_blank(line.trim_start_matches(is_blank));
        let keyword = match keyword {
            "HELP" => Keyword::Help,
            "TYPE" => Keyword::Type,
            _ => return Ok(None),
        };
        let rest = rest.trim_start_matches(is_blank);
        if rest.is_empty() {
            return Ok(None);
        }
        let (name, after) = metric_name(rest)?;
        if after.starts_with('{') {
            return Err(mistake(
                format!("invalid metric name {rest:?}"),
                "write the name without labels in a comment",
            ));
        }
        if after.is_empty() {
            return Ok(None);
        }
        let text = after.trim_start_matches(is_blank);
        Ok(Some(Self { keyword, name, text: (!text.is_empty()).then_some(text) }))
    }
}

pub(super) fn metric_type(word: &str) -> Result<MetricType, Mistake> {
    MetricType::parse(&word.to_ascii_lowercase()).ok_or_else(|| {
        mistake(
            format!("invalid metric type {word:?}"),
            "write counter, gauge, histogram, summary or untyped",
        )
    })
}

/// Replaces the escape sequences of a help text. A backslash before another character is part of the text: the gateway
/// would reject it.
pub(super) fn unescape_help(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let (character, escaped_len) = match after.as_bytes().first() {
            Some(b'n') => ('\n', 1),
            Some(b'\\') => ('\\', 1),
            _ => ('\\', 0),
        };
        plain.push(character);
        rest = &after[escaped_len..];
    }
    plain + rest
}

pub(super) fn escape_help(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_text_is_escaped_as_the_gateway_reads_it() {
        for (text, escaped) in [
            (r"Size of C:\data", r"Size of C:\\data"),
            (r"a\\b\nc", r"a\\b\nc"),
            (r#"a \"quote\""#, r#"a \\"quote\\""#),
            (r"ends with \", r"ends with \\"),
            (r"\\\", r"\\\\"),
            ("plain", "plain"),
        ] {
            assert_eq!(escape_help(&unescape_help(text)), escaped);
        }
    }
}
