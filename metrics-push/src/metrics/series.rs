//! Series by their label values: found without a lock, made once, kept as long as their table.
//!
//! Tables of growing size, filled up to half, one after the other. An entry never moves or goes, so readers
//! need nothing but the acquire load of its slot; only making a new series takes the lock.

use std::cmp::Ordering;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::key::{Key, cmp_values, values_of};

/// What the first table holds; each further one is four times as large.
const FIRST_ROOM: usize = 4;

/// Enough for more series than memory can hold.
const TABLES: usize = 24;

/// A series and the label values that lead to it.
pub(crate) struct Series<S> {
    hash: u64,
    key: Box<[u8]>,
    pub(crate) cells: S,
}

impl<S> Series<S> {
    /// The label values, in the order of the names.
    pub(crate) fn values(&self) -> impl Iterator<Item = &str> {
        values_of(&self.key)
    }

    /// By one label value after the other, in the order of the names.
    pub(crate) fn cmp_values(&self, other: &Self) -> Ordering {
        cmp_values(&self.key, &other.key)
    }
}

/// All series of a family.
pub(crate) struct SeriesTable<S> {
    tables: [OnceLock<Box<[Slot<S>]>>; TABLES],
    count: Mutex<usize>,
}

type Slot<S> = OnceLock<Box<Series<S>>>;

impl<S> SeriesTable<S> {
    pub(crate) const fn new() -> Self {
        Self { tables: [const { OnceLock::new() }; TABLES], count: Mutex::new(0) }
    }

    /// The series with these values, if there is one.
    #[inline]
    pub(crate) fn find(&self, key: &Key) -> Option<&S> {
        self.look_up(key.hash(), key)
    }

    fn look_up(&self, hash: u64, key: &Key) -> Option<&S> {
        for table in self.tables.iter().map_while(OnceLock::get) {
            for series in probe(table, hash).map_while(OnceLock::get) {
                if series.hash == hash && *series.key == *key.as_bytes() {
                    return Some(&series.cells);
                }
            }
        }
        None
    }

    /// The series with these values; a new one if `make` gives it what it needs.
    ///
    /// `make` learns how many series there are, and may refuse.
    pub(crate) fn find_or_make(
        &self,
        key: &Key,
        make: impl FnOnce(usize) -> Option<S>,
    ) -> Option<&S> {
        let hash = key.hash();
        if let Some(found) = self.look_up(hash, key) {
            return Some(found);
        }
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = self.look_up(hash, key) {
            return Some(found);
        }
        let cells = make(*count)?;
        let slot = probe(self.table_with_room(*count), hash).find(|slot| slot.get().is_none())?;
        *count += 1;
        let series = || Box::new(Series { hash, key: key.as_bytes().into(), cells });
        Some(&slot.get_or_init(series).cells)
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

/// The slots where an entry may be, nearest first. A table's size is a power of two.
#[inline]
fn probe<S>(table: &[Slot<S>], hash: u64) -> impl Iterator<Item = &Slot<S>> {
    #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
    let start = hash as usize & (table.len() - 1);
    table[start..].iter().chain(&table[..start])
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn with_key<R>(number: usize, look: impl FnOnce(&Key) -> R) -> R {
        Key::of([number.to_string().as_str()].into_iter(), look)
    }

    #[test]
    fn a_series_is_made_once_however_many_ask_at_once() {
        const THREADS: usize = 2;
        const SERIES: usize = 10_000;
        let (table, made, arrived) = (SeriesTable::new(), AtomicUsize::new(0), AtomicUsize::new(0));
        // A barrier that lets all go at once, as `std`'s wakes one after the other.
        let meet = |number: usize| {
            arrived.fetch_add(1, Ordering::Relaxed);
            while arrived.load(Ordering::Relaxed) < (number + 1) * THREADS {
                std::thread::yield_now();
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for number in 0..SERIES {
                        meet(number);
                        let make = |_| Some(made.fetch_add(1, Ordering::Relaxed));
                        with_key(number, |key| table.find_or_make(key, make).copied());
                    }
                });
            }
        });
        assert_eq!((made.into_inner(), table.iter().count()), (SERIES, SERIES));
    }

    #[test]
    fn series_are_found_through_all_tables() {
        let table = SeriesTable::new();
        for number in 0..500 {
            assert!(with_key(number, |key| table.find(key).is_none()));
            with_key(number, |key| table.find_or_make(key, Some).copied());
        }
        for number in 0..500 {
            assert_eq!(with_key(number, |key| table.find(key).copied()), Some(number));
        }
        assert!(with_key(500, |key| table.find_or_make(key, |_| None).is_none()));
    }
}
