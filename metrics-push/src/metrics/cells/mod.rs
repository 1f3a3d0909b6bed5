//! Numbers that many threads add to without meeting: a row of cells per thread, summed when they are read.
//!
//! A row belongs to one thread at a time, so a plain load and store is an exact addition there. Threads lease
//! a seat, which names their row in every [`Cells`], and give it back when they end; whoever takes the seat
//! next goes on from what it finds. Threads that get no seat share one row and add atomically.

mod rows;
mod seats;
mod sum;
mod sync;

#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;

pub(crate) use rows::Cells;
pub(crate) use seats::Seat;
