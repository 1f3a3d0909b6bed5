//! Spooled: what waits on disk for a gateway, to be looked at, and given up where nobody wants it any more.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::Deployment;
use crate::delivery::Route;
use crate::labels::GroupingKey;
use crate::parcel::Verb;
use crate::spool;

/// One parcel that waits in the state directory: what could not be delivered to a group.
pub struct Spooled {
    route: Route,
    record: spool::Spooled,
}

/// What waits in the state directory for the gateways that this process is configured for, oldest first.
///
/// [`recover`](crate::recover) delivers it, and each run does so on its way.
///
/// ```
/// for spooled in metrics_push::spooled() {
///     println!("{} for {}", spooled.key(), spooled.url());
/// }
/// ```
#[must_use]
pub fn spooled() -> Vec<Spooled> {
    let mut found = Vec::new();
    for route in &Deployment::current().sinks {
        let Some(spool) = route.spool() else { continue };
        let records = spool.keys().into_iter().filter_map(|key| spool.look_up(&key));
        found.extend(records.map(|record| Spooled { route: route.clone(), record }));
    }
    found.sort_by_key(Spooled::made);
    found
}

impl Spooled {
    /// The URL of the gateway it waits for, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        self.route.to_string()
    }

    /// The group it is for.
    #[must_use]
    pub fn key(&self) -> &GroupingKey {
        self.record.parcel.key()
    }

    /// What it does to the group.
    #[must_use]
    pub fn verb(&self) -> Verb {
        self.record.parcel.verb()
    }

    /// When its newest part was made.
    #[must_use]
    pub fn made(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.record.parcel.made())
    }

    /// Its metrics, in the text format.
    #[must_use]
    pub fn exposition(&self) -> String {
        self.record.parcel.body()
    }

    /// Removes it from the disk, unless it has changed since it was looked at. The outcome is lost.
    pub fn discard(self) {
        if let Some(spool) = self.route.spool() {
            spool.remove(&self.record);
        }
    }
}

impl fmt::Debug for Spooled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spooled")
            .field("url", &self.url())
            .field("key", self.key())
            .field("verb", &self.verb())
            .field("made", &self.made())
            .finish_non_exhaustive()
    }
}
