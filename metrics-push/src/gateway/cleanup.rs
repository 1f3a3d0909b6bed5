//! Removing groups: a Pushgateway stores every group until it is deleted.
//!
//! Each method has a dry run that returns the groups it would remove.

use std::time::Duration;

use super::connection::Connection;
use super::{Gateway, received};
use crate::clock::Moment;
use crate::delivery::policy::RECEIPT_GRACE;
use crate::dispatcher::dispatcher;
use crate::error::Error;
use crate::labels::GroupingKey;
use crate::oneshot::Receiver;
use crate::sink::pushgateway::StoredGroup;

/// Whether a method removes groups or only returns them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Returns the groups that would be removed.
    DryRun,
    /// Removes the groups and returns them.
    Apply,
}

impl Gateway {
    /// Removes the groups whose last push is older than `age`, by the clock of this machine, and returns them.
    ///
    /// ```
    /// # fn main() -> Result<(), metrics_push::Error> {
    /// # let fake = metrics_push::testing::FakeGateway::start();
    /// use metrics_push::{Gateway, Removal};
    /// use std::time::Duration;
    ///
    /// let gateway = Gateway::new(fake.url())?;
    /// for group in gateway.prune(Duration::from_secs(7 * 24 * 3_600), Removal::DryRun)? {
    ///     println!("would remove: {:?}", group.labels);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The reason why the gateway could not be queried or did not remove a group. The groups before that one are
    /// removed.
    pub fn prune(&self, age: Duration, removal: Removal) -> Result<Vec<StoredGroup>, Error> {
        received(self.start_pruning(age, removal)?.wait(self.receive_timeout()))
    }

    /// Async version of [`prune`](Self::prune).
    ///
    /// # Errors
    /// As [`prune`](Self::prune).
    pub async fn prune_async(
        &self,
        age: Duration,
        removal: Removal,
    ) -> Result<Vec<StoredGroup>, Error> {
        received(self.start_pruning(age, removal)?.await)
    }

    /// Removes all groups through the admin API and returns them. The gateway must be started with
    /// `--web.enable-admin-api`.
    ///
    /// # Errors
    /// `is_config` if the admin API is disabled; otherwise the reason why the gateway could not be queried or wiped.
    pub fn wipe(&self, removal: Removal) -> Result<Vec<StoredGroup>, Error> {
        received(self.start_wiping(removal)?.wait(self.receive_timeout()))
    }

    /// Async version of [`wipe`](Self::wipe).
    ///
    /// # Errors
    /// As [`wipe`](Self::wipe).
    pub async fn wipe_async(&self, removal: Removal) -> Result<Vec<StoredGroup>, Error> {
        received(self.start_wiping(removal)?.await)
    }

    /// Waits for `linger` and then removes the group, unless it was pushed to during that time. Returns the removed
    /// group; `None` if the group does not exist or was pushed to.
    ///
    /// Use two scrape intervals or more for `linger`: Prometheus never sees a group that is removed earlier.
    ///
    /// # Errors
    /// The reason why the gateway could not be queried or did not remove the group.
    pub fn delete_after(
        &self,
        key: &GroupingKey,
        linger: Duration,
        removal: Removal,
    ) -> Result<Option<StoredGroup>, Error> {
        let found = self.start_deleting(key, linger, removal)?;
        received(found.wait(linger.saturating_add(self.timeout).saturating_add(RECEIPT_GRACE)))
    }

    /// Async version of [`delete_after`](Self::delete_after).
    ///
    /// # Errors
    /// As [`delete_after`](Self::delete_after).
    pub async fn delete_after_async(
        &self,
        key: &GroupingKey,
        linger: Duration,
        removal: Removal,
    ) -> Result<Option<StoredGroup>, Error> {
        received(self.start_deleting(key, linger, removal)?.await)
    }

    fn start_pruning(
        &self,
        age: Duration,
        removal: Removal,
    ) -> Result<Receiver<Result<Vec<StoredGroup>, Error>>, Error> {
        let (connection, timeout) = (self.connection()?.clone(), self.timeout);
        Ok(dispatcher().spawn(prune(connection, age, removal, timeout)))
    }

    fn start_wiping(
        &self,
        removal: Removal,
    ) -> Result<Receiver<Result<Vec<StoredGroup>, Error>>, Error> {
        let (connection, timeout) = (self.connection()?.clone(), self.timeout);
        Ok(dispatcher().spawn(async move {
            let deadline = Moment::now().after(timeout);
            let groups = connection.metrics(timeout).await?;
            for client in &connection.clients {
                match removal {
                    Removal::DryRun => client.check_wipe(deadline.remaining()).await?,
                    Removal::Apply => client.wipe(deadline.remaining()).await?,
                }
            }
            Ok(groups)
        }))
    }

    fn start_deleting(
        &self,
        key: &GroupingKey,
        linger: Duration,
        removal: Removal,
    ) -> Result<Receiver<Result<Option<StoredGroup>, Error>>, Error> {
        let (connection, timeout) = (self.connection()?.clone(), self.timeout);
        let key = key.clone();
        Ok(dispatcher().spawn(async move {
            let before = connection.group(&key, timeout).await?;
            dispatcher().sleep(linger).await;
            let deadline = Moment::now().after(timeout);
            let now = connection.group(&key, timeout).await?;
            let pushed_at = |group: &Option<StoredGroup>| group.as_ref()?.pushed_at();
            if now.is_none() || pushed_at(&now) != pushed_at(&before) {
                return Ok(None);
            }
            if let (Some(group), Removal::Apply) = (&now, removal) {
                for client in &connection.clients {
                    client.remove(group, deadline.remaining()).await?;
                }
            }
            Ok(now)
        }))
    }
}

async fn prune(
    connection: Connection,
    age: Duration,
    removal: Removal,
    timeout: Duration,
) -> Result<Vec<StoredGroup>, Error> {
    let deadline = Moment::now().after(timeout);
    let cutoff = Moment::now().unix_seconds() - age.as_secs_f64();
    let mut pruned = Vec::new();
    for client in &connection.clients {
        let groups = client.metrics(deadline.remaining()).await?.into_iter();
        // A group without a successful push is empty, so it counts as old.
        let old = groups.filter(|group| group.pushed_at().unwrap_or(0.0) < cutoff);
        for group in old {
            if removal == Removal::Apply {
                client.remove(&group, deadline.remaining()).await?;
            }
            pruned.push(group);
        }
    }
    Ok(pruned)
}
