//! `Backlog`: the data on disk for the key of a delivery, loaded before the first attempt.

use std::sync::Arc;
use std::time::Duration;

use super::reconcile::keep_newer;
use super::relocation::Relocation;
use super::route::Route;
use crate::clock::Moment;
use crate::error::Error;
use crate::history::Recorded;
use crate::labels::GroupingKey;
use crate::log;
use crate::push_request::{Payload, PushRequest, Verb};
use crate::sink::Query;
use crate::spool::{SpoolEntry, SpoolReason, SpoolStats};

/// The spooled request, its history and the state of the spool. Empty on a route without a spool.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    spooled: Spooled,
    /// Present if the sink is a shard of a ring.
    relocation: Option<Relocation>,
    /// What the history adds to the requests.
    pub(super) recorded: Arc<Recorded>,
    pub(super) stats: Option<SpoolStats>,
}

/// The spooled request that is delivered together with a new one.
#[derive(Debug, Default)]
enum Spooled {
    #[default]
    None,
    /// Not yet compared with the group on the sink.
    Unreconciled(SpoolEntry),
    /// `remaining` is the part of the entry that the group does not have in a newer form.
    Reconciled { remaining: Option<PushRequest>, entry: SpoolEntry },
    /// The group could not be read, and may be newer than the entry: the entry stays on disk.
    Withheld,
}

impl Backlog {
    /// Loads the backlog of a key. Blocks on the disk.
    pub(crate) fn load(route: &Route, key: &GroupingKey) -> Self {
        let Some(spool) = route.spool() else { return Self::default() };
        let relocation = route.shards().map(|shards| Relocation::load(shards, spool, key));
        let spooled = spool.look_up(key);
        let has_moved = relocation.as_ref().is_some_and(Relocation::has_moved);
        let needs_history = spooled.is_some() || has_moved || route.needs_last_times();
        let recorded = if needs_history { route.look_up(key) } else { Recorded::default() };
        Self {
            recorded: Arc::new(recorded),
            spooled: spooled.map_or(Spooled::None, Spooled::Unreconciled),
            relocation,
            // Best-effort requests do not send the statistics, but a completion may be merged into one.
            stats: Some(spool.stats()),
        }
    }

    /// Compares the spooled request with the group on the sink, once. `verb` is that of the new request. Without a query
    /// interface, no value replaces an older one. If the group cannot be read, the new request is sent alone.
    ///
    /// # Errors
    /// The reason why the group could not be read, if the backlog is delivered alone or the sink is unreachable or rejects the
    /// credentials.
    pub(super) async fn reconcile(
        &mut self,
        query: Option<&dyn Query>,
        key: &GroupingKey,
        verb: Option<Verb>,
        timeout: Duration,
    ) -> Result<(), Error> {
        let Spooled::Unreconciled(entry) = &self.spooled else { return Ok(()) };
        let entry = entry.clone();
        let request = entry.request.clone();
        let remaining = if matches!(verb, Some(Verb::Push | Verb::Delete)) {
            // The new request replaces the group.
            None
        } else if let Some(query) = query {
            // A new request needs time as well.
            let timeout = if verb.is_some() { timeout / 2 } else { timeout };
            match query.group(key, None, timeout).await {
                Ok(Some(group)) => keep_newer(request, &group, Moment::now()),
                Ok(None) => Some(request),
                Err(error) if verb.is_none() => return Err(withheld(error)),
                // The sink has accepted it before. The new outcome must not wait for the confirmation.
                Err(_) if entry.reason == SpoolReason::Unconfirmed => None,
                Err(error) if error.is_unreachable() || error.is_about_credentials() => {
                    return Err(error);
                }
                Err(error) => {
                    log::debug(format_args!("{:?}", withheld(error)));
                    self.spooled = Spooled::Withheld;
                    return Ok(());
                }
            }
        } else {
            Some(request)
        };
        self.spooled = Spooled::Reconciled { remaining, entry };
        Ok(())
    }

    /// Merges the spooled request and a new one into a payload; `None` if nothing is left to send.
    pub(super) fn assemble<'a>(&'a self, request: Option<&'a PushRequest>) -> Option<Payload<'a>> {
        let remaining = self.remaining();
        let mut payload = Payload::from(remaining.or(request)?);
        if let (Some(_), Some(request)) = (remaining, request) {
            payload.merge(request);
        }
        Some(payload)
    }

    /// Returns the spooled request that was not sent yet.
    pub(super) fn unsent(&self) -> Option<&PushRequest> {
        match &self.spooled {
            Spooled::Unreconciled(entry) => Some(&entry.request),
            Spooled::None | Spooled::Reconciled { .. } | Spooled::Withheld => None,
        }
    }

    /// Records that the spooled request was accepted. It can be removed from the disk.
    pub(super) fn set_accepted(&mut self) {
        if let Spooled::Unreconciled(entry) = &self.spooled {
            self.spooled = Spooled::Reconciled { remaining: None, entry: entry.clone() };
        }
    }

    /// Leaves the spooled request on disk.
    pub(super) fn withhold(&mut self) {
        self.spooled = Spooled::Withheld;
    }

    /// Returns the part of the spooled request that is being sent.
    pub(super) fn remaining(&self) -> Option<&PushRequest> {
        match &self.spooled {
            Spooled::Reconciled { remaining, .. } => remaining.as_ref(),
            Spooled::None | Spooled::Unreconciled(_) | Spooled::Withheld => None,
        }
    }

    /// Returns the whole spooled request, unless it stays on disk.
    pub(super) fn spooled(&self) -> Option<&PushRequest> {
        match &self.spooled {
            Spooled::Reconciled { entry, .. } | Spooled::Unreconciled(entry) => {
                Some(&entry.request)
            }
            Spooled::None | Spooled::Withheld => None,
        }
    }

    /// Returns the spooled request if the sink has not accepted it, so that the copy that was sent earlier may arrive late.
    pub(super) fn unsure(&self) -> Option<&PushRequest> {
        match &self.spooled {
            Spooled::Reconciled { entry, .. } | Spooled::Unreconciled(entry) => {
                Some(&entry.request).filter(|_| entry.reason == SpoolReason::Undelivered)
            }
            Spooled::None | Spooled::Withheld => None,
        }
    }

    /// Returns true if the spooled request stays on disk although a new request is delivered.
    pub(super) fn is_withheld(&self) -> bool {
        matches!(self.spooled, Spooled::Withheld)
    }

    /// Returns true if another shard may have the group, so that this one may lack its timestamps.
    pub(super) fn has_moved(&self) -> bool {
        self.relocation.as_ref().is_some_and(Relocation::has_moved)
    }

    /// Deletes the group from the shards that stored it before a change of the ring.
    pub(super) async fn delete_elsewhere(&mut self, key: &GroupingKey, timeout: Duration) {
        if let Some(relocation) = &mut self.relocation {
            relocation.delete_elsewhere(key, timeout).await;
        }
    }

    /// Stores which shards have the group. Blocks.
    pub(super) fn store_placement(&self, route: &Route, key: &GroupingKey) {
        if let (Some(relocation), Some(spool)) = (&self.relocation, route.spool()) {
            relocation.store(spool, key);
        }
    }

    /// Removes the spooled request from the disk, if it has been reconciled. Blocks.
    pub(super) fn remove_spooled(&self, route: &Route) {
        if let (Spooled::Reconciled { entry, .. }, Some(spool)) = (&self.spooled, route.spool()) {
            spool.remove(entry);
        }
    }
}

/// Returns the reason why an older outcome stays on disk. Temporary and permanent causes differ in their kind.
fn withheld(error: Error) -> Error {
    if error.is_retryable() || error.is_about_credentials() {
        return error;
    }
    Error::config("the group could not be read, and may be newer than the stored outcome")
        .caused_by(error)
        .remedy("check that the URL is that of a Pushgateway, and that a proxy forwards /api/v1/metrics")
}
