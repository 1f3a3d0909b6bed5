//! Numbers that many threads add to without meeting: a row of cells per thread, summed when they are read.
//!
//! A row belongs to one thread at a time, so a plain load and store is an exact addition there. Threads lease
//! a seat, which names their row in every [`Cells`], and give it back when they end; whoever takes the seat
//! next goes on from what it finds. Threads that get no seat share one row and add atomically.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seats for as many threads as have a bit in [`LEASED`]; more than that is rare and merely slower.
const SEATS: u32 = u64::BITS;

/// Rows come in blocks of 1, 1, 2, 4, 8, 16 and 32 seats, made when a thread sitting there first adds.
const SEAT_BLOCKS: usize = SEATS.ilog2() as usize + 1;

/// The block behind those of the seats: one row for all threads without a seat.
const SHARED_BLOCK: usize = SEAT_BLOCKS;

/// One bit per seat that is taken. Giving back releases what was added, taking acquires it.
static LEASED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    // Without a destructor, so that it can be read in the thread's last moments and costs one load.
    static SEAT: Cell<Seat> = const { Cell::new(Seat::UNKNOWN) };
    static LEASE: Lease = Lease::take();
}

/// Where the rows of a thread are.
#[derive(Clone, Copy)]
struct Seat {
    block: usize,
    row: usize,
}

impl Seat {
    /// No block has this number: the first addition of a thread ends in [`Cells::first_row`].
    const UNKNOWN: Self = Self { block: usize::MAX, row: 0 };
    const SHARED: Self = Self { block: SHARED_BLOCK, row: 0 };

    fn numbered(number: u32) -> Self {
        match number.checked_ilog2() {
            None => Self { block: 0, row: 0 },
            Some(power) => {
                Self { block: power as usize + 1, row: (number - (1 << power)) as usize }
            }
        }
    }
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
            let free = leased.trailing_ones();
            if free == SEATS {
                SEAT.set(Seat::SHARED);
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
                    SEAT.set(Seat::numbered(free));
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
        SEAT.set(Seat::SHARED);
        LEASED.fetch_and(!self.bit, Ordering::Release);
    }
}

/// Eight cells that share a cache line with nobody else's.
#[derive(Default)]
#[repr(align(64))]
pub(crate) struct Line([AtomicU64; Line::CELLS]);

impl Line {
    const CELLS: usize = 8;
}

/// A fixed number of cells, once per seat.
pub(crate) struct Cells {
    lines: usize,
    blocks: [OnceLock<Box<[Line]>>; SEAT_BLOCKS + 1],
}

impl Cells {
    /// As many cells as `width`, all zero.
    pub(crate) fn new(width: usize) -> Self {
        Self { lines: width.div_ceil(Line::CELLS), blocks: Default::default() }
    }

    /// The row this thread adds to.
    #[inline]
    pub(crate) fn row(&self) -> Row<'_> {
        let seat = SEAT.get();
        match self.blocks.get(seat.block).and_then(OnceLock::get) {
            Some(block) => self.row_of(seat, block),
            None => self.first_row(),
        }
    }

    #[inline]
    fn row_of<'a>(&self, seat: Seat, block: &'a [Line]) -> Row<'a> {
        let start = seat.row * self.lines;
        let lines = &block[start..start + self.lines];
        if seat.block == SHARED_BLOCK { Row::Shared(lines) } else { Row::Own(lines) }
    }

    #[cold]
    fn first_row(&self) -> Row<'_> {
        if SEAT.get().block > SHARED_BLOCK {
            // A thread whose lease is gone stays where the lease put it.
            let _ = LEASE.try_with(|_| ());
        }
        let seat = SEAT.get();
        let block = self.blocks[seat.block].get_or_init(|| {
            let rows =
                if matches!(seat.block, 0 | SHARED_BLOCK) { 1 } else { 1 << (seat.block - 1) };
            std::iter::repeat_with(Line::default).take(rows * self.lines).collect()
        });
        self.row_of(seat, block)
    }

    /// The sum of one cell over all rows, wrapping.
    ///
    /// Everything that happened before the call is in it; what goes on meanwhile may be.
    pub(crate) fn total(&self, index: usize) -> u64 {
        self.rows().map(|row| cell(row, index).load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }

    /// The sum of a pair of cells that [`Row::add_real`] adds to.
    pub(crate) fn total_real(&self, index: usize) -> f64 {
        let read = |row, index| f64::from_bits(cell(row, index).load(Ordering::Relaxed));
        let mut total = Compensated::default();
        self.rows().for_each(|row| total.add(read(row, index)));
        // What was lost on the way to an infinity is no number, and means nothing.
        if total.sum.is_finite() {
            self.rows().for_each(|row| total.add(read(row, index + 1)));
        }
        total.value()
    }

    fn rows(&self) -> impl Iterator<Item = &[Line]> {
        self.blocks.iter().filter_map(OnceLock::get).flat_map(|block| block.chunks(self.lines))
    }
}

#[inline]
fn cell(row: &[Line], index: usize) -> &AtomicU64 {
    &row[index / Line::CELLS].0[index % Line::CELLS]
}

/// The cells of one seat.
pub(crate) enum Row<'a> {
    /// No other thread writes here while this one sits here.
    Own(&'a [Line]),
    /// For all threads without a seat.
    Shared(&'a [Line]),
}

impl Row<'_> {
    /// Adds `amount` to a cell, wrapping.
    #[inline]
    pub(crate) fn add(&self, index: usize, amount: u64) {
        match self {
            Self::Own(row) => {
                let cell = cell(row, index);
                cell.store(cell.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
            }
            Self::Shared(row) => {
                cell(row, index).fetch_add(amount, Ordering::Relaxed);
            }
        }
    }

    /// Adds `amount` to the pair of cells at `index`: the sum, and what rounding took from it.
    #[inline]
    pub(crate) fn add_real(&self, index: usize, amount: f64) {
        match self {
            Self::Own(row) => {
                let (sum, rest) = (cell(row, index), cell(row, index + 1));
                let old = f64::from_bits(sum.load(Ordering::Relaxed));
                let (new, lost) = two_sum(old, amount);
                sum.store(new.to_bits(), Ordering::Relaxed);
                let lost = f64::from_bits(rest.load(Ordering::Relaxed)) + lost;
                rest.store(lost.to_bits(), Ordering::Relaxed);
            }
            Self::Shared(row) => {
                let old = exchange_sum(cell(row, index), amount);
                exchange_sum(cell(row, index + 1), two_sum(old, amount).1);
            }
        }
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
