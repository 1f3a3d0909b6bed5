//! The reason of a failure, as a text: of a panic, of an error or of the output of a command.
//!
//! It is stored in the journal and the history of this machine, and is never part of a metric. A reason is one line of at
//! most [`MAX_REASON_SIZE`] bytes, without control characters and without the credentials of URLs.

use std::fmt::{self, Write as _};
use std::panic::PanicHookInfo;

use crate::escape::escape;
use crate::label_text::floor_char_boundary;
use crate::unwind::catch_panic;

/// The maximum size of a reason in bytes.
pub(crate) const MAX_REASON_SIZE: usize = 1_024;

/// The maximum size of a text before its credentials are removed, so that no URL is cut at the end of the reason.
pub(super) const MAX_SOURCE_SIZE: usize = 4 * MAX_REASON_SIZE;

const ELLIPSIS: &str = "…";

/// Returns the text of an error, as `main` prints it. If its `Debug` implementation panics, it is the text before that.
pub(super) fn of_error(error: &dyn fmt::Debug) -> Option<String> {
    let mut text = LimitedText::default();
    // An error means that the text has its maximum size.
    let _ = catch_panic(|| write!(text, "{error:?}"));
    let printable = printable(&text.0);
    (!printable.is_empty()).then(|| cut_end(printable, MAX_REASON_SIZE))
}

/// Returns the message and the place of a panic.
pub(super) fn of_panic(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map_or_else(String::new, |place| format!(", {place}"));
    let place = cut_end(printable(&place), MAX_REASON_SIZE / 2);
    let message = panic_message(panic).unwrap_or("a panic without a message");
    let mut text = LimitedText::default();
    let _ = text.write_str(message);
    cut_end(printable(&text.0), MAX_REASON_SIZE - place.len()) + &place
}

/// Returns the message of a panic; `None` if its payload is not a text.
pub(super) fn panic_message<'a>(panic: &'a PanicHookInfo<'_>) -> Option<&'a str> {
    let payload = panic.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
}

/// Returns the end of an output; `None` if it is blank.
#[cfg(any(unix, test))]
pub(super) fn of_output(output: &str) -> Option<String> {
    let printable = printable(output.trim());
    (!printable.is_empty()).then(|| cut_start(printable, MAX_REASON_SIZE))
}

/// A text that ends at [`MAX_SOURCE_SIZE`]. Writing more is an error, so that a long value is not formatted to its end.
#[derive(Default)]
struct LimitedText(String);

impl fmt::Write for LimitedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fitting = floor_char_boundary(text, MAX_SOURCE_SIZE - self.0.len());
        self.0.push_str(&text[..fitting]);
        if fitting < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Removes the credentials of URLs and escapes control characters.
fn printable(text: &str) -> String {
    let words = text.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>'));
    let redacted: String = words.flat_map(redacted_word).collect();
    escape(redacted.trim()).into_owned()
}

/// Returns the parts of a word without the text between the scheme of a URL and the last `@`. A password may contain any
/// other separator.
fn redacted_word(word: &str) -> [&str; 3] {
    const SCHEME_END: &str = "://";

    let Some(scheme) = word.find(SCHEME_END).map(|at| at + SCHEME_END.len()) else {
        return [word, "", ""];
    };
    match word[scheme..].rfind('@') {
        Some(at) => [&word[..scheme], ELLIPSIS, &word[scheme + at..]],
        None => [word, "", ""],
    }
}

/// Returns at most the first `max_size` bytes. A text that is cut ends with an ellipsis.
fn cut_end(mut text: String, max_size: usize) -> String {
    if text.len() > max_size {
        text.truncate(floor_char_boundary(&text, max_size - ELLIPSIS.len()));
        text.push_str(ELLIPSIS);
    }
    text
}

/// Returns at most the last `max_size` bytes. A text that is cut starts with an ellipsis.
#[cfg(any(unix, test))]
fn cut_start(text: String, max_size: usize) -> String {
    if text.len() <= max_size {
        return text;
    }
    let is_short = |start: &usize| text.len() - start <= max_size - ELLIPSIS.len();
    let start = text.char_indices().map(|(at, _)| at).find(is_short).unwrap_or(text.len());
    format!("{ELLIPSIS}{}", &text[start..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An error that is longer than the limit, and panics if it is formatted to its end.
    struct Endless;

    impl fmt::Debug for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            (0..MAX_SOURCE_SIZE).try_for_each(|_| f.write_str("ä€"))?;
            panic!("formatted to its end")
        }
    }

    struct Panics;

    impl fmt::Debug for Panics {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("before")?;
            panic!("in `Debug`")
        }
    }

    #[test]
    fn reason_of_an_error_is_its_debug_text() {
        let error = std::io::Error::other("no space\n");
        assert_eq!(of_error(&error).unwrap(), r#"Custom { kind: Other, error: "no space\n" }"#);
        assert_eq!(of_error(&format_args!("a\n\u{1b}[2J\n")).unwrap(), r"a\n\u{1b}[2J");
        assert_eq!(of_error(&format_args!(" \n")), None);
    }

    #[test]
    fn error_whose_debug_panics_has_the_text_before_it() {
        assert_eq!(of_error(&Panics).as_deref(), Some("before"));
    }

    #[test]
    fn long_error_is_cut_and_not_formatted_to_its_end() {
        let reason = of_error(&Endless).unwrap();
        assert!(reason.len() <= MAX_REASON_SIZE && reason.len() > MAX_REASON_SIZE - 8, "{reason}");
        assert!(reason.ends_with(ELLIPSIS), "{reason}");
    }

    #[test]
    fn reason_of_an_output_is_its_end() {
        let output = format!("{}\nlast line\n", "ä".repeat(MAX_REASON_SIZE));
        let reason = of_output(&output).unwrap();
        assert!(reason.len() <= MAX_REASON_SIZE, "{}", reason.len());
        assert!(reason.starts_with(ELLIPSIS) && reason.ends_with(r"ä\nlast line"), "{reason}");
        assert_eq!(of_output("\n \n"), None);
    }

    #[test]
    fn reason_has_no_credentials_of_urls() {
        for (text, expected) in [
            ("GET http://user:pass@host/a?b=1: 403", "GET http://…@host/a?b=1: 403"),
            ("\"postgres://u:p/a@ss@db\"", "\"postgres://…@db\""),
            ("<amqp://u@h>, ftp://u:p@h", "<amqp://…@h>, ftp://…@h"),
            ("http://host/a and mail to x@y", "http://host/a and mail to x@y"),
            ("http://a:b@c,http://d:e@f", "http://…@f"),
        ] {
            assert_eq!(of_output(text).as_deref(), Some(expected));
        }
    }

    proptest! {
        #[test]
        fn reason_is_one_short_line(text in any::<String>(), count in 1_usize..200) {
            let text = text.repeat(count);
            let reasons = [of_output(&text), of_error(&format_args!("{text}"))];
            for reason in reasons.into_iter().flatten() {
                prop_assert!(reason.len() <= MAX_REASON_SIZE);
                prop_assert!(!reason.contains(char::is_control));
            }
        }
    }
}
