//! Batcher: background pushes for long-lived schedulers, which have many groups and no time to wait for any.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Deployment;
use crate::delivery::Urgency;
use crate::error::Error;
use crate::hold::Hold;
use crate::labels::GroupingKey;
use crate::metrics::Registry;
use crate::parcel::{Parcel, encode, gather};

/// Takes metrics for many groups and pushes each group at most once per interval.
///
/// Metrics for one group that are handed in between two pushes become one, by the gateway's own rules. All gateways
/// of the configuration get them. Handing in waits for nothing, from any thread or task. What can't be delivered waits
/// on disk, where there is a state directory. At most [`MOST_KEYS`](Self::MOST_KEYS) groups wait in memory; parcels
/// for further ones are dropped, and [`dropped`](Self::dropped) counts them.
///
/// To have all runs of a scheduler's tasks batched, configure [`Config::batch`](crate::Config::batch) instead.
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
    hold: Arc<Hold>,
    budget: Duration,
}

impl Batcher {
    /// How many groups wait in memory at most.
    pub const MOST_KEYS: usize = crate::hold::MOST_KEYS;

    /// A batcher for the gateways of the configuration in force.
    ///
    /// # Panics
    /// If the interval is zero.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self::with_keys(interval, Self::MOST_KEYS / 2)
    }

    /// One that also pushes as soon as that many groups wait.
    ///
    /// # Panics
    /// If the interval is zero.
    #[must_use]
    pub fn with_keys(interval: Duration, keys: usize) -> Self {
        assert!(!interval.is_zero(), "a batcher needs an interval longer than zero");
        let deployment = Deployment::current();
        let (routes, budget) = (deployment.sinks.clone(), deployment.timeout);
        Self { hold: Hold::start(routes, budget, interval, keys), budget }
    }

    /// Replaces the group with what the registry holds now.
    ///
    /// # Errors
    /// `is_metric`, if the metrics can't be pushed as they are.
    pub fn push(&self, key: GroupingKey, registry: &Registry) -> Result<(), Error> {
        let families = encode(&gather(&key, [registry])?);
        self.hand_in(Parcel::push(key, families));
        Ok(())
    }

    /// Adds what the registry holds now to the group: families of the same name are replaced, others are kept.
    ///
    /// # Errors
    /// `is_metric`, if the metrics can't be pushed as they are.
    pub fn add(&self, key: GroupingKey, registry: &Registry) -> Result<(), Error> {
        let families = encode(&gather(&key, [registry])?);
        self.hand_in(Parcel::add(key, families));
        Ok(())
    }

    /// Removes the group.
    pub fn delete(&self, key: GroupingKey) {
        self.hand_in(Parcel::delete(key));
    }

    /// Pushes what waits now, and waits until it is delivered or given up, at most for `timeout`. Returns how many
    /// pushes are left.
    pub fn flush(&self, timeout: Duration) -> usize {
        self.hold.flush(timeout)
    }

    /// How many parcels were dropped because there was no room for another group.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.hold.dropped()
    }

    fn hand_in(&self, parcel: Parcel) {
        self.hold.hand_in(parcel, Urgency::Outcome);
    }
}

impl Drop for Batcher {
    /// Pushes what waits, within the configuration's time-out.
    fn drop(&mut self) {
        self.flush(self.budget);
    }
}

impl fmt::Debug for Batcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}
