//! Renders label values: a value has at most [`MAX_LABEL_VALUE_BYTES`] bytes, and rendering it never panics.
//!
//! A longer value is cut, and ends with a checksum of the whole value, so that different values stay different. The text
//! after the cut is not stored, so the memory does not depend on the length of the value.

use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};

use crate::unwind::catch_panic;

/// The maximum length of a label value in bytes. Prometheus recommends short values, and each series repeats them.
pub(crate) const MAX_LABEL_VALUE_BYTES: usize = 1_024;

/// The value of a label whose `Display` implementation panics.
pub(crate) const INVALID: &str = "_invalid";

/// The length of a dash and of a checksum in hexadecimal digits.
const CHECKSUM_BYTES: usize = 17;

/// How a value was rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rendering {
    Whole,
    Cut,
    /// The `Display` implementation panicked. The value is [`INVALID`].
    Panicked,
}

impl Rendering {
    /// Returns the reason why the label does not have the value of the program; `None` if it has.
    pub(crate) fn problem(self) -> Option<String> {
        match self {
            Self::Whole => None,
            Self::Cut => Some(format!(
                "its value is cut to {MAX_LABEL_VALUE_BYTES} bytes; use shorter values"
            )),
            Self::Panicked => Some(format!(
                "its value is {INVALID:?} because `Display` panicked; fix the implementation"
            )),
        }
    }
}

/// Returns true if a text is not changed by [`bounded`].
#[inline]
pub(crate) fn is_bounded(value: &str) -> bool {
    value.len() <= MAX_LABEL_VALUE_BYTES
}

/// Returns the value, cut if it is too long.
pub(crate) fn bounded(value: &str) -> Cow<'_, str> {
    if is_bounded(value) {
        return Cow::Borrowed(value);
    }
    let mut text = String::new();
    append(&mut text, &value);
    Cow::Owned(text)
}

/// Renders a value.
pub(crate) fn render(value: &dyn Display) -> (String, Rendering) {
    let mut text = String::new();
    let rendering = append(&mut text, value);
    (text, rendering)
}

/// Appends a rendered value to `text`. If `Display` fails, the text that it wrote before is the value.
pub(crate) fn append(text: &mut String, value: &dyn Display) -> Rendering {
    let start = text.len();
    let rendered = catch_panic(|| {
        let mut value_text = BoundedText { text: &mut *text, start, checksum: None };
        let _ = write!(value_text, "{value}");
        value_text.finish()
    });
    rendered.unwrap_or_else(|| {
        text.truncate(start);
        text.push_str(INVALID);
        Rendering::Panicked
    })
}

/// Stores the start of a text, and the checksum of the whole text if it is too long.
struct BoundedText<'a> {
    text: &'a mut String,
    start: usize,
    checksum: Option<u64>,
}

impl fmt::Write for BoundedText<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = match self.checksum {
            Some(_) => 0,
            None => MAX_LABEL_VALUE_BYTES - (self.text.len() - self.start),
        };
        let (stored, rest) = part.split_at(floor_char_boundary(part, room));
        self.text.push_str(stored);
        if !rest.is_empty() {
            let checksum = self
                .checksum
                .unwrap_or_else(|| add_to_checksum(EMPTY_CHECKSUM, &self.text[self.start..]));
            self.checksum = Some(add_to_checksum(checksum, rest));
        }
        Ok(())
    }
}

impl BoundedText<'_> {
    fn finish(self) -> Rendering {
        let Some(checksum) = self.checksum else { return Rendering::Whole };
        let max_prefix = self.start + MAX_LABEL_VALUE_BYTES - CHECKSUM_BYTES;
        self.text.truncate(floor_char_boundary(self.text, max_prefix));
        let _ = write!(self.text, "-{checksum:016x}");
        Rendering::Cut
    }
}

/// Returns the last position at or before `position` where the text can be cut.
pub(crate) fn floor_char_boundary(text: &str, position: usize) -> usize {
    let position = position.min(text.len());
    (0..=position).rev().find(|position| text.is_char_boundary(*position)).unwrap_or(0)
}

/// The initial value of the 64-bit FNV-1a hash. The checksum must be the same in all processes and versions, because it is a
/// part of grouping keys.
const EMPTY_CHECKSUM: u64 = 0xcbf2_9ce4_8422_2325;

fn add_to_checksum(checksum: u64, text: &str) -> u64 {
    const PRIME: u64 = 0x0100_0000_01b3;
    text.bytes().fold(checksum, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(value: impl Display) -> String {
        render(&value).0
    }

    #[test]
    fn value_up_to_the_limit_is_not_changed() {
        for value in ["", "a", "é", &"é".repeat(512)] {
            assert_eq!((rendered(value), bounded(value)), (value.to_owned(), value.into()));
            assert_eq!(render(&value).1, Rendering::Whole);
        }
    }

    #[test]
    fn long_value_is_cut_and_stays_distinct() {
        for character in ["x", "é", "€", "🦀"] {
            let long = character.repeat(1_000_000);
            let (text, rendering) = render(&long);
            assert_eq!(rendering, Rendering::Cut);
            assert!(text.len() <= MAX_LABEL_VALUE_BYTES, "{}", text.len());
            assert!(text.len() > MAX_LABEL_VALUE_BYTES - 4 && text.starts_with(character));
            assert_eq!(bounded(&long), text);
            assert_ne!(rendered(format!("{long}!")), text);
            assert_eq!(bounded(&text), text, "a cut value is not cut again");
        }
    }

    #[test]
    fn value_written_in_parts_is_cut_like_one_text() {
        struct Parts<'a>(&'a str, usize);
        impl Display for Parts<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut rest = self.0;
                while !rest.is_empty() {
                    let (part, after) = rest.split_at(floor_char_boundary(rest, self.1));
                    f.write_str(part)?;
                    rest = after;
                }
                Ok(())
            }
        }
        let long = "a€🦀".repeat(500);
        for length in [4, 5, 7, 1_000, 1_023, 1_024, 1_025] {
            assert_eq!(rendered(Parts(&long, length)), rendered(&long), "{length}");
        }
    }

    #[test]
    fn values_are_appended_one_after_the_other() {
        let mut text = String::from("before");
        append(&mut text, &7);
        append(&mut text, &"x".repeat(2_000));
        assert!(text.starts_with("before7xx"));
        assert_eq!(text.len(), "before7".len() + MAX_LABEL_VALUE_BYTES);
    }

    #[test]
    fn panicking_display_renders_as_invalid() {
        struct Panics;
        impl Display for Panics {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half")?;
                panic!("expected")
            }
        }
        let mut text = String::from("before ");
        assert_eq!(append(&mut text, &Panics), Rendering::Panicked);
        assert_eq!(text, "before _invalid");
    }

    #[test]
    fn failing_display_leaves_a_partial_text() {
        struct Broken;
        impl Display for Broken {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half")?;
                Err(fmt::Error)
            }
        }
        assert_eq!(rendered(Broken), "half");
        assert_eq!(rendered(7), "7");
    }
}
