//! What identifies a series within its family: its label values, in the order of the names.
//!
//! Values are looked up where they are, without being copied together first: a copy that is read at once waits for
//! itself to be written, which takes longer than all the rest.

use std::cmp::Ordering;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::LazyLock;

/// Ends each value. No text contains this byte, so different values never make the same key.
const END: u8 = 0xff;

/// Label values, which can be gone through several times.
pub(crate) trait Values<'v>: Iterator<Item = &'v str> + Clone {}

impl<'v, I: Iterator<Item = &'v str> + Clone> Values<'v> for I {}

/// Label values as a series keeps them: each followed by [`END`].
pub(super) struct Key(Box<[u8]>);

impl Key {
    pub(super) fn of<'v>(values: impl Values<'v>) -> Self {
        let mut bytes = Vec::with_capacity(values.clone().map(|value| value.len() + 1).sum());
        for value in values {
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(END);
        }
        Self(bytes.into())
    }

    /// Whether it was made of these values.
    #[inline]
    pub(super) fn is<'v>(&self, mut values: impl Values<'v>) -> bool {
        let rest = values.try_fold(&*self.0, |rest, value| {
            rest.strip_prefix(value.as_bytes())?.strip_prefix(&[END])
        });
        rest.is_some_and(<[u8]>::is_empty)
    }

    /// The values it was made of.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.0
            .split_inclusive(|byte| *byte == END)
            .map(|value| value.strip_suffix(&[END]).unwrap_or(value))
            .map(|value| str::from_utf8(value).unwrap_or_default())
    }

    /// How the values of two keys compare, one after the other.
    pub(super) fn cmp_values(&self, other: &Self) -> Ordering {
        // The end of a value comes before whatever may follow in a longer one.
        fn ranks(key: &Key) -> impl Iterator<Item = u8> {
            key.0.iter().map(|byte| byte.wrapping_sub(END))
        }
        ranks(self).cmp(ranks(other))
    }
}

/// A number that other values are unlikely to have; from a seed that no sender of values can know.
#[inline]
pub(super) fn hash_of<'v>(values: impl Values<'v>) -> u64 {
    static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0_u8));
    values.fold(*SEED, |hash, value| absorb(hash, value.as_bytes()))
}

/// Whole words, then the last eight bytes, some of which are in a word as well.
#[inline]
fn absorb(hash: u64, text: &[u8]) -> u64 {
    let start = hash.wrapping_add(text.len() as u64);
    let (words, _) = text.as_chunks();
    let hash = words.iter().fold(start, |hash, word| mix(hash ^ u64::from_le_bytes(*word)));
    mix(hash ^ text.last_chunk().map_or_else(|| short(text), |word| u64::from_le_bytes(*word)))
}

/// Up to seven bytes as a number; different ones of one length are different numbers.
#[inline]
fn short(text: &[u8]) -> u64 {
    let half = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
    match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) => half(first) << 32 | half(last),
        _ => text.iter().fold(0, |bytes, byte| bytes << 8 | u64::from(*byte)),
    }
}

/// Both halves of the product count, so that every bit of the input reaches the low bits.
#[inline]
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

    const EXAMPLES: [&[&str]; 12] = [
        &[],
        &[""],
        &["", ""],
        &["a"],
        &["é", "", "x\0y"],
        &["ab", "c"],
        &["a", "bc"],
        &["abcde"],
        &["abcdf"],
        &["abcdefgh"],
        &["abcdefgh\0"],
        &["abcdefghabcdefgh"],
    ];

    #[test]
    fn a_key_gives_back_its_values() {
        for example in EXAMPLES {
            let key = Key::of(example.iter().copied());
            assert_eq!(key.values().collect::<Vec<_>>(), example);
        }
    }

    #[test]
    fn keys_compare_as_their_values_do() {
        let values = ["", "\0", "a", "a\u{1}", "ab", "é", "\u{10ffff}"];
        let pairs: Vec<_> =
            values.iter().flat_map(|one| values.map(|other| [*one, other])).collect();
        for [one, other] in pairs.iter().flat_map(|one| pairs.iter().map(move |other| [one, other]))
        {
            let [left, right] = [one, other].map(|values| Key::of(values.iter().copied()));
            assert_eq!(left.cmp_values(&right), one.cmp(other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn keys_and_hashes_differ_where_their_values_do() {
        for (number, one) in EXAMPLES.iter().enumerate() {
            let key = Key::of(one.iter().copied());
            for (other_number, other) in EXAMPLES.iter().enumerate() {
                let other = other.iter().copied();
                assert_eq!(key.is(other.clone()), number == other_number);
                assert_eq!(hash_of(one.iter().copied()) == hash_of(other), number == other_number);
            }
        }
    }
}
