//! `Turns`: lets the threads of this process change a folder one after another, in the order of their arrival.
//!
//! The lock of a folder excludes other processes, and a thread can only poll for it. If many threads poll at the same
//! time, some of them reach their timeout, because the others get the lock first.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::Duration;

use crate::clock::Moment;
use crate::sync::Mutex;

/// The turns of one folder.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<TurnQueue>);

#[derive(Debug, Default)]
struct TurnQueue {
    /// The thread that has the turn and then the threads that wait for it, each with its ticket.
    threads: VecDeque<(u64, Thread)>,
    next_ticket: u64,
    /// The end of the last turn in which the folder was locked.
    unlocked_at: Option<Moment>,
}

/// The turn of one thread. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct FolderTurn {
    turns: Arc<Turns>,
    /// When the thread stops waiting for the lock.
    deadline: Moment,
    is_locked: bool,
}

impl TurnQueue {
    /// Adds this thread. Returns its ticket.
    fn join(&mut self) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.threads.push_back((ticket, thread::current()));
        ticket
    }

    fn is_first(&self, ticket: u64) -> bool {
        self.threads.front().is_some_and(|(first, _)| *first == ticket)
    }

    fn leave(&mut self, ticket: u64) {
        self.threads.retain(|(other, _)| *other != ticket);
    }

    /// Returns when a thread that arrived at `arrived_at` stops waiting. The time in which other threads of this process had the
    /// lock does not count.
    fn deadline(&self, arrived_at: Moment, timeout: Duration) -> Moment {
        self.unlocked_at.map_or(arrived_at, |at| at.later_of(arrived_at)).after(timeout)
    }
}

impl Turns {
    /// Waits until the threads that arrived earlier have had their turns. Returns `None` if none of them has locked the folder for
    /// `timeout`: another process holds the lock, or the disk is slow. The number of waiting threads does not matter.
    pub(super) fn take(self: &Arc<Self>, timeout: Duration) -> Option<FolderTurn> {
        let arrived_at = Moment::now();
        let ticket = self.0.lock().join();
        loop {
            let mut queue = self.0.lock();
            let deadline = queue.deadline(arrived_at, timeout);
            if queue.is_first(ticket) {
                return Some(FolderTurn { turns: Arc::clone(self), deadline, is_locked: false });
            }
            let remaining = deadline.remaining();
            if remaining.is_zero() {
                queue.leave(ticket);
                return None;
            }
            drop(queue);
            thread::park_timeout(remaining);
        }
    }
}

impl FolderTurn {
    /// Returns how long the thread waits for the lock.
    pub(super) fn remaining(&self) -> Duration {
        self.deadline.remaining()
    }

    /// Records that the thread has locked the folder.
    pub(super) fn set_locked(&mut self) {
        self.is_locked = true;
    }
}

impl Drop for FolderTurn {
    fn drop(&mut self) {
        let mut queue = self.turns.0.lock();
        queue.threads.pop_front();
        if self.is_locked {
            queue.unlocked_at = Some(Moment::now());
        }
        if let Some((_, next)) = queue.threads.front() {
            next.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_is_taken_by_one_thread_at_a_time() {
        let turns = Arc::<Turns>::default();
        let turn = turns.take(Duration::ZERO).unwrap();
        assert!(turns.take(Duration::ZERO).is_none());
        drop(turn);
        assert!(turns.take(Duration::ZERO).is_some());
    }

    #[test]
    fn waiting_thread_takes_the_turn_that_ends() {
        let turns = Arc::<Turns>::default();
        let turn = turns.take(Duration::ZERO).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| turns.take(Duration::from_secs(60)).is_some());
            drop(turn);
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn turns_of_other_threads_do_not_use_up_the_timeout() {
        const TIMEOUT: Duration = Duration::from_secs(3);

        let turns = Arc::<Turns>::default();
        let mut turn = turns.take(TIMEOUT).unwrap();
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let mut turn = turns.take(TIMEOUT)?;
                        turn.set_locked();
                        thread::sleep(TIMEOUT / 6);
                        Some(())
                    })
                })
                .collect();
            turn.set_locked();
            drop(turn);
            assert!(waiting.into_iter().all(|it| it.join().unwrap().is_some()));
        });
    }

    /// Waits until this number of threads have the turn or wait for it.
    fn wait_for_threads(turns: &Turns, count: usize) {
        while turns.0.lock().threads.len() < count {
            thread::yield_now();
        }
    }

    #[test]
    fn turns_have_the_order_of_arrival() {
        let (turns, order) = (Arc::<Turns>::default(), Mutex::new(Vec::new()));
        let turn = turns.take(Duration::ZERO).unwrap();
        thread::scope(|scope| {
            for number in 0..20 {
                let (turns, order) = (&turns, &order);
                scope.spawn(move || {
                    let _turn = turns.take(Duration::from_secs(60)).unwrap();
                    order.lock().push(number);
                });
                wait_for_threads(turns, number + 2);
            }
            drop(turn);
        });
        assert_eq!(*order.lock(), Vec::from_iter(0..20));
    }

    #[test]
    fn turn_of_another_thread_leaves_the_whole_timeout_for_the_lock() {
        const TIMEOUT: Duration = Duration::from_secs(60);

        let turns = Arc::<Turns>::default();
        let mut turn = turns.take(TIMEOUT).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| turns.take(TIMEOUT).unwrap().deadline);
            wait_for_threads(&turns, 2);
            turn.set_locked();
            let ended_at = Moment::now();
            drop(turn);
            assert!(waiting.join().unwrap().is_at_or_after(ended_at.after(TIMEOUT)));
        });
    }

    #[test]
    fn thread_that_stops_waiting_does_not_stop_the_next_one() {
        let turns = Arc::<Turns>::default();
        let turn = turns.take(Duration::ZERO).unwrap();
        let stopped = turns.0.lock().join();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| turns.take(Duration::from_secs(60)).is_some());
            wait_for_threads(&turns, 3);
            turns.0.lock().leave(stopped);
            drop(turn);
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn turns_without_the_lock_use_up_the_timeout() {
        let turns = Arc::<Turns>::default();
        let turn = turns.take(Duration::ZERO).unwrap();
        assert_eq!(turn.remaining(), Duration::ZERO);
        assert!(turns.take(Duration::from_millis(1)).is_none());
    }
}
