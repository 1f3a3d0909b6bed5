//! `Turns`: lets the threads of this process change a folder one after another.
//!
//! The lock of a folder excludes other processes, and a thread can only poll for it. If many threads poll at the same
//! time, some of them reach their timeout, because the others get the lock first.

use std::sync::Arc;
use std::time::Duration;

use crate::sync::{Condvar, Mutex};

/// The turns of one folder.
#[derive(Debug, Default)]
pub(super) struct Turns {
    is_taken: Mutex<bool>,
    ended: Condvar,
}

/// The turn of one thread. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct FolderTurn(Arc<Turns>);

impl Turns {
    /// Waits until no other thread has the turn, at most for `timeout`. Returns `None` after the timeout.
    pub(super) fn take(self: &Arc<Self>, timeout: Duration) -> Option<FolderTurn> {
        let is_taken = self.is_taken.lock();
        let mut is_taken = self.ended.wait_timeout_while(is_taken, timeout, |is_taken| *is_taken);
        let is_free = !std::mem::replace(&mut *is_taken, true);
        is_free.then(|| FolderTurn(Arc::clone(self)))
    }
}

impl Drop for FolderTurn {
    fn drop(&mut self) {
        *self.0.is_taken.lock() = false;
        self.0.ended.notify_one();
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
}
