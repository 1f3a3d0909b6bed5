//! `ShortTexts`: the handles of a site with one label, by values of at most 16 bytes.
//!
//! Comparing two words is faster than a look-up in the table of all series. Each text has one position. If another text
//! occupies it, calls use the table.

use once_cell::race::OnceRef;

use crate::metrics::words;

const POSITIONS: usize = 64;

/// Handles by short texts. An entry is never replaced.
pub(super) struct ShortTexts<H: 'static>([OnceRef<'static, Entry<H>>; POSITIONS]);

struct Entry<H: 'static> {
    length: usize,
    words: [u64; 2],
    handles: &'static H,
}

impl<H> ShortTexts<H> {
    pub(super) const fn new() -> Self {
        Self([const { OnceRef::new() }; POSITIONS])
    }

    /// Returns the handles of this text, if they have been inserted.
    #[inline]
    pub(super) fn find(&self, text: &str) -> Option<&'static H> {
        let words = words(text)?;
        let entry = self.0[position(words)].get()?;
        (entry.length == text.len() && entry.words == words).then_some(entry.handles)
    }

    /// Inserts the handles of a text if it is short and its position is free.
    pub(super) fn insert(&self, text: &str, handles: &'static H) {
        let Some(words) = words(text) else { return };
        let entry = Entry { length: text.len(), words, handles };
        self.0[position(words)].get_or_init(|| Box::leak(Box::new(entry)));
    }
}

#[inline]
const fn position([first, last]: [u64; 2]) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let product = first.wrapping_add(last.rotate_left(32)).wrapping_mul(ODD);
    (product >> (u64::BITS - POSITIONS.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_return_the_handles_of_the_same_text_only() {
        let texts = ["", "a", "b", "ab", "abc", "abcd", "abcdefg", "abcdefgh", "abcdefghi", "\0"];
        let texts = texts.map(str::to_owned).into_iter().chain((0..200).map(|n| n.to_string()));
        let texts: Vec<_> = texts.chain((0..=17).map(|length| "x".repeat(length))).collect();
        let handles = ShortTexts::<String>::new();
        texts.iter().for_each(|text| handles.insert(text, Box::leak(text.clone().into())));
        let found = texts.iter().filter_map(|text| Some((text, handles.find(text)?)));
        let found: Vec<_> = found.collect();
        assert!(found.len() >= POSITIONS / 2, "{found:?}");
        assert!(found.iter().all(|(text, handles)| text == handles));
        assert!(handles.find(&"x".repeat(17)).is_none());
        let (one, longest) = (ShortTexts::<String>::new(), "x".repeat(16));
        one.insert(&longest, Box::leak(longest.clone().into()));
        assert_eq!(one.find(&longest), Some(&longest));
    }
}
