//! A channel for one value. A thread can wait for the value with a timeout, and a task can await it in any runtime.
//!
//! `tokio::sync::oneshot` has no blocking receive with a timeout, and its blocking receive panics inside a runtime. A
//! job waits for its delivery inside and outside of runtimes, and while unwinding.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::sync::{Condvar, Mutex};

/// The receiving half. Awaited, it yields `None` if the sender was dropped without sending.
#[must_use = "the value is lost if the receiver is dropped"]
pub(crate) struct Receiver<T> {
    channel: Arc<Channel<T>>,
}

/// The sending half. Dropping it closes the channel.
pub(crate) struct Sender<T> {
    channel: Arc<Channel<T>>,
}

struct Channel<T> {
    value: Mutex<Option<T>>,
    closing: Closing,
}

/// Whether a channel is closed, and the waker of its receiver. Independent of the value's type, so that it is compiled
/// once.
#[derive(Default)]
struct Closing {
    state: Mutex<ClosingState>,
    closed: Condvar,
}

#[derive(Default)]
struct ClosingState {
    is_closed: bool,
    /// True if a thread has waited. Otherwise `close` notifies none, because that is a system call.
    has_thread: bool,
    waker: Option<Waker>,
}

impl Closing {
    fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    fn close(&self) {
        let (has_thread, waker) = {
            let mut state = self.state.lock();
            state.is_closed = true;
            (state.has_thread, state.waker.take())
        };
        if has_thread {
            self.closed.notify_all();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn wait(&self, timeout: Duration) -> bool {
        let mut state = self.state.lock();
        state.has_thread = true;
        self.closed.wait_timeout_while(state, timeout, |state| !state.is_closed).is_closed
    }

    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel { value: Mutex::new(None), closing: Closing::default() });
    (Sender { channel: Arc::clone(&channel) }, Receiver { channel })
}

impl<T> Sender<T> {
    pub(crate) fn send(self, value: T) {
        *self.channel.value.lock() = Some(value);
        // Dropping `self` closes the channel and wakes the receiver.
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.channel.closing.close();
    }
}

impl<T> Receiver<T> {
    /// Returns true if the sender has sent its value or was dropped.
    pub(crate) fn is_closed(&self) -> bool {
        self.channel.closing.is_closed()
    }

    /// Blocks the thread until the channel is closed, at most for `timeout`. Returns true if it is closed.
    pub(crate) fn wait_closed(&self, timeout: Duration) -> bool {
        self.channel.closing.wait(timeout)
    }

    /// Blocks the thread until the channel is closed, at most for `timeout`, and returns the value if one was sent. Can
    /// be called inside a runtime and while unwinding.
    pub(crate) fn wait(self, timeout: Duration) -> Option<T> {
        self.wait_closed(timeout);
        self.channel.value.lock().take()
    }
}

impl<T> Future for Receiver<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.channel.closing.poll(context).map(|()| self.channel.value.lock().take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receiver_on_another_thread_gets_the_value() {
        let (sender, receiver) = channel();
        let thread = std::thread::spawn(move || receiver.wait(Duration::from_secs(60)));
        sender.send(7);
        assert_eq!(thread.join().unwrap(), Some(7));
    }

    #[test]
    fn receiver_reports_closed_without_taking_the_value() {
        let (sender, receiver) = channel();
        assert!(!receiver.is_closed() && !receiver.wait_closed(Duration::ZERO));
        sender.send(7);
        assert!(receiver.is_closed() && receiver.wait_closed(Duration::MAX));
        assert_eq!(receiver.wait(Duration::ZERO), Some(7));
    }

    #[test]
    fn wait_ends_at_the_timeout() {
        let (sender, receiver) = channel::<u8>();
        assert_eq!(receiver.wait(Duration::ZERO), None);
        drop(sender);
    }

    #[test]
    fn wait_ends_when_the_sender_is_dropped() {
        let (sender, receiver) = channel::<u8>();
        drop(sender);
        assert_eq!(receiver.wait(Duration::MAX), None);
    }

    #[test]
    fn send_wakes_an_awaiting_task() {
        let (sender, mut receiver) = channel();
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut receiver).poll(&mut context).is_pending());
        sender.send(7);
        assert_eq!(Pin::new(&mut receiver).poll(&mut context), Poll::Ready(Some(7)));
    }
}
