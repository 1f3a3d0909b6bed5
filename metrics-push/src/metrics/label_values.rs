//! `LabelValues`: the label values of one series, in the order of the label names.
//!
//! A look-up compares and hashes the caller's values in place. Copying them into one buffer first is slower, because
//! reading the buffer stalls until it has been written.

use std::cmp::Ordering;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::LazyLock;

/// Terminates each value. UTF-8 never contains this byte, so different values have different encodings.
const END: u8 = 0xff;

/// The first bytes of the label values of a series, as big-endian words. A key and a position take 32 bytes.
type SortKey = [u64; 3];

/// An iterator over label values. It can be cloned, so that the values can be read several times.
pub(crate) trait ValueIter<'v>: Iterator<Item = &'v str> + Clone {}

impl<'v, I: Iterator<Item = &'v str> + Clone> ValueIter<'v> for I {}

/// The label values of one series, each followed by [`END`].
///
/// Most series have few and short values. These are stored in place, because a push of many series spends most of its time
/// waiting for memory.
pub(super) enum LabelValues {
    Inline { length: u8, bytes: [u8; MAX_INLINE] },
    Boxed(Box<[u8]>),
}

/// The maximum number of bytes that are stored in place. With them, a [`LabelValues`] has 24 bytes.
const MAX_INLINE: usize = 22;

impl LabelValues {
    pub(super) fn new<'v>(values: impl ValueIter<'v>) -> Self {
        let length: usize = values.clone().map(|value| value.len() + 1).sum();
        let values = values.map(str::as_bytes);
        match u8::try_from(length) {
            Ok(short) if length <= MAX_INLINE => {
                let mut bytes = [END; MAX_INLINE];
                fill(&mut bytes, values);
                Self::Inline { length: short, bytes }
            }
            _ => {
                let mut bytes = vec![END; length].into_boxed_slice();
                fill(&mut bytes, values);
                Self::Boxed(bytes)
            }
        }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Self::Boxed(bytes) => bytes,
        }
    }

    /// Returns true if `values` equals the stored values.
    #[inline]
    pub(super) fn equals<'v>(&self, mut values: impl ValueIter<'v>) -> bool {
        let rest = values.try_fold(self.bytes(), |rest, value| {
            rest.strip_prefix(value.as_bytes())?.strip_prefix(&[END])
        });
        rest.is_some_and(<[u8]>::is_empty)
    }

    /// Returns the values, in the order of the label names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.encoded().map(|value| str::from_utf8(value).unwrap_or_default())
    }

    /// Returns the values without [`END`].
    fn encoded(&self) -> impl Iterator<Item = &[u8]> {
        let ended = self.bytes().split_inclusive(|byte| *byte == END);
        ended.map(|value| value.strip_suffix(&[END]).unwrap_or(value))
    }

    /// Returns the first bytes of the values in this order. If two keys differ, their order is that of the values.
    fn sort_key(&self, order: &[usize]) -> SortKey {
        let mut key = [END; size_of::<SortKey>()];
        fill(&mut key, self.in_order(order));
        let key = key.map(rank);
        let (words, _) = key.as_chunks();
        std::array::from_fn(|position| u64::from_be_bytes(words[position]))
    }

    /// Compares the values in this order, one after the other.
    fn cmp_values(&self, other: &Self, order: &[usize]) -> Ordering {
        self.in_order(order).cmp(other.in_order(order))
    }

    fn in_order(&self, order: &[usize]) -> impl Iterator<Item = &[u8]> {
        order.iter().filter_map(|position| self.encoded().nth(*position))
    }
}

/// Returns the positions in `series`, sorted by label values. `order` lists the labels in the order of comparison.
pub(super) fn sorted_positions(series: &[&LabelValues], order: &[usize]) -> Vec<usize> {
    // A table returns series in random order. Reading the values in the order of their addresses causes fewer cache misses.
    let addresses = series.iter().map(|values| std::ptr::from_ref(*values).addr());
    let mut by_address: Vec<_> = addresses.zip(0..).collect();
    by_address.sort_unstable_by_key(|(address, _)| *address);
    let mut positions: Vec<_> = by_address.into_iter().map(|(_, position)| position).collect();
    positions.shrink_to_fit();
    // Comparing keys does not read the values, which avoids most other cache misses.
    let keyed = positions.iter().map(|it| (series[*it].sort_key(order), *it));
    let mut keyed: Vec<_> = keyed.collect();
    keyed.sort_unstable_by(|(left_key, left), (right_key, right)| {
        left_key.cmp(right_key).then_with(|| series[*left].cmp_values(series[*right], order))
    });
    // A new `Vec`, allocated after the keys, would prevent the text from reusing their memory.
    positions.clear();
    positions.extend(keyed.iter().map(|(_, position)| *position));
    positions
}

/// Copies the values to a buffer that contains only [`END`], so that each value is followed by it. Values that do not fit are
/// truncated.
fn fill<'v>(buffer: &mut [u8], values: impl Iterator<Item = &'v [u8]>) {
    let mut rest = buffer;
    for value in values {
        let length = value.len().min(rest.len());
        rest[..length].copy_from_slice(&value[..length]);
        rest = rest.get_mut(length + 1..).unwrap_or_default();
    }
}

/// Returns the rank of a byte. [`END`] has the lowest one, so that a value sorts before the longer values that start with it.
const fn rank(byte: u8) -> u8 {
    byte.wrapping_sub(END)
}

/// Returns a hash of the values. Its seed is random, so that an attacker cannot choose values that collide.
#[inline]
pub(super) fn hash_values<'v>(values: impl ValueIter<'v>) -> u64 {
    static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0_u8));
    values.fold(*SEED, |hash, value| absorb(hash, value.as_bytes()))
}

/// Hashes all whole words of the text and then its last eight bytes, which may overlap the last whole word.
#[inline]
fn absorb(hash: u64, text: &[u8]) -> u64 {
    let start = hash.wrapping_add(text.len() as u64);
    let (words, _) = text.as_chunks();
    let hash = words.iter().fold(start, |hash, word| mix(hash ^ u64::from_le_bytes(*word)));
    mix(hash ^ text.last_chunk().map_or_else(|| short(text), |word| u64::from_le_bytes(*word)))
}

/// Returns a text of at most 16 bytes as two numbers, and `None` for a longer one. Two different texts of the same length have
/// different numbers.
#[inline]
pub(crate) fn words(text: &str) -> Option<[u64; 2]> {
    let text = text.as_bytes();
    match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) => {
            let words = || [*first, *last].map(u64::from_le_bytes);
            (text.len() <= 2 * size_of::<u64>()).then(words)
        }
        _ => Some([short(text), 0]),
    }
}

/// Returns up to seven bytes as a number. Different texts of one length have different numbers.
#[inline]
fn short(text: &[u8]) -> u64 {
    let half = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
    match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) => half(first) << 32 | half(last),
        _ => text.iter().fold(0, |bytes, byte| bytes << 8 | u64::from(*byte)),
    }
}

/// Folds both halves of a product, so that every bit of the input affects the low bits.
#[inline]
fn mix(word: u64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let product = u128::from(word) * u128::from(ODD);
    #[expect(clippy::cast_possible_truncation, reason = "the next line mixes in the upper half")]
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
    fn label_values_iterate_over_their_values() {
        for example in EXAMPLES {
            let values = LabelValues::new(example.iter().copied());
            assert_eq!(values.iter().collect::<Vec<_>>(), example);
        }
    }

    #[test]
    fn label_values_compare_value_by_value() {
        let values = ["", "\0", "a", "a\u{1}", "ab", "é", "\u{10ffff}"];
        let pairs: Vec<_> =
            values.iter().flat_map(|one| values.map(|other| [*one, other])).collect();
        for [one, other] in pairs.iter().flat_map(|one| pairs.iter().map(move |other| [one, other]))
        {
            let [left, right] = [one, other].map(|values| LabelValues::new(values.iter().copied()));
            for order in [[0, 1], [1, 0]] {
                let [one, other] =
                    [one, other].map(|values| order.map(|position| values[position]));
                assert_eq!(left.cmp_values(&right, &order), one.cmp(&other), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn different_sort_keys_compare_like_the_values() {
        let texts = ["", "\0", "a", "a\u{1}", "ab", "é", "\u{10ffff}", "a text of twenty bytes"];
        let pairs = texts.iter().flat_map(|one| texts.map(|other| [*one, other]));
        let pairs: Vec<_> = pairs.map(|pair| (pair, LabelValues::new(pair.into_iter()))).collect();
        for ((one, left), (other, right)) in
            pairs.iter().flat_map(|one| pairs.iter().map(move |other| (one, other)))
        {
            let keys = |order: &[usize]| left.sort_key(order).cmp(&right.sort_key(order));
            let reversed = [one[1], one[0]].cmp(&[other[1], other[0]]);
            for (keys, values) in [(keys(&[0, 1]), one.cmp(other)), (keys(&[1, 0]), reversed)] {
                assert!(keys == values || keys.is_eq(), "{one:?} {other:?}");
            }
        }
        let [one, other] = ["a", "b"].map(|value| LabelValues::new([value, "c"].into_iter()));
        assert!(one.sort_key(&[1, 0]) < other.sort_key(&[1, 0]));
    }

    #[test]
    fn sorted_positions_compare_values_with_the_same_key() {
        let start = "a text that is longer than a key";
        let texts = [format!("{start}c"), "b".into(), format!("{start}a"), format!("{start}b")];
        let values = texts.each_ref().map(|text| LabelValues::new([&**text, "x"].into_iter()));
        assert_eq!(sorted_positions(&values.each_ref(), &[1, 0]), [2, 3, 0, 1]);
    }

    #[test]
    fn different_values_differ_in_encoding_and_hash() {
        for (number, one) in EXAMPLES.iter().enumerate() {
            let values = LabelValues::new(one.iter().copied());
            for (other_number, other) in EXAMPLES.iter().enumerate() {
                let other = other.iter().copied();
                assert_eq!(values.equals(other.clone()), number == other_number);
                assert_eq!(
                    hash_values(one.iter().copied()) == hash_values(other),
                    number == other_number
                );
            }
        }
    }
}
