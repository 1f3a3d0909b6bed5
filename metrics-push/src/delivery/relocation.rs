//! Moves a group to another shard after a change of the ring.
//!
//! The state directory stores which shard a group was last delivered to. After another shard has accepted the group, it is
//! deleted from the earlier ones. If one of them does not respond, the next delivery of the group tries again.

use std::sync::Arc;
use std::time::Duration;

use super::policy::PROBE_TIMEOUT;
use crate::clock::Moment;
use crate::error::Error;
use crate::labels::GroupingKey;
use crate::log;
use crate::push_request::{Payload, PushRequest};
use crate::sink::{Rejection, Shards, Sink as _};
use crate::spool::{Placement, Spool};

/// Where a group is stored, and where it belongs.
#[derive(Debug)]
pub(super) struct Relocation {
    shards: Arc<Shards>,
    /// `None` if the group was not delivered yet, or its record is lost.
    stored: Option<Placement>,
    current: Placement,
    /// The earlier shards that are not known to be down.
    reachable: Vec<String>,
    /// The earlier shards that did not respond.
    unreachable: Vec<String>,
}

impl Relocation {
    /// Loads the placement of a group. Blocks on the disk.
    pub(super) fn load(shards: &Arc<Shards>, spool: &Spool, key: &GroupingKey) -> Self {
        let ring = shards.ring();
        let stored = spool.placement(key, |name| ring.is_version_of(name));
        let owner = shards.owner(key).url().to_owned();
        let earlier = stored.iter().flat_map(|stored| &stored.shards).filter(|url| **url != owner);
        let earlier: Vec<_> = earlier.cloned().collect();
        let is_down = |url: &String| spool.for_server(url).is_sink_down(Moment::now());
        let (unreachable, reachable) = earlier.iter().cloned().partition(is_down);
        let shards_with_group = earlier.into_iter().chain([owner]).collect();
        let current = Placement { ring: ring.name().to_owned(), shards: shards_with_group };
        Self { shards: Arc::clone(shards), stored, current, reachable, unreachable }
    }

    /// Returns true if another shard may have the group.
    pub(super) fn has_moved(&self) -> bool {
        self.current.shards.len() > 1
    }

    /// Deletes the group from its earlier shards, because the right one has accepted it.
    pub(super) async fn delete_elsewhere(&mut self, key: &GroupingKey, timeout: Duration) {
        for url in std::mem::take(&mut self.reachable) {
            match self.delete_from(&url, key, timeout).await {
                Ok(()) => {
                    log::debug(format_args!("{key} moved from {url} to another shard"));
                    self.current.shards.retain(|shard| *shard != url);
                }
                Err(error) => {
                    log::debug(format_args!("{key} is still on its earlier shard: {error:?}"));
                    // A shorter timeout does not show that the shard is down.
                    let is_timed_out = error.is_timeout() && timeout >= PROBE_TIMEOUT;
                    if error.is_unreachable() || is_timed_out {
                        self.unreachable.push(url);
                    } else if !error.is_retryable() {
                        // It would refuse the next request as well.
                        self.current.shards.retain(|shard| *shard != url);
                    }
                }
            }
        }
    }

    async fn delete_from(
        &self,
        url: &str,
        key: &GroupingKey,
        timeout: Duration,
    ) -> Result<(), Error> {
        let gateway = self.shards.gateway_at(url)?;
        let request = PushRequest::delete(key.clone());
        let payload = Payload::from(&request);
        let sent = gateway.send(&payload, timeout).await;
        sent.map(drop).map_err(Rejection::into_error)
    }

    /// Stores the placement, and which earlier shards are down. Blocks on the disk.
    pub(super) fn store(&self, spool: &Spool, key: &GroupingKey) {
        for url in &self.unreachable {
            spool.for_server(url).record_outage(Moment::now());
        }
        if self.stored.as_ref() != Some(&self.current) {
            spool
                .store_placement(key, &self.current, |name| self.shards.ring().is_version_of(name));
        }
    }
}
