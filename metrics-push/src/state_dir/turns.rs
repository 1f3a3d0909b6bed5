//! `Turns`: lets the threads of this process change a folder one after another.
//!
//! The lock of a folder excludes other processes, and a thread can only poll for it. If many threads poll at the same
//! time, some of them reach their timeout, because the others get the lock first.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::sync::{Condvar, Mutex};

/// The turns of one folder.
#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<TurnState>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct TurnState {
    is_taken: bool,
    /// The number of turns in which the folder was locked.
    locked: u64,
}

/// The turn of one thread. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct FolderTurn {
    turns: Arc<Turns>,
    /// When the thread stops waiting for the lock.
    deadline: Moment,
    is_locked: bool,
}

impl Turns {
    /// Waits until no other thread has the turn. Returns `None` if no other thread locks the folder for `timeout`: another
    /// process holds the lock. The number of waiting threads does not matter.
    pub(super) fn take(self: &Arc<Self>, timeout: Duration) -> Option<FolderTurn> {
        let mut state = self.state.lock();
        loop {
            let (locked, deadline) = (state.locked, Moment::now().after(timeout));
            state = self.ended.wait_timeout_while(state, timeout, |state| state.is_taken);
            if !state.is_taken {
                state.is_taken = true;
                return Some(FolderTurn { turns: Arc::clone(self), deadline, is_locked: false });
            }
            if state.locked == locked {
                return None;
            }
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
        let mut state = self.turns.state.lock();
        state.is_taken = false;
        state.locked += u64::from(self.is_locked);
        self.turns.ended.notify_one();
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
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| turns.take(Duration::from_secs(60)).is_some());
            drop(turn);
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn turns_of_other_threads_do_not_use_up_the_timeout() {
        const TIMEOUT: Duration = Duration::from_secs(1);

        let turns = Arc::<Turns>::default();
        let mut turn = turns.take(TIMEOUT).unwrap();
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut turn = turns.take(TIMEOUT)?;
                        turn.set_locked();
                        std::thread::sleep(TIMEOUT / 2);
                        Some(())
                    })
                })
                .collect();
            turn.set_locked();
            drop(turn);
            assert!(waiting.into_iter().all(|it| it.join().unwrap().is_some()));
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
