//! `SeriesTable`: the series of a family, by their label values. Finding a series takes no lock.
//!
//! A `SeriesTable` consists of open-addressing tables of growing size. When one is half full, the next one is
//! allocated. Entries never move and are never removed, so a reader needs only the acquire load of a slot. Inserting
//! a series takes the lock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::label_values::{LabelValues, ValueIter, hash_values, sorted_positions};
use super::striped::OnceBox;
use crate::sync::Mutex;

/// Maximum number of series in the first table. Each further table has four times that capacity.
const FIRST_CAPACITY: usize = 4;

/// Maximum number of tables. Together, they have room for more series than fit into memory.
const MAX_TABLES: usize = 14;

/// A series and its label values.
pub(super) struct Series<S> {
    values: LabelValues,
    pub(super) metric: S,
}

impl<S> Series<S> {
    /// Returns the label values, in the order of the label names.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.values.iter()
    }
}

/// Series by their label values.
pub(crate) struct SeriesTable<S> {
    tables: [OnceLock<Box<[Slot<S>]>>; MAX_TABLES],
    count: Mutex<usize>,
}

/// The place of a series in a table. The slot contains the hash, so that a look-up does not read series with other hashes.
struct Slot<S> {
    /// Written before the series.
    hash: AtomicU64,
    series: OnceBox<Series<S>>,
}

impl<S> Slot<S> {
    const fn new() -> Self {
        Self { hash: AtomicU64::new(0), series: OnceBox::new() }
    }

    /// Returns the series and the hash of its label values.
    #[inline]
    fn get(&self) -> Option<(u64, &Series<S>)> {
        let series = self.series.get()?;
        Some((self.hash.load(Ordering::Relaxed), series))
    }

    /// Sets the series of an empty slot. The caller holds the lock of the table.
    fn set(&self, hash: u64, series: Series<S>) -> &Series<S> {
        self.hash.store(hash, Ordering::Relaxed);
        self.series.get_or_init(|| Box::new(series))
    }
}

impl<S> SeriesTable<S> {
    pub(crate) const fn new() -> Self {
        Self { tables: [const { OnceLock::new() }; MAX_TABLES], count: Mutex::new(0) }
    }

    /// Returns the series with these label values, if there is one.
    #[inline]
    pub(crate) fn find<'v>(&self, values: impl ValueIter<'v>) -> Option<&S> {
        self.find_hashed(hash_values(values.clone()), values)
    }

    #[inline]
    fn find_hashed<'v>(&self, hash: u64, values: impl ValueIter<'v>) -> Option<&S> {
        for table in self.tables.iter().map_while(OnceLock::get) {
            for (found, series) in probe(table, hash).map_while(Slot::get) {
                if found == hash && series.values.equals(values.clone()) {
                    return Some(&series.metric);
                }
            }
        }
        None
    }

    /// Returns the series with these label values, after inserting the result of `create` if there is none.
    ///
    /// `create` receives the number of existing series. If it returns `None`, nothing is inserted.
    pub(crate) fn find_or_insert<'v>(
        &self,
        values: impl ValueIter<'v>,
        create: impl FnOnce(usize) -> Option<S>,
    ) -> Option<&S> {
        let hash = hash_values(values.clone());
        if let Some(found) = self.find_hashed(hash, values.clone()) {
            return Some(found);
        }
        let mut count = self.count.lock();
        if let Some(found) = self.find_hashed(hash, values.clone()) {
            return Some(found);
        }
        let metric = create(*count)?;
        let slot = probe(self.table_for(*count), hash).find(|slot| slot.get().is_none())?;
        *count += 1;
        let series = slot.set(hash, Series { values: LabelValues::new(values), metric });
        Some(&series.metric)
    }

    /// Returns the table for the next series if there are `count` series.
    fn table_for(&self, count: usize) -> &[Slot<S>] {
        let (mut number, mut capacity, mut before) = (0, FIRST_CAPACITY, 0);
        while count - before >= capacity && number + 1 < MAX_TABLES {
            before += capacity;
            capacity *= 4;
            number += 1;
        }
        self.tables[number]
            .get_or_init(|| std::iter::repeat_with(Slot::new).take(capacity * 2).collect())
    }

    /// Returns all series, sorted by the values of their labels in this order.
    pub(super) fn sorted(&self, order: &[usize]) -> Vec<&Series<S>> {
        let series: Vec<_> = self.iter().collect();
        let values: Vec<_> = series.iter().map(|it| &it.values).collect();
        sorted_positions(&values, order).into_iter().map(|position| series[position]).collect()
    }

    /// Returns all series, in arbitrary order.
    fn iter(&self) -> impl Iterator<Item = &Series<S>> {
        self.tables
            .iter()
            .map_while(OnceLock::get)
            .flat_map(|table| table.iter().filter_map(|slot| Some(slot.get()?.1)))
    }
}

/// Returns the slots that may contain a series with this hash, in probing order. The size of a table is a power of two.
#[inline]
fn probe<S>(table: &[Slot<S>], hash: u64) -> impl Iterator<Item = &Slot<S>> {
    #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash are usable")]
    let start = hash as usize;
    (0..table.len()).map(move |step| &table[start.wrapping_add(step) & (table.len() - 1)])
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Calls `access` with one label value.
    fn with_value<R>(number: usize, access: impl FnOnce(std::iter::Once<&str>) -> R) -> R {
        access(std::iter::once(&number.to_string()))
    }

    #[test]
    fn series_is_created_once_by_concurrent_callers() {
        const THREADS: usize = 2;
        const SERIES: usize = 10_000;
        let (table, created, arrived) =
            (SeriesTable::new(), AtomicUsize::new(0), AtomicUsize::new(0));
        // A spinning barrier, because `std::sync::Barrier` wakes its threads one after the other.
        let wait_for_all = |number: usize| {
            arrived.fetch_add(1, Ordering::Relaxed);
            while arrived.load(Ordering::Relaxed) < (number + 1) * THREADS {
                std::thread::yield_now();
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for number in 0..SERIES {
                        wait_for_all(number);
                        let create = |_| Some(created.fetch_add(1, Ordering::Relaxed));
                        with_value(number, |value| table.find_or_insert(value, create).copied());
                    }
                });
            }
        });
        assert_eq!((created.into_inner(), table.iter().count()), (SERIES, SERIES));
    }

    #[test]
    fn series_are_found_in_all_tables() {
        let table = SeriesTable::new();
        for number in 0..500 {
            assert!(with_value(number, |value| table.find(value).is_none()));
            with_value(number, |value| table.find_or_insert(value, Some).copied());
        }
        for number in 0..500 {
            assert_eq!(with_value(number, |value| table.find(value).copied()), Some(number));
        }
        assert!(with_value(500, |value| table.find_or_insert(value, |_| None).is_none()));
    }
}
