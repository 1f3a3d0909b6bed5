//! The state that the dispatcher's handles share with its thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::{MutexGuard, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::interruption::Interruption;
use super::queue::{Pending, Queue, QueueKey, UnfinishedSink};
use crate::delivery::{Backlog, Delivery, DeliveryClass, Receipt};
use crate::error::Error;
use crate::labels::GroupingKey;
use crate::sync::{Condvar, Mutex};

/// A future that runs on the dispatcher's thread.
pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Submits buffered requests before a flush.
pub(crate) trait FlushHook: Send + Sync {
    fn on_flush(&self);
}

#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<DispatcherState>,
    /// Wakes the dispatcher's thread.
    pub(super) work: Notify,
    /// Notified of each submitted request, and of each flush.
    pub(super) submitted: Notify,
    pub(super) interruption: Interruption,
    /// Notified of each finished request.
    finished: Condvar,
}

#[derive(Default)]
pub(super) struct DispatcherState {
    pub(super) has_thread: bool,
    /// The number of callers that wait until all requests are finished.
    pub(super) flushes: usize,
    pub(super) queue: Queue,
    pub(super) tasks: Vec<Task>,
    pub(super) flush_hooks: Vec<Weak<dyn FlushHook>>,
}

impl Shared {
    /// Locks the state. No callback is called and no task is dropped under this lock.
    pub(super) fn lock(&self) -> MutexGuard<'_, DispatcherState> {
        self.state.lock()
    }

    pub(super) fn start_next(&self) -> Option<(QueueKey, Pending)> {
        self.lock().queue.start_next()
    }

    pub(super) fn start_next_backlog(&self, route: usize) -> Option<(QueueKey, Pending)> {
        self.lock().queue.start_next_backlog(route)
    }

    pub(super) fn take(&self, key: &QueueKey) -> Option<Pending> {
        self.lock().queue.take(key)
    }

    /// Queues requests and notifies the dispatcher's thread.
    pub(super) fn enqueue(&self, pending: impl IntoIterator<Item = (GroupingKey, Pending)>) {
        let mut state = self.lock();
        for (key, pending) in pending {
            state.queue.enqueue(key, pending);
        }
        drop(state);
        self.notify_submitted();
    }

    pub(super) fn notify_submitted(&self) {
        self.submitted.notify_waiters();
        self.work.notify_one();
    }

    pub(super) fn finish(&self, key: &QueueKey) {
        let mut state = self.lock();
        state.queue.finish(key);
        let has_flushes = state.flushes > 0;
        drop(state);
        if has_flushes {
            self.finished.notify_all();
        }
        self.work.notify_one();
    }

    /// Drops all tasks and returns all pending requests, because the thread ends.
    pub(super) fn shut_down(&self) -> Vec<Pending> {
        let mut state = self.lock();
        state.has_thread = false;
        let tasks = std::mem::take(&mut state.tasks);
        let pending = state.queue.drain();
        drop(state);
        drop(tasks);
        self.finished.notify_all();
        pending
    }

    /// Returns the sinks that have unfinished requests.
    pub(super) fn unfinished(&self) -> Vec<UnfinishedSink> {
        self.lock().queue.unfinished()
    }

    /// Waits until all requests are finished, at most for `timeout`. Returns the number of unfinished ones.
    pub(super) fn wait_finished(&self, timeout: Duration) -> usize {
        let unfinished = |state: &mut DispatcherState| state.queue.unfinished_count() > 0;
        let mut state = self.lock();
        if unfinished(&mut state) {
            state.flushes += 1;
            self.submitted.notify_waiters();
            state = self.finished.wait_timeout_while(state, timeout, unfinished);
            state.flushes -= 1;
        }
        state.queue.unfinished_count()
    }
}

/// Ends a request before any attempt: it is spooled or dropped. Blocks if its route has a spool.
pub(super) fn fail(pending: Pending, error: &Error) {
    let Pending { route, request, deadline, class, on_settled } = pending;
    let receipt = match request {
        Some(request) if class > DeliveryClass::BestEffort => {
            let (key, backlog) = (request.key().clone(), Backlog::default());
            // `Final`, because no attempt of another request has logged the cause.
            let class = DeliveryClass::Final;
            let delivery = Delivery::new(route, key, Some(request), backlog, deadline, class);
            delivery.finish(Err(error.clone())).settle()
        }
        _ => Receipt::unattempted(error.clone()),
    };
    for on_settled in on_settled {
        on_settled(receipt.clone());
    }
}
