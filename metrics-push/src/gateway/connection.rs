//! `Connection`: the clients of a `Gateway`: one, or one for each shard of a ring.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::delivery::{DeliveryClass, Receipt, Router};
use crate::dispatcher::dispatcher;
use crate::error::Error;
use crate::labels::GroupingKey;
use crate::oneshot::Receiver;
use crate::push_request::{PushRequest, Verb};
use crate::sink::pushgateway::{Pushgateway, StoredGroup};
use crate::sink::{Destination, Shards, Target, is_sharded};
use crate::spool::Spool;
use crate::state_dir::StateDir;

#[derive(Clone)]
pub(super) struct Connection {
    pub(super) clients: Vec<Arc<Pushgateway>>,
    pub(super) shards: Option<Arc<Shards>>,
    router: Router,
}

impl Connection {
    /// Undelivered requests are stored in the state directory, if there is one.
    ///
    /// # Errors
    /// `is_config` if a URL, a header or a TLS setting is invalid.
    pub(super) fn open(target: &Target, state_dir: Option<&Arc<StateDir>>) -> Result<Self, Error> {
        let shards = is_sharded(&target.url).then(|| Shards::open(target)).transpose()?;
        let (clients, destination) = if let Some(shards) = &shards {
            (shards.gateways().to_vec(), Destination::Sharded(Arc::clone(shards)))
        } else {
            let client = Arc::new(Pushgateway::connect(target)?);
            (vec![Arc::clone(&client)], Destination::Single(client))
        };
        let url = destination.to_string();
        let destination = destination.in_mode(target.mode);
        let router = match state_dir {
            Some(state_dir) => {
                let spool = Spool::new(state_dir, &url, std::slice::from_ref(&url));
                Router::buffered(destination, spool.as_ref(), &Arc::default())
            }
            None => Router::direct(destination),
        };
        Ok(Self { clients, shards, router })
    }

    /// Returns the URL without credentials.
    pub(super) fn url(&self) -> &str {
        self.router.url()
    }

    /// Submits a request to the shard of its group, and a delete to all shards.
    pub(super) fn submit(
        &self,
        request: &PushRequest,
        timeout: Duration,
        class: DeliveryClass,
    ) -> Receiver<Receipt> {
        let owner = self.router.route(request.key());
        let receipt = dispatcher().submit_for_receipt(owner, request.clone(), timeout, class);
        let others = self.router.routes().iter().filter(|route| route.id() != owner.id());
        if request.verb() != Verb::Delete || self.clients.len() == 1 {
            return receipt;
        }
        // A stored request is for the shard of its group.
        let class = DeliveryClass::BestEffort;
        let submit =
            |route| dispatcher().submit_for_receipt(route, request.clone(), timeout, class);
        let others: Vec<_> = others.map(submit).collect();
        dispatcher().spawn(first_failure(receipt, others))
    }

    /// Returns the groups of all shards. Of a group on several shards, the copy with the latest push is returned.
    pub(super) async fn metrics(&self, timeout: Duration) -> Result<Vec<StoredGroup>, Error> {
        let mut lists = self.lists(Moment::now().after(timeout)).await?;
        // A gateway has one copy of each group.
        if let [_] = &lists[..] { Ok(lists.remove(0)) } else { Ok(merged(lists)) }
    }

    /// Returns the groups of each client.
    pub(super) async fn lists(&self, deadline: Moment) -> Result<Vec<Vec<StoredGroup>>, Error> {
        let mut lists = Vec::new();
        for client in &self.clients {
            lists.push(client.metrics(deadline.remaining()).await?);
        }
        Ok(lists)
    }

    pub(super) async fn group(
        &self,
        key: &GroupingKey,
        timeout: Duration,
    ) -> Result<Option<StoredGroup>, Error> {
        let groups = self.metrics(timeout).await?;
        Ok(groups.into_iter().find(|group| group.has_key(key)))
    }
}

/// Returns the first receipt of a request that was dropped, else that of the owner of the group.
async fn first_failure(owner: Receiver<Receipt>, others: Vec<Receiver<Receipt>>) -> Receipt {
    let lost = || Receipt::unattempted(Error::panicked(&"while the request was delivered"));
    let receipt = owner.await.unwrap_or_else(lost);
    for other in others {
        let other = other.await.unwrap_or_else(lost);
        if other.is_dropped() && !receipt.is_dropped() {
            return other;
        }
    }
    receipt
}

/// Merges the lists of several gateways. Of the copies of a group, the one with the latest push remains.
fn merged(lists: Vec<Vec<StoredGroup>>) -> Vec<StoredGroup> {
    let mut groups: BTreeMap<_, StoredGroup> = BTreeMap::new();
    for group in lists.into_iter().flatten() {
        let other = groups.get(&group.labels);
        if other.is_none_or(|other| other.pushed_at() < group.pushed_at()) {
            groups.insert(group.labels.clone(), group);
        }
    }
    groups.into_values().collect()
}
