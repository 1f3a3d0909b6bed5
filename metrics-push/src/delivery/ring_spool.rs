//! `RingSpool`: the spooled requests of a ring, whose shards share one spool.
//!
//! Only the content of a record shows its group, and so its shard. After an outage of all shards, each of them drains the
//! spool, so one listing serves all of them.

use std::sync::OnceLock;
use std::time::Duration;

use crate::clock::Moment;
use crate::labels::GroupingKey;
use crate::spool::Spool;
use crate::sync::Mutex;

/// Later, other processes may have stored requests that the listing does not have.
const LISTING_TTL: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct RingSpool {
    /// Set once this process has adopted the spooled requests for the ring before a change.
    adoption: OnceLock<()>,
    listing: Mutex<Option<ShardKeys>>,
}

#[derive(Debug)]
struct ShardKeys {
    expires_at: Moment,
    /// The groups of each shard; `None` if the shard has taken them, or has stored others since.
    keys: Vec<Option<Vec<GroupingKey>>>,
}

impl RingSpool {
    /// Moves the requests for the ring before a change to this one, once. Blocks.
    pub(super) fn adopt(&self, spool: &Spool, is_earlier: impl Fn(&str) -> bool) {
        self.adoption.get_or_init(|| spool.adopt(is_earlier));
    }

    /// Returns the groups of a shard. `list` returns the groups of all shards, or `None` if it fails. It is called if
    /// no valid listing contains the groups of this shard.
    pub(super) fn take(
        &self,
        shard: usize,
        list: impl FnOnce() -> Option<Vec<Vec<GroupingKey>>>,
    ) -> Option<Vec<GroupingKey>> {
        let mut listing = self.listing.lock();
        let known = listing.as_mut().filter(|known| !known.expires_at.remaining().is_zero());
        if let Some(keys) = known.and_then(|known| known.keys[shard].take()) {
            return Some(keys);
        }
        let expires_at = Moment::now().after(LISTING_TTL);
        let mut keys: Vec<_> = list()?.into_iter().map(Some).collect();
        let own = keys[shard].take();
        *listing = Some(ShardKeys { expires_at, keys });
        own
    }

    /// Forgets the groups of a shard, because another request is stored for it.
    pub(super) fn forget(&self, shard: usize) {
        if let Some(listing) = &mut *self.listing.lock() {
            listing.keys[shard] = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn key(name: &str) -> GroupingKey {
        GroupingKey::new(name).unwrap()
    }

    #[test]
    fn one_listing_serves_each_shard_once() {
        let spool = RingSpool::default();
        let listings = Cell::new(0);
        let take = |shard| {
            let list = || {
                listings.set(listings.get() + 1);
                Some(vec![vec![key("a")], vec![], vec![key("c")]])
            };
            spool.take(shard, list).unwrap()
        };
        assert_eq!(spool.take(0, || None), None);
        assert_eq!((take(2), take(1), take(0)), (vec![key("c")], vec![], vec![key("a")]));
        assert_eq!(listings.get(), 1);
        assert_eq!(take(1), []);
        assert_eq!(listings.get(), 2);
        spool.forget(2);
        assert_eq!((take(0), listings.get()), (vec![key("a")], 2));
        assert_eq!((take(2), listings.get()), (vec![key("c")], 3));
    }
}
