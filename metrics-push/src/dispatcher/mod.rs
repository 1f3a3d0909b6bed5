//! `Dispatcher`: sends all requests to the sinks, on one thread.
//!
//! Any thread or task can submit a request without blocking. Requests for one group are merged while they are pending
//! and sent in order, one in flight per group. The dispatcher never panics and never returns an error: the result of a
//! request is its receipt.

pub(crate) mod buffer;
mod combinators;
mod interruption;
mod queue;
mod shared;
mod worker;

use std::future::Future;
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use crate::clock::Moment;
use crate::delivery::{DeliveryClass, Receipt, Route, log_limiter};
use crate::error::{Error, Kind};
use crate::labels::GroupingKey;
use crate::oneshot::{self, Receiver};
use crate::push_request::PushRequest;
use crate::threads;
use queue::Pending;
use shared::{DispatcherState, Shared, Task, fail};

pub(crate) use queue::{OnSettled, UnfinishedSink};
pub(crate) use shared::FlushHook;

/// Returns the dispatcher of the process. Its thread starts with the first request.
pub(crate) fn dispatcher() -> &'static Dispatcher {
    static DISPATCHER: LazyLock<Dispatcher> = LazyLock::new(Dispatcher::default);
    &DISPATCHER
}

/// Waits until all submitted requests are delivered, spooled or dropped, at most for `timeout`. Returns the number of
/// unfinished requests.
///
/// The library does this when the process exits. A scheduler may call it before it sleeps.
pub fn flush(timeout: Duration) -> usize {
    dispatcher().flush(timeout)
}

#[derive(Clone, Default)]
pub(crate) struct Dispatcher {
    shared: Arc<Shared>,
}

impl Dispatcher {
    /// Submits a request to be delivered within `timeout`. Returns at once.
    pub(crate) fn submit(
        &self,
        route: &Route,
        request: PushRequest,
        timeout: Duration,
        class: DeliveryClass,
        on_settled: Vec<OnSettled>,
    ) {
        let (key, route) = (request.key().clone(), route.clone());
        let deadline = Moment::now().after(timeout);
        self.enqueue(key, Pending { route, request: Some(request), deadline, class, on_settled });
    }

    /// Submits a request and returns the receiver of its receipt.
    pub(crate) fn submit_for_receipt(
        &self,
        route: &Route,
        request: PushRequest,
        timeout: Duration,
        class: DeliveryClass,
    ) -> Receiver<Receipt> {
        let (on_settled, receipt) = receipt_channel();
        self.submit(route, request, timeout, class, vec![on_settled]);
        receipt
    }

    /// Delivers the spooled request of a group within `timeout`. Returns at once.
    pub(crate) fn replay(
        &self,
        route: &Route,
        key: GroupingKey,
        timeout: Duration,
        class: DeliveryClass,
    ) -> Receiver<Receipt> {
        let (on_settled, receipt) = receipt_channel();
        let (route, deadline) = (route.clone(), Moment::now().after(timeout));
        let on_settled = vec![on_settled];
        self.enqueue(key, Pending { route, request: None, deadline, class, on_settled });
        receipt
    }

    fn enqueue(&self, key: GroupingKey, pending: Pending) {
        let mut state = self.shared.lock();
        if let Err(error) = self.ensure_thread(&mut state) {
            drop(state);
            fail(pending, &error);
            return;
        }
        state.queue.enqueue(key, pending);
        drop(state);
        self.shared.notify_submitted();
    }

    /// Spawns a future on the dispatcher's runtime. Returns at once. If the dispatcher's thread cannot be started, the
    /// receiver is closed without a value.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Receiver<T> {
        let (sender, receiver) = oneshot::channel();
        self.submit_task(Box::pin(async move { sender.send(future.await) }));
        receiver
    }

    /// Starts a task. If the dispatcher's thread cannot be started, the task is dropped.
    fn submit_task(&self, task: Task) {
        let mut state = self.shared.lock();
        if self.ensure_thread(&mut state).is_ok() {
            state.tasks.push(task);
        }
        drop(state);
        self.shared.work.notify_one();
    }

    /// Returns a future that resolves after `delay`. The caller needs no runtime.
    pub(crate) fn sleep(&self, delay: Duration) -> Receiver<()> {
        self.spawn_after(delay, || ())
    }

    /// Calls `action` on the dispatcher's thread after `delay`. If the thread cannot be started, `action` is dropped.
    pub(crate) fn spawn_after(
        &self,
        delay: Duration,
        action: impl FnOnce() + Send + 'static,
    ) -> Receiver<()> {
        self.spawn(async move {
            tokio::time::sleep(delay).await;
            action();
        })
    }

    /// Calls `action` on the dispatcher's thread once per interval, until it returns false.
    pub(crate) fn spawn_interval(
        &self,
        interval: Duration,
        mut action: impl FnMut() -> bool + Send + 'static,
    ) {
        drop(self.spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                if !action() {
                    break;
                }
            }
        }));
    }

    /// Ends the deliveries in progress, because a signal ends the process: after a short grace period, requests are
    /// spooled or dropped.
    pub(crate) fn interrupt(&self) {
        self.shared.interruption.start();
    }

    /// Lets later deliveries have their full time, because the process continues after a signal.
    pub(crate) fn end_interruption(&self) {
        self.shared.interruption.end();
    }

    /// Returns true after [`interrupt`](Self::interrupt).
    pub(crate) fn is_interrupted(&self) -> bool {
        self.shared.interruption.is_started()
    }

    /// Returns the sinks that have unfinished requests.
    pub(crate) fn unfinished(&self) -> Vec<UnfinishedSink> {
        self.shared.unfinished()
    }

    /// Returns the number of groups whose request has not been started.
    pub(crate) fn pending_count(&self) -> usize {
        self.shared.lock().queue.pending_count()
    }

    /// Registers a hook that is called before each flush, until its owner is dropped.
    pub(crate) fn add_flush_hook(&self, hook: Weak<dyn FlushHook>) {
        let mut state = self.shared.lock();
        state.flush_hooks.retain(|hook| hook.strong_count() > 0);
        state.flush_hooks.push(hook);
    }

    /// Submits buffered requests and waits until all requests are finished, at most for `timeout`. Returns the number of
    /// unfinished ones.
    pub(crate) fn flush(&self, timeout: Duration) -> usize {
        let hooks = self.shared.lock().flush_hooks.clone();
        for hook in hooks.iter().filter_map(Weak::upgrade) {
            hook.on_flush();
        }
        let unfinished = self.shared.wait_finished(timeout);
        // The process may exit after this.
        log_limiter::flush_summary();
        unfinished
    }

    fn ensure_thread(&self, state: &mut DispatcherState) -> Result<(), Error> {
        if state.has_thread {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        threads::spawn("metrics-push", move || worker::run(&shared)).map_err(|error| {
            Error::new(Kind::Unreachable, "the thread that pushes could not be started")
                .caused_by(error)
        })?;
        state.has_thread = true;
        Ok(())
    }
}

/// Returns a callback that sends the receipt to a receiver.
pub(crate) fn receipt_channel() -> (OnSettled, Receiver<Receipt>) {
    let (sender, receiver) = oneshot::channel();
    (Box::new(move |receipt| sender.send(receipt)), receiver)
}

#[cfg(test)]
mod tests;
