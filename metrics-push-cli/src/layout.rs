//! Fits text into columns and lines of a terminal.
//!
//! Widths are those of a terminal: an East Asian character takes two columns, a combining character none.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The start of a line that continues the line before.
pub(crate) const INDENT: &str = "  ";

/// The number of columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Breaks a text between words. A word that is longer than a line is alone on a line and exceeds the width.
pub(crate) fn wrap<'a>(
    words: impl IntoIterator<Item = &'a str>,
    first: usize,
    others: usize,
) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        let available = if lines.len() <= 1 { first } else { others };
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= available => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Breaks a sentence into lines of a terminal; further lines are indented. Without a width, it is one line.
pub(crate) fn hang(sentence: &str, to: Option<usize>, ellipsis: &str) -> String {
    let Some(to) = to else { return format!("{sentence}\n") };
    let others = to.saturating_sub(INDENT.len());
    let words: Vec<_> =
        sentence.split(' ').map(|word| cut_middle(word, others, ellipsis)).collect();
    let lines = wrap(words.iter().map(String::as_str), to, others);
    let indented = lines.iter().enumerate();
    let indents = indented.map(|(number, line)| match number {
        0 => format!("{line}\n"),
        _ => format!("{INDENT}{line}\n"),
    });
    indents.collect()
}

/// Cuts the end of a text that is too wide, and marks the place.
pub(crate) fn cut(text: &str, to: usize, ellipsis: &str) -> String {
    if width(text) <= to {
        return text.to_owned();
    }
    format!("{}{ellipsis}", start(text, to.saturating_sub(width(ellipsis))))
}

/// Cuts the middle of a text that is too wide, and marks the place.
pub(crate) fn cut_middle(text: &str, to: usize, ellipsis: &str) -> String {
    if width(text) <= to {
        return text.to_owned();
    }
    let left = to.saturating_sub(width(ellipsis));
    let reversed: String = text.chars().rev().collect();
    let end: String = start(&reversed, left / 2).chars().rev().collect();
    format!("{}{ellipsis}{end}", start(text, left - left / 2))
}

/// Returns the characters at the start of a text that fit into a width.
fn start(text: &str, to: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|(_, character)| {
        used += character.width().unwrap_or(0);
        used > to
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrap_breaks_between_words() {
        let words = |text: &'static str| text.split(' ');
        assert_eq!(wrap(words("a tenant=1 region=eu"), 10, 9), ["a tenant=1", "region=eu"]);
        assert_eq!(wrap(words("a bb cc dd"), 4, 2), ["a bb", "cc", "dd"]);
        assert_eq!(wrap(words("a_very_long_word x"), 6, 6), ["a_very_long_word", "x"]);
        assert_eq!(wrap(words("any text"), usize::MAX, usize::MAX), ["any text"]);
    }

    #[test]
    fn cut_text_has_exactly_the_width() {
        assert_eq!(cut("abcdef", 6, "…"), "abcdef");
        assert_eq!(cut("abcdef", 4, "…"), "abc…");
        assert_eq!(cut_middle("abcdefgh", 6, "…"), "abc…gh");
        assert_eq!(cut_middle("abcdefgh", 5, "..."), "a...h");
        assert_eq!(cut("日本語", 5, "…"), "日本…");
        assert_eq!(cut("abc", 0, "…"), "…");
    }

    #[test]
    fn width_counts_columns() {
        assert_eq!((width("日本"), width("e\u{301}")), (4, 1));
    }
}
