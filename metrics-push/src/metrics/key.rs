//! What identifies a series within its family: its label values, in the order of the names, as one key.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::hash_map::RandomState;
use std::fmt::{self, Write as _};
use std::hash::BuildHasher;
use std::sync::LazyLock;

/// Ends each value. No text contains this byte, so different values never make the same key.
const END: u8 = 0xff;

thread_local! {
    // Taken while in use: a value's `Display` may lead here again.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Label values, each followed by [`END`].
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// Makes a key, looks at it and keeps its memory for the next one on this thread.
    #[inline]
    pub(crate) fn with<R>(fill: impl FnOnce(&mut Self), look: impl FnOnce(&Self) -> R) -> R {
        // Out of reach only in a thread's last moments: then there is no memory to keep.
        let mut key = Self(SPARE.try_with(Cell::take).unwrap_or_default());
        key.0.clear();
        fill(&mut key);
        let found = look(&key);
        let _ = SPARE.try_with(|spare| spare.set(key.0));
        found
    }

    /// A key of texts.
    pub(crate) fn of<'v, R>(
        values: impl Iterator<Item = &'v str>,
        look: impl FnOnce(&Self) -> R,
    ) -> R {
        let fill = |key: &mut Self| {
            for value in values {
                key.0.extend_from_slice(value.as_bytes());
                key.0.push(END);
            }
        };
        Self::with(fill, look)
    }

    /// Adds a value as it shows itself.
    #[inline]
    pub(crate) fn push(&mut self, value: &dyn fmt::Display) {
        // What a `Display` wrote before it failed is all there is to show.
        let _ = write!(self, "{value}");
        self.0.push(END);
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &str> {
        values_of(&self.0)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A number that other keys are unlikely to have; from a seed that no sender of values can know.
    #[inline]
    pub(crate) fn hash(&self) -> u64 {
        static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0_u8));
        let (words, rest) = self.0.as_chunks();
        let start = SEED.wrapping_add(self.0.len() as u64);
        let hash = words.iter().fold(start, |hash, word| mix(hash ^ u64::from_le_bytes(*word)));
        mix(hash ^ rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
    }
}

impl fmt::Write for Key {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// The values that a key was made of.
pub(crate) fn values_of(key: &[u8]) -> impl Iterator<Item = &str> {
    key.split_inclusive(|byte| *byte == END)
        .map(|value| value.strip_suffix(&[END]).unwrap_or(value))
        .map(|value| str::from_utf8(value).unwrap_or_default())
}

/// How the values of two keys compare, one after the other.
pub(crate) fn cmp_values(left: &[u8], right: &[u8]) -> Ordering {
    // The end of a value comes before whatever may follow in a longer one.
    fn ranks(key: &[u8]) -> impl Iterator<Item = u8> {
        key.iter().map(|byte| byte.wrapping_sub(END))
    }
    ranks(left).cmp(ranks(right))
}

/// Both halves of the product count, so that every bit of the input reaches the low bits.
fn mix(word: u64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let product = u128::from(word) * u128::from(ODD);
    #[expect(clippy::cast_possible_truncation, reason = "the upper half is mixed into it")]
    let low = product as u64;
    low ^ (product >> u64::BITS) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[&str]) -> Vec<String> {
        Key::of(values.iter().copied(), |key| key.values().map(str::to_owned).collect())
    }

    #[test]
    fn a_key_gives_back_its_values() {
        for example in [&[] as &[&str], &[""], &["", ""], &["a"], &["é", "", "x\0y"]] {
            assert_eq!(values(example), example);
        }
    }

    #[test]
    fn keys_compare_as_their_values_do() {
        let values = ["", "\0", "a", "a\u{1}", "ab", "é", "\u{10ffff}"];
        let pairs: Vec<_> =
            values.iter().flat_map(|one| values.map(|other| [*one, other])).collect();
        for [one, other] in pairs.iter().flat_map(|one| pairs.iter().map(move |other| [one, other]))
        {
            let ordering = Key::of(one.iter().copied(), |left| {
                Key::of(other.iter().copied(), |right| {
                    cmp_values(left.as_bytes(), right.as_bytes())
                })
            });
            assert_eq!(ordering, one.cmp(other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn keys_differ_where_their_values_do() {
        let hash = |values: &[&str]| Key::of(values.iter().copied(), Key::hash);
        let examples: [&[&str]; 7] =
            [&[], &[""], &["", ""], &["ab", "c"], &["a", "bc"], &["abcdefgh"], &["abcdefgh\0"]];
        for (number, one) in examples.iter().enumerate() {
            for other in &examples[..number] {
                assert_ne!(hash(one), hash(other), "{one:?} {other:?}");
            }
        }
    }
}
