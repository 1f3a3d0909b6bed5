//! `Stripes`: numbers that many threads add to without contention. Each thread adds to its own stripe, and a read sums
//! all stripes.
//!
//! A stripe belongs to one thread at a time, so a load and a store are enough for an exact addition. A thread leases a
//! slot, which selects its stripe in every [`Stripes`], and returns the slot when the thread ends. The next thread with
//! that slot adds to the existing values. Threads without a slot share one stripe and add atomically.
//!
//! `loom.rs` compiles these files a second time and runs them under every schedule of a few threads.

mod compensated_sum;
mod stripes;
mod sync;
mod thread_slot;

#[cfg(test)]
mod loom;
#[cfg(test)]
mod tests;

pub(crate) use stripes::Stripes;
pub(super) use sync::OnceBox;
