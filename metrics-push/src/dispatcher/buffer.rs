//! `BatchBuffer`: collects requests for an interval, so that several requests for one group become one.
//!
//! The buffer merges requests by grouping key and submits them to the dispatcher at each interval, when it is half full, and
//! before each flush. It is bounded in groups and in bytes: while it is full, requests for further groups are dropped and
//! counted; requests for buffered groups are always merged. Enqueueing waits only for a lock that is held briefly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::{FlushHook, OnSettled, dispatcher, receipt_channel};
use crate::clock::Moment;
use crate::delivery::policy::{MAX_BUFFERED_SIZE, MAX_GROUPS};
use crate::delivery::{DeliveryClass, Receipt, Router};
use crate::labels::GroupingKey;
use crate::log;
use crate::oneshot::Receiver;
use crate::push_request::PushRequest;
use crate::sync::Mutex;

#[derive(Debug)]
pub(crate) struct BatchBuffer {
    routers: Vec<Router>,
    /// The timeout of each delivery.
    timeout: Duration,
    /// The number of groups at which the buffer is submitted before the interval ends.
    flush_at: usize,
    buffered: Mutex<BufferedGroups>,
    is_flush_scheduled: AtomicBool,
    /// The receipts of submitted requests. Locked while requests are submitted, so that they stay in order.
    submitted: Mutex<Vec<Receiver<Receipt>>>,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct BufferedGroups {
    requests: BTreeMap<GroupingKey, Buffered>,
    /// The size of all requests.
    size: usize,
}

impl BufferedGroups {
    /// Merges a request into that of its group. Returns the request if its group is not buffered and the buffer is full.
    fn insert(&mut self, new: Buffered) -> Option<Buffered> {
        let new_size = new.request.size();
        let Some(earlier) = self.requests.get_mut(new.request.key()) else {
            if self.requests.len() >= MAX_GROUPS || self.size + new_size > MAX_BUFFERED_SIZE {
                return Some(new);
            }
            self.size += new_size;
            self.requests.insert(new.request.key().clone(), new);
            return None;
        };
        self.size -= earlier.request.size();
        earlier.merge(new);
        self.size += earlier.request.size();
        None
    }

    fn remove(&mut self, key: &GroupingKey) -> Option<Buffered> {
        let removed = self.requests.remove(key)?;
        self.size -= removed.request.size();
        Some(removed)
    }
}

/// The buffered request of one group.
pub(crate) struct Buffered {
    pub(crate) request: PushRequest,
    class: DeliveryClass,
    /// The callbacks for each sink.
    pub(crate) on_settled: Vec<Vec<OnSettled>>,
}

impl BatchBuffer {
    pub(crate) fn start(
        routers: Vec<Router>,
        timeout: Duration,
        interval: Duration,
        flush_at: usize,
    ) -> Arc<Self> {
        let buffer = Arc::new(Self {
            routers,
            timeout,
            flush_at,
            buffered: Mutex::default(),
            is_flush_scheduled: AtomicBool::new(false),
            submitted: Mutex::default(),
            dropped: AtomicU64::new(0),
        });
        let hook: Arc<dyn FlushHook> = Arc::clone(&buffer) as _;
        dispatcher().add_flush_hook(Arc::downgrade(&hook));
        let weak = Arc::downgrade(&buffer);
        dispatcher().spawn_interval(interval, move || {
            weak.upgrade().map(|buffer| buffer.on_flush()).is_some()
        });
        buffer
    }

    /// Buffers a request. `on_settled` has one callback per sink, or is empty. Returns at once.
    pub(crate) fn enqueue(
        self: &Arc<Self>,
        request: PushRequest,
        class: DeliveryClass,
        on_settled: Vec<OnSettled>,
    ) {
        if self.routers.is_empty() {
            return;
        }
        let callbacks = self.routers.iter().map(|_| Vec::new()).collect();
        let mut new = Buffered { request, class, on_settled: callbacks };
        new.add_callbacks(on_settled);
        let mut buffered = self.buffered.lock();
        let refused = buffered.insert(new);
        let (groups, size) = (buffered.requests.len(), buffered.size);
        drop(buffered);
        if let Some(dropped) = refused {
            // The callbacks are dropped without a call, which closes the channels of their receivers.
            self.count_dropped(dropped.request.key(), groups, size);
        }
        let is_large = groups >= self.flush_at || size >= MAX_BUFFERED_SIZE / 2;
        if is_large && !self.is_flush_scheduled.swap(true, Ordering::Relaxed) {
            let buffer = Arc::clone(self);
            drop(dispatcher().spawn(async move { buffer.on_flush() }));
        }
    }

    /// Removes and returns the buffered request of a group.
    pub(crate) fn take(&self, key: &GroupingKey) -> Option<Buffered> {
        let _submitted = self.submitted.lock();
        self.buffered.lock().remove(key)
    }

    /// Submits all buffered requests and waits until they are finished, at most for `timeout`. Returns the number of
    /// unfinished ones.
    pub(crate) fn flush(&self, timeout: Duration) -> usize {
        let deadline = Moment::now().after(timeout);
        self.on_flush();
        let submitted = std::mem::take(&mut *self.submitted.lock());
        let (_, unfinished): (Vec<_>, Vec<_>) =
            submitted.into_iter().partition(|receipt| receipt.wait_closed(deadline.remaining()));
        let number = unfinished.len() + self.buffered.lock().requests.len();
        self.submitted.lock().extend(unfinished);
        number
    }

    /// Returns how many requests were dropped because the buffer was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn count_dropped(&self, key: &GroupingKey, groups: usize, size: usize) {
        if self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
            log::warn(format_args!(
                "dropped a push for {key}: {groups} groups with {size} bytes are buffered already, and pushes for further \
                 groups are dropped; check whether a grouping label has a new value for every run"
            ));
        }
    }
}

impl FlushHook for BatchBuffer {
    fn on_flush(&self) {
        self.is_flush_scheduled.store(false, Ordering::Relaxed);
        let mut submitted = self.submitted.lock();
        submitted.retain(|receipt| !receipt.is_closed());
        if dispatcher().pending_count() >= MAX_GROUPS {
            // The dispatcher's queue is unbounded, so the requests stay in the buffer.
            return;
        }
        let buffered = std::mem::take(&mut *self.buffered.lock());
        for Buffered { request, class, on_settled } in buffered.requests.into_values() {
            for (router, mut on_settled) in self.routers.iter().zip(on_settled) {
                let (callback, receipt) = receipt_channel();
                on_settled.push(callback);
                submitted.push(receipt);
                let route = router.route(request.key());
                dispatcher().submit(route, request.clone(), self.timeout, class, on_settled);
            }
        }
    }
}

impl Buffered {
    /// Merges a later request for the same group.
    fn merge(&mut self, later: Self) {
        self.request.merge(later.request);
        self.class = self.class.max(later.class);
        for (callbacks, later) in self.on_settled.iter_mut().zip(later.on_settled) {
            callbacks.extend(later);
        }
    }

    /// Adds one callback per sink, or no callback if `on_settled` is empty.
    fn add_callbacks(&mut self, on_settled: Vec<OnSettled>) {
        for (callbacks, callback) in self.on_settled.iter_mut().zip(on_settled) {
            callbacks.push(callback);
        }
    }
}

impl std::fmt::Debug for Buffered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffered").field("request", &self.request).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push_request::Families;

    fn buffered(group: usize, size: usize) -> Buffered {
        let families = Families::from([("rows".to_owned(), "x".repeat(size))]);
        let request =
            PushRequest::push(GroupingKey::new(format!("job_{group}")).unwrap(), families);
        Buffered { request, class: DeliveryClass::Spooled, on_settled: Vec::new() }
    }

    #[test]
    fn buffer_is_bounded_in_bytes() {
        let mut groups = BufferedGroups::default();
        for group in 0..4 {
            assert!(groups.insert(buffered(group, MAX_BUFFERED_SIZE / 4)).is_none());
        }
        assert!(groups.insert(buffered(4, 1)).is_some());
        // The later request replaces the earlier one.
        assert!(groups.insert(buffered(0, MAX_BUFFERED_SIZE / 8)).is_none());
        assert_eq!((groups.requests.len(), groups.size), (4, MAX_BUFFERED_SIZE / 8 * 7));
        assert!(groups.insert(buffered(4, 1)).is_none());
        for group in 0..5 {
            assert!(groups.remove(&GroupingKey::new(format!("job_{group}")).unwrap()).is_some());
        }
        assert_eq!(groups.size, 0);
    }
}
