//! Removes the copies of groups that a change of a ring has left behind.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::cleanup::Removal;
use super::connection::Connection;
use super::{Gateway, received};
use crate::clock::Moment;
use crate::dispatcher::dispatcher;
use crate::error::Error;
use crate::oneshot::Receiver;
use crate::sink::Shards;
use crate::sink::pushgateway::StoredGroup;

impl Gateway {
    /// Removes the copies of groups on shards to which they do not belong, and returns them. A copy remains if the right
    /// shard does not have the group, or has an older one: then it may be the only one with the last outcome. There are none
    /// if the gateway is not sharded.
    ///
    /// The next delivery of a group removes such a copy as well, but only if it was made on the same machine and with the
    /// same state directory.
    ///
    /// # Errors
    /// The reason why a shard could not be queried or did not remove a group. The groups before that one are removed.
    pub fn prune_misplaced(&self, removal: Removal) -> Result<Vec<StoredGroup>, Error> {
        received(self.start_pruning_misplaced(removal)?.wait(self.receive_timeout()))
    }

    /// Async version of [`prune_misplaced`](Self::prune_misplaced).
    ///
    /// # Errors
    /// As [`prune_misplaced`](Self::prune_misplaced).
    pub async fn prune_misplaced_async(&self, removal: Removal) -> Result<Vec<StoredGroup>, Error> {
        received(self.start_pruning_misplaced(removal)?.await)
    }

    fn start_pruning_misplaced(
        &self,
        removal: Removal,
    ) -> Result<Receiver<Result<Vec<StoredGroup>, Error>>, Error> {
        let (connection, timeout) = (self.connection()?.clone(), self.timeout);
        Ok(dispatcher().spawn(prune_misplaced(connection, removal, timeout)))
    }
}

async fn prune_misplaced(
    connection: Connection,
    removal: Removal,
    timeout: Duration,
) -> Result<Vec<StoredGroup>, Error> {
    let Some(shards) = &connection.shards else { return Ok(Vec::new()) };
    let deadline = Moment::now().after(timeout);
    let lists = connection.lists(deadline).await?;
    let mut removed = Vec::new();
    for (index, group) in misplaced(shards, &lists) {
        if removal == Removal::Apply {
            shards.gateways()[index].remove(&group, deadline.remaining()).await?;
        }
        removed.push(group);
    }
    Ok(removed)
}

/// Returns the copies of groups of which the right shard has one that is as new, each with the index of its shard. `lists` has
/// the groups of each shard.
fn misplaced(shards: &Shards, lists: &[Vec<StoredGroup>]) -> Vec<(usize, StoredGroup)> {
    let by_shard: Vec<_> = lists.iter().map(|list| push_times(list)).collect();
    let is_misplaced = |index: usize, group: &StoredGroup| {
        let Some(key) = group.grouping_key() else { return false };
        let owner = shards.ring().owner(&key);
        let pushed_at = by_shard[owner].get(&group.labels);
        owner != index && pushed_at.is_some_and(|pushed_at| *pushed_at >= group.pushed_at())
    };
    let copies = lists
        .iter()
        .enumerate()
        .flat_map(|(index, list)| list.iter().map(move |group| (index, group)));
    let misplaced = copies.filter(|(index, group)| is_misplaced(*index, group));
    misplaced.map(|(index, group)| (index, group.clone())).collect()
}

/// Returns the labels of each group with the time of its last push.
fn push_times(groups: &[StoredGroup]) -> HashMap<&BTreeMap<String, String>, Option<f64>> {
    groups.iter().map(|group| (&group.labels, group.pushed_at())).collect()
}
