//! `escape`: makes control and format characters visible in text that other programs wrote.
//!
//! A terminal executes control characters, and format characters reorder or hide text. All messages, log lines and tables
//! pass through this function, so that the text of a server, a file name or a variable is always displayed as it is.

use std::borrow::Cow;

/// Characters that `str::escape_debug` escapes although terminals display them.
const PRINTABLE: [char; 3] = ['"', '\'', '\\'];

/// Replaces every character that is not printable by its Rust escape sequence, such as `\u{1b}`.
///
/// The result of a second call is the same text.
pub fn escape(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for part in text.split_inclusive(PRINTABLE) {
        let (other, printable) = part.split_at(part.find(PRINTABLE).unwrap_or(part.len()));
        escaped.extend(other.escape_debug());
        escaped.push_str(printable);
    }
    Cow::Owned(escaped)
}

/// Like [`escape`], for a text of several lines: line feeds remain.
pub fn escape_lines(text: &str) -> String {
    text.split_inclusive('\n')
        .flat_map(|line| match line.strip_suffix('\n') {
            Some(line) => [escape(line), Cow::Borrowed("\n")],
            None => [escape(line), Cow::Borrowed("")],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn printable_text_is_unchanged() {
        for text in ["", "a \"quoted\" 'path' C:\\x", "größer 日本語 हिन्दी €😀 e\u{301}", "a…b"]
        {
            assert_eq!(escape(text), text);
        }
    }

    #[test]
    fn control_and_format_characters_are_escaped() {
        for (text, expected) in [
            ("\u{1b}]0;x\u{7}\u{1b}[2J", r"\u{1b}]0;x\u{7}\u{1b}[2J"),
            ("a\r\nb\tc\0", r"a\r\nb\tc\0"),
            // The reversed text looks like another one.
            ("exe.\u{202e}gpj", r"exe.\u{202e}gpj"),
            ("\u{2066}\u{2069}\u{200b}\u{feff}\u{ad}", r"\u{2066}\u{2069}\u{200b}\u{feff}\u{ad}"),
            ("\u{2028}\u{2029}\u{85}\u{9b}", r"\u{2028}\u{2029}\u{85}\u{9b}"),
            ("\u{e0041}\u{7f}", r"\u{e0041}\u{7f}"),
        ] {
            assert_eq!(escape(text), expected);
        }
        assert_eq!(escape_lines("a\u{1b}\nb\r\n\u{7}"), "a\\u{1b}\nb\\r\n\\u{7}");
    }

    proptest! {
        #[test]
        fn escaped_text_has_no_control_characters(text in any::<String>()) {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(char::is_control), "{:?}", escaped);
            prop_assert_eq!(escape(&escaped), &*escaped);
        }
    }
}
