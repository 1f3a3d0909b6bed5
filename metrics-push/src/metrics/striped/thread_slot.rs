//! The slot of a thread: the number that selects its stripe, and the lease of this number.

use std::cell::Cell;

use super::sync::{AtomicU64, Ordering, shared, thread_local};

/// Number of slots. Further threads have no slot and add more slowly.
pub(super) const SLOTS: usize = 56;

/// The slot number of threads without a slot.
pub(super) const NO_SLOT: usize = SLOTS;

shared! {
    /// One bit per slot, set while the slot is leased. Returning a slot has release ordering and leasing it has acquire
    /// ordering, so the next thread sees all additions of the previous one.
    static LEASED: AtomicU64 = AtomicU64::new(0);
}

thread_local! {
    // Has no destructor, so one load reads it, even while the destructors of the thread run.
    static SLOT: Cell<usize> = const { Cell::new(NO_SLOT) };
}

thread_local! {
    static LEASE: Lease = Lease::acquire();
}

/// Returns the number of this thread's slot, or [`NO_SLOT`].
#[inline]
pub(super) fn slot_number() -> usize {
    SLOT.with(Cell::get)
}

/// Returns the number of this thread's slot, after leasing one if the thread has not tried yet.
pub(super) fn lease_slot() -> usize {
    if slot_number() == NO_SLOT {
        // The first access runs `Lease::acquire`. `LEASE` is not accessible after its destructor has run.
        let _ = LEASE.try_with(|_| ());
    }
    slot_number()
}

/// The right to a slot until the thread ends.
struct Lease {
    bit: u64,
}

impl Lease {
    /// Leases the lowest free slot, if there is one.
    fn acquire() -> Self {
        let mut leased = LEASED.load(Ordering::Relaxed);
        loop {
            let free = leased.trailing_ones() as usize;
            if free >= SLOTS {
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
                    SLOT.with(|slot| slot.set(free));
                    return Self { bit };
                }
                Err(now) => leased = now,
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.bit != 0 {
            // Destructors of other thread-locals may still add. They must not write to the stripe of a returned slot.
            let _ = SLOT.try_with(|slot| slot.set(NO_SLOT));
            LEASED.fetch_and(!self.bit, Ordering::Release);
        }
    }
}
