//! A mutex and a condition variable that ignore poisoning.
//!
//! A job must not fail because one of its other threads panicked. The values behind these locks are valid after every
//! statement, so they are usable after a panic.

use std::sync::{self, MutexGuard, PoisonError};

/// [`std::sync::Mutex`] whose `lock` cannot fail.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// [`std::sync::Condvar`] for a [`Mutex`] of this module.
#[derive(Debug, Default)]
pub(crate) struct Condvar(sync::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(sync::Condvar::new())
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    /// Waits while `condition` returns true, at most for `timeout`. After a timeout it may still return true.
    pub(crate) fn wait_timeout_while<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: std::time::Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        let waited = self.0.wait_timeout_while(guard, timeout, condition);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutex_is_usable_after_a_panic_while_locked() {
        let mutex = Mutex::new(1);
        let poisoning = std::panic::AssertUnwindSafe(|| {
            let _guard = mutex.lock();
            panic!("poisons the inner mutex");
        });
        assert!(std::panic::catch_unwind(poisoning).is_err());
        *mutex.lock() += 1;
        assert_eq!(*mutex.lock(), 2);
    }
}
