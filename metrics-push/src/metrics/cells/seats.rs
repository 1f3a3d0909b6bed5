//! Seats: which row of cells belongs to a thread.

use std::cell::Cell;
use std::marker::PhantomData;

use super::sync::{AtomicU64, Ordering, shared, thread_local};

/// Seats for as many threads; more than that is rare and merely slower.
pub(super) const SEATS: usize = 56;

/// The seat of threads that have none.
pub(super) const NO_SEAT: usize = SEATS;

shared! {
    /// One bit per seat that is taken. Giving back releases what was added, taking acquires it.
    static LEASED: AtomicU64 = AtomicU64::new(0);
}

thread_local! {
    // Without a destructor, so that it can be read in the thread's last moments and costs one load.
    static SEAT: Cell<usize> = const { Cell::new(NO_SEAT) };
}

thread_local! {
    static LEASE: Lease = Lease::take();
}

/// The seat that this thread has now.
#[inline]
pub(super) fn seat() -> usize {
    SEAT.with(Cell::get)
}

/// The seat of this thread, for those who look it up ahead of adding. It stays with the thread.
#[derive(Clone, Copy)]
pub(crate) struct Seat {
    number: usize,
    _of_this_thread: PhantomData<*const ()>,
}

impl Seat {
    #[inline]
    pub(crate) fn here() -> Self {
        Self { number: seat(), _of_this_thread: PhantomData }
    }

    #[inline]
    pub(super) const fn number(self) -> usize {
        self.number
    }
}

/// The seat that this thread has, or gets. One whose lease is gone, or was for no seat, has none.
pub(super) fn seat_or_take() -> usize {
    if seat() == NO_SEAT {
        // Taken by being there.
        let _ = LEASE.try_with(|_| ());
    }
    seat()
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
            if free >= SEATS {
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
                    SEAT.with(|seat| seat.set(free));
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
            // Destructors of other thread-locals may still add: they must not touch a row given back.
            let _ = SEAT.try_with(|seat| seat.set(NO_SEAT));
            LEASED.fetch_and(!self.bit, Ordering::Release);
        }
    }
}
