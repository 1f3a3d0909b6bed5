//! Series by their label values: found without a lock, made once, kept as long as their table.
//!
//! Tables of growing size, filled up to half, one after the other. An entry never moves or goes, so readers
//! need nothing but the acquire load of its slot; only making a new series takes the lock.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

/// What the first table holds; each further one is four times as large.
const FIRST_ROOM: usize = 4;

/// Enough for more series than memory can hold.
const TABLES: usize = 24;

/// What identifies a series within its family: label values, in the order of the names.
pub(crate) struct Series<S> {
    hash: u64,
    pub(crate) values: Box<[Box<str>]>,
    pub(crate) cells: S,
}

pub(crate) struct SeriesTable<S> {
    tables: [OnceLock<Box<[Slot<S>]>>; TABLES],
    count: Mutex<usize>,
}

/// Label values, in the order of the names.
pub(crate) trait Values<'v>: Iterator<Item = &'v str> + Clone {}

impl<'v, I: Iterator<Item = &'v str> + Clone> Values<'v> for I {}

type Slot<S> = OnceLock<Box<Series<S>>>;

impl<S> SeriesTable<S> {
    pub(crate) const fn new() -> Self {
        Self { tables: [const { OnceLock::new() }; TABLES], count: Mutex::new(0) }
    }

    /// The series with these values, if there is one.
    pub(crate) fn find<'v>(&self, values: impl Values<'v>) -> Option<&S> {
        self.look_up(hash(values.clone()), &values)
    }

    fn look_up<'v>(&self, hash: u64, values: &impl Values<'v>) -> Option<&S> {
        self.tables.iter().map_while(OnceLock::get).find_map(|table| {
            probe(table, hash)
                .map_while(|slot| table[slot].get())
                .find(|series| series.hash == hash && series.has(values.clone()))
                .map(|series| &series.cells)
        })
    }

    /// The series with these values; a new one if `make` gives it what it needs.
    ///
    /// `make` learns how many series there are, and may refuse.
    pub(crate) fn find_or_make<'v>(
        &self,
        values: impl Values<'v>,
        make: impl FnOnce(usize) -> Option<S>,
    ) -> Option<&S> {
        let hash = hash(values.clone());
        if let Some(found) = self.look_up(hash, &values) {
            return Some(found);
        }
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = self.look_up(hash, &values) {
            return Some(found);
        }
        let cells = make(*count)?;
        let values = values.map(Box::from).collect();
        let table = self.table_with_room(*count);
        let slot = probe(table, hash).find(|&slot| table[slot].get().is_none())?;
        *count += 1;
        Some(&table[slot].get_or_init(|| Box::new(Series { hash, values, cells })).cells)
    }

    /// The table for the entry after `count` others.
    fn table_with_room(&self, count: usize) -> &[Slot<S>] {
        let (mut number, mut room, mut before) = (0, FIRST_ROOM, 0);
        while count - before >= room && number + 1 < TABLES {
            before += room;
            room *= 4;
            number += 1;
        }
        self.tables[number]
            .get_or_init(|| std::iter::repeat_with(OnceLock::new).take(room * 2).collect())
    }

    /// All series, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Series<S>> {
        self.tables
            .iter()
            .map_while(OnceLock::get)
            .flat_map(|table| table.iter().filter_map(OnceLock::get).map(AsRef::as_ref))
    }
}

impl<S> Series<S> {
    fn has<'v>(&self, values: impl Values<'v>) -> bool {
        self.values.iter().map(AsRef::as_ref).eq(values)
    }
}

/// The slots where an entry may be, nearest first. A table's size is a power of two.
fn probe<S>(table: &[Slot<S>], hash: u64) -> impl Iterator<Item = usize> + use<S> {
    let size = table.len();
    #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
    let start = hash as usize;
    (0..size).map(move |step| start.wrapping_add(step) & (size - 1))
}

/// Mixes eight bytes at a time, from a seed that no sender of label values can know.
fn hash<'v>(values: impl Values<'v>) -> u64 {
    static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0_u8));
    values.fold(*SEED, |hash, value| mix_text(hash, value.as_bytes()))
}

fn mix_text(seed: u64, text: &[u8]) -> u64 {
    let (words, rest) = text.as_chunks::<8>();
    let hash = words.iter().fold(seed, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    // The length keeps a value apart from the same one with zeros behind it.
    mix(mix(hash, u64::from_le_bytes(last)), text.len() as u64)
}

/// Both halves of the product count, so that every bit of the input reaches the low bits.
fn mix(hash: u64, word: u64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let product = u128::from(hash ^ word) * u128::from(ODD);
    #[expect(clippy::cast_possible_truncation, reason = "the upper half is added to it")]
    let low = product as u64;
    low ^ (product >> 64) as u64
}
