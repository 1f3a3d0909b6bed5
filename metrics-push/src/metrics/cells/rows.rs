//! Rows of cells, one per seat, and one for the threads without a seat.

use super::seats::{NO_SEAT, SEATS, Seat, seat_or_take};
use super::sum::{Compensated, two_sum};
use super::sync::{AtomicU64, OnceBox, Ordering};

/// Seats in one block, which tells where their rows are; and blocks. Those after the first are made when one of their
/// threads adds.
pub(super) const BLOCK: usize = 8;
const BLOCKS: usize = SEATS / BLOCK;

const _: () = assert!(SEATS.is_multiple_of(BLOCK) && NO_SEAT == SEATS);

/// The cells of one seat, on a cache line of their own.
#[derive(Default)]
#[repr(align(64))]
struct Row([AtomicU64; Cells::COUNT]);

/// Where the rows of neighbouring seats are.
type Block = [OnceBox<Row>; BLOCK];

/// Eight numbers, once per seat and once more for the threads without one.
#[derive(Default)]
pub(crate) struct Cells {
    // At hand, and all that the hot path looks at: most processes have few threads.
    first: Block,
    further: [OnceBox<Block>; BLOCKS - 1],
    shared: OnceBox<Row>,
}

impl Cells {
    /// As many as fit into a cache line.
    pub(crate) const COUNT: usize = 8;

    /// Adds to a cell, wrapping.
    #[inline]
    pub(crate) fn add(&self, index: usize, amount: u64) {
        match self.row(Seat::here()) {
            Some(row) => row.add(index, amount),
            None => self.add_elsewhere(index, amount),
        }
    }

    /// Adds one to a cell, and `amount` to another: finds the row but once.
    #[inline]
    pub(crate) fn add_one_and(&self, seat: Seat, one: usize, index: usize, amount: u64) {
        match self.row(seat) {
            Some(row) => {
                row.add(one, 1);
                row.add(index, amount);
            }
            None => self.add_one_and_elsewhere(one, index, amount),
        }
    }

    /// Adds `amount` to the pair of cells at `index`: the sum, and what rounding took from it.
    #[inline]
    pub(crate) fn add_real(&self, index: usize, amount: f64) {
        match self.row(Seat::here()) {
            Some(row) => row.add_real(index, amount),
            None => self.add_real_elsewhere(index, amount),
        }
    }

    /// The row that this thread alone adds to, if it is at hand.
    #[inline]
    fn row(&self, seat: Seat) -> Option<&Row> {
        self.first.get(seat.number())?.get()
    }

    #[inline(never)]
    fn add_elsewhere(&self, index: usize, amount: u64) {
        match self.row_or_make() {
            Some(row) => row.add(index, amount),
            None => {
                self.shared().cell(index).fetch_add(amount, Ordering::Relaxed);
            }
        }
    }

    #[inline(never)]
    fn add_one_and_elsewhere(&self, one: usize, index: usize, amount: u64) {
        self.add_elsewhere(one, 1);
        self.add_elsewhere(index, amount);
    }

    #[inline(never)]
    fn add_real_elsewhere(&self, index: usize, amount: f64) {
        match self.row_or_make() {
            Some(row) => row.add_real(index, amount),
            None => {
                let old = exchange_sum(self.shared().cell(index), amount);
                exchange_sum(self.shared().cell(index + 1), two_sum(old, amount).1);
            }
        }
    }

    /// The row of this thread, made if it is the first time, after finding it a seat.
    fn row_or_make(&self) -> Option<&Row> {
        let seat = seat_or_take();
        if seat == NO_SEAT {
            return None;
        }
        let block = match seat / BLOCK {
            0 => &self.first,
            block => self.further[block - 1].get_or_init(Box::default),
        };
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
        let blocks = [&self.first].into_iter().chain(self.further.iter().filter_map(OnceBox::get));
        blocks.flatten().chain([&self.shared]).filter_map(OnceBox::get)
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
