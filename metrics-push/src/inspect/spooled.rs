//! `SpooledRequest`: a request that is stored on disk because it could not be delivered.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::labels::GroupingKey;
use crate::pipeline::Pipeline;
use crate::push_request::Verb;
use crate::spool::{Spool, SpoolEntry};

/// An undelivered request in the state directory.
pub struct SpooledRequest {
    spool: Arc<Spool>,
    entry: SpoolEntry,
    is_configured: bool,
}

/// Returns the undelivered requests for all gateways, oldest first.
///
/// The next run that [is configured](SpooledRequest::is_configured) for the gateway of a request delivers it once the gateway
/// is reachable. [`recover`](crate::recover()) delivers it on demand. After a change of the URL, call
/// [`move_undelivered`](crate::move_undelivered) first.
///
/// ```
/// for request in metrics_push::spooled_requests() {
///     println!("{} for {}", request.key(), request.url());
/// }
/// ```
#[must_use]
pub fn spooled_requests() -> Vec<SpooledRequest> {
    let pipeline = Pipeline::current();
    let entries = Spool::entries_of_all_sinks(&pipeline.state_dir).into_iter();
    let requests = entries.map(|(spool, entry)| {
        let is_configured = pipeline.present_url(spool.sink()).is_some();
        SpooledRequest { spool, entry, is_configured }
    });
    let mut requests: Vec<_> = requests.collect();
    requests.sort_by_key(SpooledRequest::created_at);
    requests
}

impl SpooledRequest {
    /// Returns the URL of its gateway, without credentials.
    #[must_use]
    pub fn url(&self) -> &str {
        self.spool.sink()
    }

    /// Returns true if its gateway is configured, so that the next run delivers it.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.is_configured
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
        self.spool.remove(&self.entry);
    }

    pub(super) fn move_to(&self, spool: &Spool) -> Result<(), crate::error::Error> {
        self.spool.move_to(spool, &self.entry)
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
