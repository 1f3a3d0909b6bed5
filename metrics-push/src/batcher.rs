//! `Batcher`: background pushes for long-lived schedulers with many groups.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::delivery::DeliveryClass;
use crate::delivery::policy::MAX_GROUPS;
use crate::dispatcher::buffer::BatchBuffer;
use crate::error::Error;
use crate::labels::GroupingKey;
use crate::metrics::Registry;
use crate::pipeline::Pipeline;
use crate::push_request::{PushRequest, gather};

/// Pushes the metrics of many groups, each group at most once per interval.
///
/// Pushes for one group within an interval are merged by the gateway's own rules and sent to all configured gateways.
/// The methods return without waiting, from any thread or task. Pushes that cannot be delivered are stored on disk if
/// there is a state directory. At most [`MAX_GROUPS`](Self::MAX_GROUPS) groups are held in memory; pushes for further
/// groups are dropped and counted by [`dropped`](Self::dropped).
///
/// To batch the runs of a scheduler's tasks, use [`Config::batch`](crate::Config::batch) instead.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// use metrics_push::prometheus::{Gauge, Registry};
/// use metrics_push::{Batcher, Config, GroupingKey, testing::FakeGateway};
/// use std::time::Duration;
///
/// # let gateway = FakeGateway::start();
/// # let _scope = Config::default().url(gateway.url())?.scope()?;
/// let batcher = Batcher::new(Duration::from_secs(10));
/// for tenant in ["a", "b", "a", "a"] {
///     let registry = Registry::new();
///     let rows = Gauge::new("rows", "Rows of the last import.").unwrap();
///     registry.register(Box::new(rows)).unwrap();
///     batcher.add(GroupingKey::new("import")?.label("tenant", tenant)?, &registry)?;
/// }
/// assert_eq!(batcher.flush(Duration::from_secs(10)), 0);
/// # assert_eq!(gateway.requests().len(), 2);
/// # Ok(())
/// # }
/// ```
pub struct Batcher {
    buffer: Arc<BatchBuffer>,
    timeout: Duration,
}

impl Batcher {
    /// The maximum number of groups that are held in memory.
    pub const MAX_GROUPS: usize = MAX_GROUPS;

    /// Returns a batcher for the gateways of the current configuration.
    ///
    /// # Panics
    /// If `interval` is zero.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self::with_max_pending(interval, Self::MAX_GROUPS / 2)
    }

    /// Returns a batcher that also pushes as soon as `max_pending` groups are held.
    ///
    /// # Panics
    /// If `interval` is zero.
    #[must_use]
    pub fn with_max_pending(interval: Duration, max_pending: usize) -> Self {
        assert!(!interval.is_zero(), "the interval of a batcher must be longer than zero");
        let pipeline = Pipeline::current();
        let (routers, timeout) = (pipeline.routers.clone(), pipeline.timeout);
        Self { buffer: BatchBuffer::start(routers, timeout, interval, max_pending), timeout }
    }

    /// Replaces the group with the metrics that the registry has now.
    ///
    /// # Errors
    /// `is_metric` if the metrics cannot be pushed.
    pub fn push(&self, key: GroupingKey, registry: &Registry) -> Result<(), Error> {
        let families = gather(&key, [registry], self.timeout)?.encode();
        self.enqueue(PushRequest::push(key, families));
        Ok(())
    }

    /// Adds the metrics that the registry has now to the group. Families of the same name are replaced, others stay.
    ///
    /// # Errors
    /// `is_metric` if the metrics cannot be pushed.
    pub fn add(&self, key: GroupingKey, registry: &Registry) -> Result<(), Error> {
        let families = gather(&key, [registry], self.timeout)?.encode();
        self.enqueue(PushRequest::add(key, families));
        Ok(())
    }

    /// Deletes the group.
    pub fn delete(&self, key: GroupingKey) {
        self.enqueue(PushRequest::delete(key));
    }

    /// Pushes now, and waits until all pushes are delivered, stored on disk or dropped, at most for `timeout`. Returns the
    /// number of unfinished pushes.
    pub fn flush(&self, timeout: Duration) -> usize {
        self.buffer.flush(timeout)
    }

    /// Returns the number of pushes that were dropped because too many groups were held.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.buffer.dropped()
    }

    fn enqueue(&self, request: PushRequest) {
        self.buffer.enqueue(request, DeliveryClass::Spooled, Vec::new());
    }
}

impl Drop for Batcher {
    /// Flushes within the timeout of the configuration.
    fn drop(&mut self) {
        self.flush(self.timeout);
    }
}

impl fmt::Debug for Batcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}
