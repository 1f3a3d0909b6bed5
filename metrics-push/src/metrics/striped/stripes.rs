//! `Stripes`: eight numbers, stored once per thread slot, and once for all threads without a slot.

use super::compensated_sum::{CompensatedSum, two_sum};
use super::sync::{AtomicU64, OnceBox, Ordering};
use super::thread_slot::{NO_SLOT, SLOTS, lease_slot, slot_number};

/// Number of slots whose stripes share one block. All blocks except the first are allocated when one of their threads adds
/// for the first time.
pub(super) const BLOCK_SIZE: usize = 8;
const BLOCKS: usize = SLOTS / BLOCK_SIZE;

const _: () = assert!(SLOTS.is_multiple_of(BLOCK_SIZE) && NO_SLOT == SLOTS);

/// The numbers of one slot, on a separate cache line.
#[derive(Default)]
#[repr(align(64))]
struct Stripe([AtomicU64; Stripes::WIDTH]);

/// Pointers to the stripes of neighbouring slots.
type Block = [OnceBox<Stripe>; BLOCK_SIZE];

/// Eight numbers that many threads add to.
#[derive(Default)]
pub(crate) struct Stripes {
    // Stored inline because the hot path reads only this block: most processes have few threads.
    first: Block,
    others: [OnceBox<Block>; BLOCKS - 1],
    shared: OnceBox<Stripe>,
}

impl Stripes {
    /// How many numbers there are: as many as fit on a cache line.
    pub(crate) const WIDTH: usize = 8;

    /// Adds `amount` to the number at `index`, wrapping around.
    #[inline]
    pub(crate) fn add(&self, index: usize, amount: u64) {
        match self.stripe() {
            Some(stripe) => stripe.add(index, amount),
            None => self.add_slow(index, amount),
        }
    }

    /// Adds one to the number at `index`. Returns false, and adds nothing, if [`add`](Self::add) would take the slow path.
    #[inline]
    pub(crate) fn inc_allocated(&self, index: usize) -> bool {
        self.stripe().map(|stripe| stripe.add(index, 1)).is_some()
    }

    /// Adds one to the number at `one` and `amount` to the number at `index`, with one look-up of the stripe.
    #[inline]
    pub(crate) fn add_one_and_amount(&self, one: usize, index: usize, amount: u64) {
        match self.stripe() {
            Some(stripe) => {
                stripe.add(one, 1);
                stripe.add(index, amount);
            }
            None => self.add_one_and_amount_slow(one, index, amount),
        }
    }

    /// Adds `amount` to the float at `index`. Its rounding errors are added up at `index + 1`.
    #[inline]
    pub(crate) fn add_float(&self, index: usize, amount: f64) {
        match self.stripe() {
            Some(stripe) => stripe.add_float(index, amount),
            None => self.add_float_slow(index, amount),
        }
    }

    /// Returns the stripe that only this thread writes to, if it is in the first block and allocated.
    #[inline]
    fn stripe(&self) -> Option<&Stripe> {
        self.first.get(slot_number())?.get()
    }

    #[cold]
    #[inline(never)]
    fn add_slow(&self, index: usize, amount: u64) {
        match self.stripe_or_allocate() {
            Some(stripe) => stripe.add(index, amount),
            None => {
                self.shared().number(index).fetch_add(amount, Ordering::Relaxed);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn add_one_and_amount_slow(&self, one: usize, index: usize, amount: u64) {
        self.add_slow(one, 1);
        self.add_slow(index, amount);
    }

    #[inline(never)]
    fn add_float_slow(&self, index: usize, amount: f64) {
        match self.stripe_or_allocate() {
            Some(stripe) => stripe.add_float(index, amount),
            None => {
                let old = fetch_add_float(self.shared().number(index), amount);
                fetch_add_float(self.shared().number(index + 1), two_sum(old, amount).1);
            }
        }
    }

    /// Returns the stripe of this thread, or `None` if no slot is free. Leases a slot and allocates the stripe if
    /// necessary.
    fn stripe_or_allocate(&self) -> Option<&Stripe> {
        let slot = lease_slot();
        if slot == NO_SLOT {
            return None;
        }
        let block = match slot / BLOCK_SIZE {
            0 => &self.first,
            block => self.others[block - 1].get_or_init(Box::default),
        };
        Some(block[slot % BLOCK_SIZE].get_or_init(Box::default))
    }

    fn shared(&self) -> &Stripe {
        self.shared.get_or_init(Box::default)
    }

    /// Returns the sum of the numbers at `index` over all stripes, wrapping around.
    ///
    /// The sum contains every addition that happened before the call, and may contain concurrent additions.
    pub(crate) fn total(&self, index: usize) -> u64 {
        let numbers = self.iter().map(|stripe| stripe.number(index).load(Ordering::Relaxed));
        numbers.fold(0, u64::wrapping_add)
    }

    /// Returns the sum of the floats at `index` and of their rounding errors over all stripes.
    pub(crate) fn total_float(&self, index: usize) -> f64 {
        let read =
            |stripe: &Stripe, index| f64::from_bits(stripe.number(index).load(Ordering::Relaxed));
        let mut total = CompensatedSum::default();
        self.iter().for_each(|stripe| total.add(read(stripe, index)));
        // The rounding error of an infinite sum is NaN.
        if total.sum.is_finite() {
            self.iter().for_each(|stripe| total.add(read(stripe, index + 1)));
        }
        total.value()
    }

    fn iter(&self) -> impl Iterator<Item = &Stripe> {
        let blocks = [&self.first].into_iter().chain(self.others.iter().filter_map(OnceBox::get));
        blocks.flatten().chain([&self.shared]).filter_map(OnceBox::get)
    }
}

impl Stripe {
    #[inline]
    fn number(&self, index: usize) -> &AtomicU64 {
        &self.0[index % Stripes::WIDTH]
    }

    /// Adds to a number that no other thread writes to.
    #[inline]
    fn add(&self, index: usize, amount: u64) {
        let number = self.number(index);
        number.store(number.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Adds to a float and its rounding error, which no other thread writes to.
    #[inline]
    fn add_float(&self, index: usize, amount: f64) {
        let (sum, error) = (self.number(index), self.number(index + 1));
        let old = f64::from_bits(sum.load(Ordering::Relaxed));
        let (new, lost) = two_sum(old, amount);
        sum.store(new.to_bits(), Ordering::Relaxed);
        let lost = f64::from_bits(error.load(Ordering::Relaxed)) + lost;
        error.store(lost.to_bits(), Ordering::Relaxed);
    }
}

/// Adds to a float that several threads write to. Returns the old value.
fn fetch_add_float(number: &AtomicU64, amount: f64) -> f64 {
    let mut old = number.load(Ordering::Relaxed);
    loop {
        let new = (f64::from_bits(old) + amount).to_bits();
        match number.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return f64::from_bits(old),
            Err(now) => old = now,
        }
    }
}
