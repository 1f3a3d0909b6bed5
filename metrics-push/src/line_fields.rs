//! Lines of a word and `name=value` fields, separated by tabs, in the files of the state directory.
//!
//! Readers skip unknown fields, so that a later version can add some.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::str::FromStr;
use std::time::Duration;

use crate::labels::GroupingKey;

/// Builds one line. The word comes first.
#[derive(Debug, Default)]
pub(crate) struct LineBuilder {
    text: String,
}

impl LineBuilder {
    pub(crate) fn word(&mut self, word: impl Display) {
        // Writing to a `String` cannot fail.
        let _ = write!(self.text, "{word}");
    }

    pub(crate) fn field(&mut self, name: &str, value: impl Display) {
        self.write_field(name, &value);
    }

    fn write_field(&mut self, name: &str, value: &dyn Display) {
        let _ = write!(self.text, "\t{name}=");
        let start = self.text.len();
        let _ = write!(self.text, "{value}");
        if let Cow::Owned(escaped) = escape(&self.text[start..]) {
            self.text.replace_range(start.., &escaped);
        }
    }

    pub(crate) fn optional(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    pub(crate) fn key(&mut self, key: &GroupingKey) {
        self.field("job", key.job());
        key.labels().for_each(|(name, value)| self.field("label", format_args!("{name}={value}")));
    }

    /// Returns the line with a line feed.
    pub(crate) fn finish(mut self) -> String {
        self.text.push('\n');
        self.text
    }
}

/// The fields of one line, in their order. A name may occur several times.
#[derive(Debug)]
pub(crate) struct LineFields<'a>(Vec<(&'a str, Cow<'a, str>)>);

/// Splits a line into its word and fields.
pub(crate) fn split_line(line: &str) -> (&str, LineFields<'_>) {
    let mut parts = line.split('\t');
    let word = parts.next().unwrap_or_default();
    let fields = parts.filter_map(|part| part.split_once('='));
    (word, LineFields(fields.map(|(name, value)| (name, unescape(value))).collect()))
}

impl LineFields<'_> {
    /// Returns the values of all fields with this name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| *known == name).map(|(_, value)| &**value)
    }

    /// Returns the value of the last field with this name.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    pub(crate) fn key(&self) -> Option<GroupingKey> {
        let mut key = GroupingKey::new(self.text("job")?).ok()?;
        for label in self.all("label") {
            let (name, value) = label.split_once('=')?;
            key = key.label(name, value).ok()?;
        }
        Some(key)
    }

    /// Returns a number of seconds as a duration.
    pub(crate) fn duration(&self, name: &str) -> Option<Duration> {
        Duration::try_from_secs_f64(self.number(name)?).ok()
    }
}

fn escape(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '\t', '\n', '\r', '\0']) {
        return value.into();
    }
    let mut text = String::with_capacity(value.len() + value.len() / 8);
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\0' => text.push_str("\\0"),
            other => text.push(other),
        }
    }
    text.into()
}

fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return value.into();
    }
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('0') => '\0',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_line_are_those_that_were_written() {
        let value = "a=b\tc\\n\n\0\r";
        let mut line = LineBuilder::default();
        line.word("word");
        line.field("name", value);
        line.optional("none", None::<u32>);
        line.field("name", 7);
        let text = line.finish();
        let (word, fields) = split_line(text.strip_suffix('\n').unwrap());
        assert!(!text.trim_end().contains(['\n', '\r', '\0']), "{text:?}");
        assert_eq!((word, fields.number("name")), ("word", Some(7)));
        assert_eq!(fields.all("name").collect::<Vec<_>>(), [value, "7"]);
        assert_eq!((fields.text("none"), fields.number::<u32>("other")), (None, None));
    }
}
