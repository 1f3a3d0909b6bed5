//! `SpooledRequest`: a request that is stored on disk because it could not be delivered.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::delivery::Route;
use crate::labels::GroupingKey;
use crate::pipeline::Pipeline;
use crate::push_request::Verb;
use crate::spool::SpoolEntry;

/// An undelivered request in the state directory.
pub struct SpooledRequest {
    route: Route,
    entry: SpoolEntry,
}

/// Returns the undelivered requests for the configured gateways, oldest first.
///
/// The next run delivers them once their gateway is reachable. [`recover`](crate::recover) delivers them on demand.
///
/// ```
/// for request in metrics_push::spooled_requests() {
///     println!("{} for {}", request.key(), request.url());
/// }
/// ```
#[must_use]
pub fn spooled_requests() -> Vec<SpooledRequest> {
    let mut requests = Vec::new();
    for route in &Pipeline::current().routes {
        let Some(spool) = route.spool() else { continue };
        let entries = spool.keys().into_iter().filter_map(|key| spool.look_up(&key));
        requests.extend(entries.map(|entry| SpooledRequest { route: route.clone(), entry }));
    }
    requests.sort_by_key(SpooledRequest::created_at);
    requests
}

impl SpooledRequest {
    /// Returns the URL of its gateway, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        self.route.to_string()
    }

    /// Returns the grouping key.
    #[must_use]
    pub fn key(&self) -> &GroupingKey {
        self.entry.request.key()
    }

    /// Returns how the request changes its group.
    #[must_use]
    pub fn verb(&self) -> Verb {
        self.entry.request.verb()
    }

    /// Returns when its newest part was created.
    #[must_use]
    pub fn created_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.entry.request.created_at())
    }

    /// Returns its metrics in the text format.
    #[must_use]
    pub fn exposition(&self) -> String {
        self.entry.request.body()
    }

    /// Removes the request from the disk, unless it has changed since it was read. Its outcome is lost.
    pub fn discard(self) {
        if let Some(spool) = self.route.spool() {
            spool.remove(&self.entry);
        }
    }
}

impl fmt::Debug for SpooledRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpooledRequest")
            .field("url", &self.url())
            .field("key", self.key())
            .field("verb", &self.verb())
            .field("created_at", &self.created_at())
            .finish_non_exhaustive()
    }
}
