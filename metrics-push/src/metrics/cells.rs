//! Numbers that many threads add to without meeting: a row of cells per thread, summed when they are read.
//!
//! A row belongs to one thread at a time, so a plain load and store is an exact addition there. Threads lease
//! a seat, which names their row in every [`Cells`], and give it back when they end; whoever takes the seat
//! next goes on from what it finds. Threads that get no seat share one row and add atomically.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use once_cell::race::OnceBox;

/// Seats in one block, which tells where their rows are and is made when the first of them adds; and blocks.
const BLOCK: usize = 8;

/// Seats for as many threads; more than that is rare and merely slower.
const SEATS: usize = 7 * BLOCK;

/// The seat of threads that have none. It belongs to a block that is never made, so that looking for a row needs
/// no case for it.
const NO_SEAT: usize = SEATS;

/// One bit per seat that is taken. Giving back releases what was added, taking acquires it.
static LEASED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    // Without a destructor, so that it can be read in the thread's last moments and costs one load.
    static SEAT: Cell<usize> = const { Cell::new(NO_SEAT) };
    static LEASE: Lease = Lease::take();
}

/// A seat for as long as the thread lives.
struct Lease {
    bit: u64,
}

impl Lease {
    /// Takes the lowest free seat, or none.
    fn take() -> Self {
        let mut leased = LEASED.load(Ordering::Relaxed);
        loop {
            let free = leased.trailing_ones() as usize;
            if free == SEATS {
                return Self { bit: 0 };
            }
            let bit = 1 << free;
            match LEASED.compare_exchange_weak(
                leased,
                leased | bit,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    SEAT.set(free);
                    return Self { bit };
                }
                Err(now) => leased = now,
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Destructors of other thread-locals may still add: they must not touch a row given back.
        SEAT.set(NO_SEAT);
        LEASED.fetch_and(!self.bit, Ordering::Release);
    }
}

/// The cells of one seat, on a cache line of their own.
#[derive(Default)]
#[repr(align(64))]
struct Row([AtomicU64; Cells::COUNT]);

/// Where the rows of neighbouring seats are.
type Block = [OnceBox<Row>; BLOCK];

/// Eight numbers, once per seat and once more for the threads without one.
#[derive(Default)]
pub(crate) struct Cells {
    blocks: [OnceBox<Block>; BLOCK],
    shared: OnceBox<Row>,
}

impl Cells {
    /// As many as fit into a cache line.
    pub(crate) const COUNT: usize = 8;

    /// Adds to a cell, wrapping.
    #[inline]
    pub(crate) fn add(&self, index: usize, amount: u64) {
        match self.row() {
            Some(row) => row.add(index, amount),
            None => self.add_first_or_shared(index, amount),
        }
    }

    /// Adds one to a cell, and `amount` to another: finds the row but once.
    #[inline]
    pub(crate) fn add_one_and(&self, one: usize, index: usize, amount: u64) {
        match self.row() {
            Some(row) => {
                row.add(one, 1);
                row.add(index, amount);
            }
            None => self.add_one_and_first_or_shared(one, index, amount),
        }
    }

    /// Adds `amount` to the pair of cells at `index`: the sum, and what rounding took from it.
    #[inline]
    pub(crate) fn add_real(&self, index: usize, amount: f64) {
        match self.row() {
            Some(row) => row.add_real(index, amount),
            None => self.add_real_first_or_shared(index, amount),
        }
    }

    /// The row that this thread alone adds to, if there is one already.
    #[inline]
    fn row(&self) -> Option<&Row> {
        let seat = SEAT.get();
        self.blocks[seat / BLOCK % BLOCK].get()?[seat % BLOCK].get()
    }

    #[cold]
    #[inline(never)]
    fn add_first_or_shared(&self, index: usize, amount: u64) {
        match self.first_row() {
            Some(row) => row.add(index, amount),
            None => {
                self.shared().cell(index).fetch_add(amount, Ordering::Relaxed);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn add_one_and_first_or_shared(&self, one: usize, index: usize, amount: u64) {
        self.add_first_or_shared(one, 1);
        self.add_first_or_shared(index, amount);
    }

    #[cold]
    #[inline(never)]
    fn add_real_first_or_shared(&self, index: usize, amount: f64) {
        match self.first_row() {
            Some(row) => row.add_real(index, amount),
            None => {
                let old = exchange_sum(self.shared().cell(index), amount);
                exchange_sum(self.shared().cell(index + 1), two_sum(old, amount).1);
            }
        }
    }

    /// Makes the row of this thread, after finding it a seat.
    fn first_row(&self) -> Option<&Row> {
        if SEAT.get() == NO_SEAT {
            // A thread whose lease is gone, or was for no seat, has none.
            LEASE.try_with(|_| ()).ok()?;
        }
        let seat = SEAT.get();
        if seat == NO_SEAT {
            return None;
        }
        let block = self.blocks[seat / BLOCK].get_or_init(Box::default);
        Some(block[seat % BLOCK].get_or_init(Box::default))
    }

    fn shared(&self) -> &Row {
        self.shared.get_or_init(Box::default)
    }

    /// The sum of one cell over all rows, wrapping.
    ///
    /// Everything that happened before the call is in it; what goes on meanwhile may be.
    pub(crate) fn total(&self, index: usize) -> u64 {
        self.rows().map(|row| row.cell(index).load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }

    /// The sum of a pair of cells that [`Row::add_real`] adds to.
    pub(crate) fn total_real(&self, index: usize) -> f64 {
        let read = |row: &Row, index| f64::from_bits(row.cell(index).load(Ordering::Relaxed));
        let mut total = Compensated::default();
        self.rows().for_each(|row| total.add(read(row, index)));
        // What was lost on the way to an infinity is no number, and means nothing.
        if total.sum.is_finite() {
            self.rows().for_each(|row| total.add(read(row, index + 1)));
        }
        total.value()
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        let own = self.blocks.iter().filter_map(OnceBox::get).flatten().filter_map(OnceBox::get);
        own.chain(self.shared.get())
    }
}

impl Row {
    #[inline]
    fn cell(&self, index: usize) -> &AtomicU64 {
        &self.0[index % Cells::COUNT]
    }

    /// Adds to a cell that no other thread writes.
    #[inline]
    fn add(&self, index: usize, amount: u64) {
        let cell = self.cell(index);
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Adds to a pair of cells that no other thread writes.
    #[inline]
    fn add_real(&self, index: usize, amount: f64) {
        let (sum, rest) = (self.cell(index), self.cell(index + 1));
        let old = f64::from_bits(sum.load(Ordering::Relaxed));
        let (new, lost) = two_sum(old, amount);
        sum.store(new.to_bits(), Ordering::Relaxed);
        let lost = f64::from_bits(rest.load(Ordering::Relaxed)) + lost;
        rest.store(lost.to_bits(), Ordering::Relaxed);
    }
}

/// Adds to a shared cell; returns what it held.
fn exchange_sum(cell: &AtomicU64, amount: f64) -> f64 {
    let mut old = cell.load(Ordering::Relaxed);
    loop {
        let new = (f64::from_bits(old) + amount).to_bits();
        match cell.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return f64::from_bits(old),
            Err(now) => old = now,
        }
    }
}

/// The rounded sum, and exactly what the rounding left out (Knuth's `TwoSum`).
#[inline]
fn two_sum(left: f64, right: f64) -> (f64, f64) {
    let sum = left + right;
    let right_part = sum - left;
    let left_part = sum - right_part;
    (sum, (left - left_part) + (right - right_part))
}

/// A sum that keeps what rounding takes, so that the order of its terms doesn't show.
#[derive(Default)]
struct Compensated {
    sum: f64,
    rest: f64,
}

impl Compensated {
    fn add(&mut self, amount: f64) {
        let (sum, lost) = two_sum(self.sum, amount);
        (self.sum, self.rest) = (sum, self.rest + lost);
    }

    fn value(&self) -> f64 {
        if self.sum.is_finite() { self.sum + self.rest } else { self.sum }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};
    use std::thread;

    use super::*;

    #[test]
    fn a_seat_is_taken_and_given_back() {
        let seat_of = |thread: thread::JoinHandle<usize>| thread.join().unwrap();
        let sit = |cells: &Cells| {
            cells.add(0, 1);
            SEAT.get()
        };
        let cells = Arc::new(Cells::default());
        for _ in 0..3 * SEATS {
            let cells = Arc::clone(&cells);
            assert!(seat_of(thread::spawn(move || sit(&cells))) < SEATS);
        }
        assert_eq!(cells.total(0), 3 * SEATS as u64);
    }

    /// Adds when its thread ends, and tells whether the thread still had the right to its seat.
    struct AddsAtTheEnd(Arc<Cells>, Sender<bool>);

    impl Drop for AddsAtTheEnd {
        fn drop(&mut self) {
            self.0.add(0, 1);
            let leased = LEASED.load(Ordering::Relaxed);
            let seat = SEAT.get();
            let _ = self.1.send(seat == NO_SEAT || leased & (1 << seat) != 0);
        }
    }

    #[test]
    fn a_thread_in_its_last_moments_adds_beside_the_seat_it_gave_back() {
        thread_local! {
            static EARLY: RefCell<Option<AddsAtTheEnd>> = const { RefCell::new(None) };
            static LATE: RefCell<Option<AddsAtTheEnd>> = const { RefCell::new(None) };
        }
        let cells = Arc::new(Cells::default());
        let (sender, had_the_right) = channel();
        let last = || Some(AddsAtTheEnd(Arc::clone(&cells), sender.clone()));
        let (early, late, inside) = (last(), last(), Arc::clone(&cells));
        let thread = thread::spawn(move || {
            EARLY.set(early);
            inside.add(0, 1);
            LATE.set(late);
        });
        thread.join().unwrap();
        drop(sender);
        assert_eq!(had_the_right.iter().collect::<Vec<_>>(), [true, true]);
        assert_eq!(cells.total(0), 3);
    }

    #[test]
    fn infinities_stay_what_they_are() {
        let sum_of = |values: &[f64]| {
            let cells = Cells::default();
            values.iter().for_each(|value| cells.add_real(0, *value));
            cells.total_real(0)
        };
        assert_eq!(sum_of(&[1.0, f64::INFINITY, 2.0]), f64::INFINITY);
        assert!(sum_of(&[f64::INFINITY, f64::NEG_INFINITY, 1.0]).is_nan());
        assert!(sum_of(&[f64::NAN, 1.0]).is_nan());
        assert_eq!(sum_of(&[1e100, 1.0, -1e100]), 1.0);
    }
}
