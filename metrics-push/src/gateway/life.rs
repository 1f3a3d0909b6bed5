//! The life of groups: a gateway keeps everything until it is told otherwise, and this is how to tell it.
//!
//! Every way to remove groups can show first what would go. What has been pushed to meanwhile stays.

use std::sync::Arc;
use std::time::Duration;

use super::{Gateway, answer};
use crate::clock::Moment;
use crate::courier::{GRACE, courier};
use crate::error::Error;
use crate::labels::GroupingKey;
use crate::sink::gateway::GatewayClient;
use crate::sink::listing::StoredGroup;
use crate::ticket::Ticket;

/// Whether groups are removed, or only looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Nothing is removed; what would be, is returned.
    DryRun,
    /// They are gone.
    ForGood,
}

impl Gateway {
    /// Removes the groups to which nothing was pushed for longer than `age`, by the clock of this machine. Returns
    /// them, or what they would be.
    ///
    /// ```
    /// # fn main() -> Result<(), metrics_push::Error> {
    /// # let fake = metrics_push::testing::FakeGateway::start();
    /// use metrics_push::{Gateway, Removal};
    /// use std::time::Duration;
    ///
    /// let gateway = Gateway::new(fake.url())?;
    /// for group in gateway.prune(Duration::from_secs(7 * 24 * 3_600), Removal::DryRun)? {
    ///     println!("would go: {:?}", group.labels);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Whatever kept the gateway from listing or removing them; what was removed until then is gone.
    pub fn prune(&self, age: Duration, removal: Removal) -> Result<Vec<StoredGroup>, Error> {
        answer(self.start_pruning(age, removal)?.wait(self.patience()))
    }

    /// [`prune`](Self::prune), awaited.
    ///
    /// # Errors
    /// As [`prune`](Self::prune).
    pub async fn prune_async(
        &self,
        age: Duration,
        removal: Removal,
    ) -> Result<Vec<StoredGroup>, Error> {
        answer(self.start_pruning(age, removal)?.await)
    }

    /// Removes everything, through the admin API, which a gateway has only if it was started with it. Returns what
    /// was there.
    ///
    /// # Errors
    /// `is_config`, if the admin API is off; else whatever kept the gateway from doing it.
    pub fn wipe(&self, removal: Removal) -> Result<Vec<StoredGroup>, Error> {
        answer(self.start_wiping(removal)?.wait(self.patience()))
    }

    /// [`wipe`](Self::wipe), awaited.
    ///
    /// # Errors
    /// As [`wipe`](Self::wipe).
    pub async fn wipe_async(&self, removal: Removal) -> Result<Vec<StoredGroup>, Error> {
        answer(self.start_wiping(removal)?.await)
    }

    /// Waits for `linger`, and then removes the group, unless something was pushed to it meanwhile. Returns the
    /// group; `None`, if it is not there or stays.
    ///
    /// What is removed sooner than Prometheus scrapes was never seen: `linger` is two scrape intervals or more.
    ///
    /// # Errors
    /// Whatever kept the gateway from listing or removing it.
    pub fn delete_after(
        &self,
        key: &GroupingKey,
        linger: Duration,
        removal: Removal,
    ) -> Result<Option<StoredGroup>, Error> {
        let found = self.start_deleting(key, linger, removal)?;
        answer(found.wait(linger.saturating_add(self.timeout).saturating_add(GRACE)))
    }

    /// [`delete_after`](Self::delete_after), awaited.
    ///
    /// # Errors
    /// As [`delete_after`](Self::delete_after).
    pub async fn delete_after_async(
        &self,
        key: &GroupingKey,
        linger: Duration,
        removal: Removal,
    ) -> Result<Option<StoredGroup>, Error> {
        answer(self.start_deleting(key, linger, removal)?.await)
    }

    fn start_pruning(
        &self,
        age: Duration,
        removal: Removal,
    ) -> Result<Ticket<Result<Vec<StoredGroup>, Error>>, Error> {
        let (client, timeout) = (Arc::clone(&self.connection()?.client), self.timeout);
        Ok(courier().run(prune(client, age, removal, timeout)))
    }

    fn start_wiping(
        &self,
        removal: Removal,
    ) -> Result<Ticket<Result<Vec<StoredGroup>, Error>>, Error> {
        let (client, timeout) = (Arc::clone(&self.connection()?.client), self.timeout);
        Ok(courier().run(async move {
            let until = Moment::now().after(timeout);
            let groups = client.metrics(timeout).await?;
            if removal == Removal::ForGood {
                client.wipe(until.remaining()).await?;
            }
            Ok(groups)
        }))
    }

    fn start_deleting(
        &self,
        key: &GroupingKey,
        linger: Duration,
        removal: Removal,
    ) -> Result<Ticket<Result<Option<StoredGroup>, Error>>, Error> {
        let (client, timeout) = (Arc::clone(&self.connection()?.client), self.timeout);
        let key = key.clone();
        Ok(courier().run(async move {
            let before = client.group(&key, timeout).await?;
            courier().pause(linger).await;
            let until = Moment::now().after(timeout);
            let now = client.group(&key, timeout).await?;
            let pushed_at = |group: &Option<StoredGroup>| group.as_ref()?.pushed_at();
            if now.is_none() || pushed_at(&now) != pushed_at(&before) {
                return Ok(None);
            }
            if let (Some(group), Removal::ForGood) = (&now, removal) {
                client.remove(group, until.remaining()).await?;
            }
            Ok(now)
        }))
    }
}

async fn prune(
    client: Arc<GatewayClient>,
    age: Duration,
    removal: Removal,
    timeout: Duration,
) -> Result<Vec<StoredGroup>, Error> {
    let until = Moment::now().after(timeout);
    let oldest_to_stay = Moment::now().unix_seconds() - age.as_secs_f64();
    let groups = client.metrics(timeout).await?.into_iter();
    // One that was never pushed to with success holds nothing, and is as old as can be.
    let old: Vec<_> =
        groups.filter(|group| group.pushed_at().unwrap_or(0.0) < oldest_to_stay).collect();
    if removal == Removal::ForGood {
        for group in &old {
            client.remove(group, until.remaining()).await?;
        }
    }
    Ok(old)
}
