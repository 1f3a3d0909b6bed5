//! Ticket: one answer that may come later, waited for with a deadline from a thread or awaited in any runtime.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The half that is waited for. Awaited, it gives `None` if nobody will ever answer.
#[must_use = "the answer is lost with its ticket"]
pub(crate) struct Ticket<T> {
    slot: Arc<Slot<T>>,
}

/// The half that answers. Dropped without an answer, it says that there will be none.
pub(crate) struct Stub<T> {
    slot: Arc<Slot<T>>,
}

struct Slot<T> {
    state: Mutex<State<T>>,
    answered: Condvar,
}

struct State<T> {
    answer: Option<T>,
    is_closed: bool,
    waker: Option<Waker>,
}

pub(crate) fn ticket<T>() -> (Stub<T>, Ticket<T>) {
    let state = State { answer: None, is_closed: false, waker: None };
    let slot = Arc::new(Slot { state: Mutex::new(state), answered: Condvar::new() });
    (Stub { slot: Arc::clone(&slot) }, Ticket { slot })
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Stub<T> {
    pub(crate) fn answer(self, answer: T) {
        self.slot.lock().answer = Some(answer);
        // Dropping `self` tells the other half.
    }
}

impl<T> fmt::Debug for Stub<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stub").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Ticket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("is_over", &self.is_over()).finish_non_exhaustive()
    }
}

impl<T> Drop for Stub<T> {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.slot.lock();
            state.is_closed = true;
            state.waker.take()
        };
        self.slot.answered.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Ticket<T> {
    /// Whether there is an answer, or there never will be one.
    pub(crate) fn is_over(&self) -> bool {
        self.slot.lock().is_closed
    }

    /// Blocks the thread until [`is_over`](Self::is_over), at most for `time`. Returns whether it is.
    pub(crate) fn wait_over(&self, time: Duration) -> bool {
        let state = self.slot.lock();
        let waited = self.slot.answered.wait_timeout_while(state, time, |state| !state.is_closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_closed
    }

    /// Blocks the thread, at most for `time`. Safe inside a runtime and while unwinding.
    pub(crate) fn wait(self, time: Duration) -> Option<T> {
        let state = self.slot.lock();
        let (mut state, _) = self
            .slot
            .answered
            .wait_timeout_while(state, time, |state| !state.is_closed)
            .unwrap_or_else(PoisonError::into_inner);
        state.answer.take()
    }
}

impl<T> Future for Ticket<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.slot.lock();
        if state.is_closed {
            return Poll::Ready(state.answer.take());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reaches_a_waiting_thread() {
        let (stub, ticket) = ticket();
        let thread = std::thread::spawn(move || ticket.wait(Duration::from_secs(60)));
        stub.answer(7);
        assert_eq!(thread.join().unwrap(), Some(7));
    }

    #[test]
    fn whether_there_is_an_answer_can_be_asked_without_taking_it() {
        let (stub, ticket) = ticket();
        assert!(!ticket.is_over() && !ticket.wait_over(Duration::ZERO));
        stub.answer(7);
        assert!(ticket.is_over() && ticket.wait_over(Duration::MAX));
        assert_eq!(ticket.wait(Duration::ZERO), Some(7));
    }

    #[test]
    fn waiting_ends_at_the_deadline() {
        let (stub, ticket) = ticket::<u8>();
        assert_eq!(ticket.wait(Duration::ZERO), None);
        drop(stub);
    }

    #[test]
    fn nobody_waits_for_an_answer_that_will_not_come() {
        let (stub, ticket) = ticket::<u8>();
        drop(stub);
        assert_eq!(ticket.wait(Duration::MAX), None);
    }

    #[test]
    fn an_answer_wakes_an_awaiting_task() {
        let (stub, mut ticket) = ticket();
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut ticket).poll(&mut context).is_pending());
        stub.answer(7);
        assert_eq!(Pin::new(&mut ticket).poll(&mut context), Poll::Ready(Some(7)));
    }
}
