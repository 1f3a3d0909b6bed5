//! `Router`: the routes of one sink, which are several if the sink is a ring of gateways.
//!
//! Each shard has a route, and so a circuit breaker. The shards share the spool: a record names the ring, so that it is
//! delivered to the right shard after a change of the ring. The groups of a shard that is down wait for it: if two shards had a
//! group, Prometheus would store the values of both in turn.

use std::sync::Arc;

use super::route::{Route, Shard};
use crate::history::History;
use crate::labels::GroupingKey;
use crate::sink::{Destination, Shards, Sink};
use crate::spool::Spool;

/// Selects the route for each request to one sink. Clones share the routes.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    /// The URL of the sink without credentials.
    url: String,
    shards: Option<Arc<Shards>>,
    routes: Vec<Route>,
}

impl Router {
    /// Returns the routes for callers that wait for the result of each request.
    pub(crate) fn direct(destination: Destination) -> Self {
        Self::new(destination, |sink, _| Route::direct(sink))
    }

    /// Returns the routes for the runs of jobs. `spool` is that of the sink.
    pub(crate) fn buffered(
        destination: Destination,
        spool: Option<&Spool>,
        history: &Arc<History>,
    ) -> Self {
        Self::new(destination, |sink, shard| {
            let spool = spool.map(|spool| spool.for_sink(spool.sink()));
            let history = Arc::clone(history);
            match shard {
                None => Route::buffered(sink, spool, history),
                Some(shard) => Route::of_shard(sink, shard, spool, history),
            }
        })
    }

    fn new(
        destination: Destination,
        new_route: impl Fn(Arc<dyn Sink>, Option<Shard>) -> Route,
    ) -> Self {
        let url = destination.to_string();
        match destination {
            Destination::Single(sink) => {
                Self { url, shards: None, routes: vec![new_route(sink, None)] }
            }
            Destination::Sharded(shards) => {
                let routes = Shard::all_of(&shards);
                let routes = routes.map(|(sink, shard)| new_route(sink, Some(shard))).collect();
                Self { url, shards: Some(shards), routes }
            }
        }
    }

    /// Returns the URL of the sink without credentials. Records in the state directory name their sink by it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns true if records for the sink with this URL are for this one, also those for the ring before a change.
    pub(crate) fn is_for(&self, url: &str) -> bool {
        match &self.shards {
            Some(shards) => shards.ring().is_version_of(url),
            None => self.url == url,
        }
    }

    /// Returns the route for a group.
    pub(crate) fn route(&self, key: &GroupingKey) -> &Route {
        &self.routes[self.index_of(key)]
    }

    fn index_of(&self, key: &GroupingKey) -> usize {
        self.shards.as_ref().map_or(0, |shards| shards.ring().owner(key))
    }

    /// Returns each route with the groups that have a spooled request for it. If the spool cannot be listed, it is drained
    /// later. Reads the spool once, and blocks.
    pub(crate) fn spooled_keys(&self) -> impl Iterator<Item = (&Route, Vec<GroupingKey>)> {
        let mut keys = vec![Vec::new(); self.routes.len()];
        let spooled = self.routes[0].spooled_keys_of_sink();
        if spooled.is_none() {
            self.routes.iter().for_each(Route::drain_later);
        }
        for key in spooled.unwrap_or_default() {
            keys[self.index_of(&key)].push(key);
        }
        self.routes.iter().zip(keys)
    }

    pub(crate) fn routes(&self) -> &[Route] {
        &self.routes
    }

    pub(crate) fn has_shards(&self) -> bool {
        self.shards.is_some()
    }
}
