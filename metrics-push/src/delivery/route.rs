//! `Route`: a sink, its circuit breaker, its spool and the history of its groups.

use std::fmt;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::breaker::{Breaker, BreakerState};
use super::in_flight_limit::InFlightLimit;
use super::policy::{MAX_ATTEMPT_TIMEOUT, MAX_IN_FLIGHT, MAX_SAMPLES_IN_FLIGHT, REPLAY_INTERVAL};
use super::ring_spool::RingSpool;
use super::unsure::UnsureRequests;
use crate::clock::Moment;
use crate::history::{History, Recorded};
use crate::labels::GroupingKey;
use crate::push_request::{RunEnding, Verb};
use crate::sink::{Model, OnRepeat, Query, Shards, Sink};
use crate::spool::{RequestOrigin, SentBefore, Spool};
use crate::sync::Mutex;

/// A destination of requests. Clones share one state.
#[derive(Clone, Debug)]
pub(crate) struct Route(Arc<RouteState>);

#[derive(Debug)]
struct RouteState {
    sink: Arc<dyn Sink>,
    /// The URL of the sink without credentials. That of a shard is not the URL of its ring.
    url: String,
    /// `None` if the sink is not a shard.
    shard: Option<Shard>,
    in_flight_limit: Mutex<InFlightLimit>,
    /// `None` on a direct route.
    failures: Option<FailureState>,
}

/// One shard of a ring.
#[derive(Debug)]
pub(super) struct Shard {
    shards: Arc<Shards>,
    index: usize,
    spooled: Arc<RingSpool>,
}

impl Shard {
    /// Returns the shards of a ring, each with its sink.
    pub(super) fn all_of(shards: &Arc<Shards>) -> impl Iterator<Item = (Arc<dyn Sink>, Self)> {
        let spooled = Arc::default();
        shards.gateways().iter().enumerate().map(move |(index, gateway)| {
            let (shards, spooled) = (Arc::clone(shards), Arc::clone(&spooled));
            (Arc::clone(gateway) as Arc<dyn Sink>, Self { shards, index, spooled })
        })
    }

    fn adopt(&self, spool: &Spool) {
        let ring = self.shards.ring();
        self.spooled.adopt(spool, |url| url != ring.name() && ring.is_version_of(url));
    }

    /// Returns the groups of this shard that have a spooled request; `None` if the spool cannot be listed. Blocks.
    fn spooled_keys(&self, spool: &Spool) -> Option<Vec<GroupingKey>> {
        self.adopt(spool);
        self.spooled.take(self.index, || {
            let mut keys = vec![Vec::new(); self.shards.gateways().len()];
            for key in spool.keys()? {
                keys[self.shards.ring().owner(&key)].push(key);
            }
            Some(keys)
        })
    }
}

/// The state for requests that could not be delivered.
#[derive(Debug)]
struct FailureState {
    spool: Option<Spool>,
    history: Arc<History>,
    breaker: Mutex<Breaker>,
    /// Whether the disk has a record that the sink is down. `None` before it was read.
    is_outage_recorded: Mutex<Option<bool>>,
    unsure: Mutex<UnsureRequests>,
    /// The earliest time to deliver the spooled requests of other groups and earlier processes; `None` if the spool is not known
    /// to contain any.
    drain_at: Mutex<Option<Moment>>,
}

impl FailureState {
    fn new(spool: Option<Spool>, history: Arc<History>) -> Self {
        Self {
            spool,
            history,
            breaker: Mutex::default(),
            is_outage_recorded: Mutex::default(),
            unsure: Mutex::default(),
            drain_at: Mutex::new(Some(Moment::now())),
        }
    }
}

impl Route {
    /// Returns a route for callers that wait for the result of each request. It has no breaker and no spool.
    pub(crate) fn direct(sink: Arc<dyn Sink>) -> Self {
        Self::new(sink, None, None)
    }

    /// Returns a route for the runs of jobs, with a breaker.
    pub(crate) fn buffered(
        sink: Arc<dyn Sink>,
        spool: Option<Spool>,
        history: Arc<History>,
    ) -> Self {
        Self::new(sink, None, Some(FailureState::new(spool, history)))
    }

    /// Returns the same for one shard of a ring. `spool` is that of the ring.
    pub(super) fn of_shard(
        sink: Arc<dyn Sink>,
        shard: Shard,
        spool: Option<Spool>,
        history: Arc<History>,
    ) -> Self {
        let spool = spool.map(|spool| spool.for_server(&sink.to_string()));
        Self::new(sink, Some(shard), Some(FailureState::new(spool, history)))
    }

    fn new(sink: Arc<dyn Sink>, shard: Option<Shard>, failures: Option<FailureState>) -> Self {
        let url = sink.to_string();
        let in_flight_limit = Mutex::default();
        Self(Arc::new(RouteState { sink, url, shard, in_flight_limit, failures }))
    }

    /// Returns a number that is unique among the routes of this process. The URL is not unique: two routes may differ
    /// only in their credentials.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    pub(crate) fn sink(&self) -> &Arc<dyn Sink> {
        &self.0.sink
    }

    /// Returns true if the sink stores a request that it receives twice only once.
    pub(super) fn is_idempotent(&self) -> bool {
        self.sink().semantics().on_repeat == OnRepeat::Idempotent
    }

    /// Returns how many requests may be in flight now.
    pub(crate) fn in_flight_limit(&self) -> usize {
        match self.sink().semantics().model {
            Model::Groups => self.0.in_flight_limit.lock().requests(),
            Model::Samples | Model::Messages => self.max_in_flight(),
        }
    }

    /// Adapts the number of requests in flight to the time of an attempt.
    pub(super) fn record_response(&self, time: Duration) {
        self.0.in_flight_limit.lock().record_response(time);
    }

    /// Returns how many requests may be in flight if the sink responds fast.
    pub(crate) fn max_in_flight(&self) -> usize {
        match self.sink().semantics().model {
            Model::Groups => MAX_IN_FLIGHT,
            Model::Samples | Model::Messages => MAX_SAMPLES_IN_FLIGHT,
        }
    }

    /// Returns the query interface, if stored groups show which requests the sink has applied. A sink that adds up the
    /// values does not show it.
    pub(super) fn query(&self) -> Option<&dyn Query> {
        self.sink().query().filter(|_| self.is_idempotent())
    }

    pub(crate) fn spool(&self) -> Option<&Spool> {
        self.0.failures.as_ref()?.spool.as_ref()
    }

    /// Returns the ring, if the sink is one of its shards and can be asked which groups it has.
    pub(super) fn shards(&self) -> Option<&Arc<Shards>> {
        self.0.shard.as_ref().filter(|_| self.is_idempotent()).map(|shard| &shard.shards)
    }

    /// Returns the groups that have a spooled request for this route. If the spool cannot be listed, it is drained later.
    /// Blocks.
    pub(crate) fn spooled_keys(&self) -> Vec<GroupingKey> {
        let Some(spool) = self.spool() else { return Vec::new() };
        let keys = match &self.0.shard {
            Some(shard) => shard.spooled_keys(spool),
            None => spool.keys(),
        };
        if keys.is_none() {
            self.drain_later();
        }
        keys.unwrap_or_default()
    }

    /// Requests another drain, because the spool could not be listed.
    pub(super) fn drain_later(&self) {
        self.request_drain_at(Moment::now().after(REPLAY_INTERVAL));
    }

    /// Announces that the spooled requests of these groups will be delivered.
    pub(crate) fn expect_groups(&self, keys: &[GroupingKey]) {
        if let Some(query) = self.query() {
            // A response of this age is recent enough: after any query, the sink may take as long to apply the request.
            query.expect_groups(keys, MAX_ATTEMPT_TIMEOUT);
        }
    }

    /// Returns the groups that have a spooled request for any shard of the ring, if the sink is one of them; `None` if the
    /// spool cannot be listed. Blocks.
    pub(super) fn spooled_keys_of_sink(&self) -> Option<Vec<GroupingKey>> {
        let Some(spool) = self.spool() else { return Some(Vec::new()) };
        if let Some(shard) = &self.0.shard {
            shard.adopt(spool);
        }
        spool.keys()
    }

    fn history(&self) -> Option<&History> {
        Some(&self.0.failures.as_ref()?.history)
    }

    /// Returns true if a delivery may use the disk.
    pub(crate) fn has_disk(&self) -> bool {
        self.spool().is_some() || self.history().is_some_and(History::is_enabled)
    }

    /// Records the runs that a request reports, and returns what the history adds to it. Blocks if
    /// [`has_disk`](Self::has_disk).
    pub(crate) fn record_runs(&self, key: &GroupingKey, endings: &[Arc<RunEnding>]) -> Recorded {
        self.useful(self.history().map(|history| history.record(key, &self.0.url, endings)))
    }

    /// Returns what the history adds to a request that reports no new run. Blocks.
    pub(super) fn look_up(&self, key: &GroupingKey) -> Recorded {
        self.useful(self.history().map(|history| history.look_up(key, &self.0.url)))
    }

    /// Returns true if a request of another process may replace newer totals of the history. Samples have their own times.
    pub(crate) fn can_replace_totals(&self) -> bool {
        self.sink().semantics().model == Model::Groups && self.is_idempotent()
    }

    /// Returns the values of the families that the history has added to an accepted request, if runs were recorded since.
    /// Another process that reports them may have been faster, so the sink may have the older values. Blocks.
    pub(crate) fn newer(&self, key: &GroupingKey, known: &Recorded) -> Option<Recorded> {
        self.history()?.newer(key, &self.0.url, known)
    }

    /// Returns true if each request needs the times of earlier runs: a compacted topic stores only the last message of a
    /// group.
    pub(super) fn needs_last_times(&self) -> bool {
        self.sink().semantics().model == Model::Messages
    }

    /// Returns what a request for this sink needs of the history.
    fn useful(&self, recorded: Option<Recorded>) -> Recorded {
        // A sink that adds up the values would add up totals.
        let mut recorded = recorded.filter(|_| self.is_idempotent()).unwrap_or_default();
        if self.sink().semantics().model == Model::Samples {
            // A push does not remove earlier samples.
            recorded.last_times.clear();
        }
        recorded
    }

    /// Records how a delivery of runs went. Blocks.
    pub(super) fn record_delivery(
        &self,
        key: &GroupingKey,
        endings: &[Arc<RunEnding>],
        attempts: u32,
        checked_at: Option<Moment>,
    ) {
        let Some(history) = self.history() else { return };
        // One attempt is the default.
        if !endings.is_empty() && attempts != 1 {
            history.set_attempts(key, endings, attempts);
        }
        if let Some(checked_at) = checked_at {
            history.set_checked(key, &self.0.url, checked_at);
        }
    }

    pub(crate) fn breaker(&self) -> Option<MutexGuard<'_, Breaker>> {
        Some(self.0.failures.as_ref()?.breaker.lock())
    }

    /// Returns the state of the breaker. A process without a delivery reports an outage that another process has recorded.
    /// Blocks.
    pub(crate) fn breaker_state(&self) -> Option<BreakerState> {
        let state = self.breaker()?.state();
        let is_loaded = self.0.failures.as_ref()?.is_outage_recorded.lock().is_some();
        let is_down = || self.spool().is_some_and(|spool| spool.is_sink_down(Moment::now()));
        Some(if !is_loaded && is_down() { BreakerState::Open } else { state })
    }

    /// Closes the breaker, because the sink has responded.
    pub(crate) fn record_answer(&self) {
        if let Some(mut breaker) = self.breaker() {
            breaker.record_answer();
        }
    }

    /// Returns true if the sink is known to be down and the spool stores what it does not accept.
    pub(crate) fn is_down(&self) -> bool {
        let is_open = || self.breaker().is_some_and(|it| it.state() != BreakerState::Closed);
        self.spool().is_some() && is_open()
    }

    /// Restores what other processes have stored about the sink, and opens the breaker if it is down. Reads the disk once;
    /// blocks.
    pub(crate) fn load_state(&self) {
        let Some((failures, spool)) = self.0.failures.as_ref().zip(self.spool()) else { return };
        let mut is_recorded = failures.is_outage_recorded.lock();
        if is_recorded.is_none() {
            if let Some(shard) = &self.0.shard {
                shard.adopt(spool);
            }
            let now = Moment::now();
            let is_down = spool.is_sink_down(now);
            *is_recorded = Some(is_down);
            if is_down {
                failures.breaker.lock().open_with_probe(now);
            }
            if let Some(state) = spool.sink_state() {
                self.sink().restore(&state);
            }
        }
    }

    /// Writes the states of the breaker and of the sink to the disk if they have changed. Blocks.
    pub(crate) fn store_state(&self) {
        let Some((failures, spool)) = self.0.failures.as_ref().zip(self.spool()) else { return };
        let mut is_recorded = failures.is_outage_recorded.lock();
        let is_down = self.is_down();
        match (is_down, is_recorded.unwrap_or(false)) {
            (true, false) => spool.record_outage(Moment::now()),
            (false, true) => spool.remove_outage(),
            _ => {}
        }
        *is_recorded = Some(is_down);
        if let Some(state) = self.sink().take_state() {
            spool.store_sink_state(&state);
        }
    }

    /// Returns true if the disk has a record of the series that the sink ends.
    pub(crate) fn has_series_on_disk(&self) -> bool {
        self.spool().is_some() && self.sink().sent_groups().is_some()
    }

    /// Restores which series the sink has in a group, before a request for it. If this call is the first to record that this
    /// process sends the group, returns the time of the record. Blocks.
    pub(crate) fn restore_series(
        &self,
        key: &GroupingKey,
        origin: RequestOrigin,
    ) -> Option<Moment> {
        let (groups, spool) = self.sink().sent_groups().zip(self.spool())?;
        let SentBefore { series, joined_at } = spool.sent_series(key, origin)?;
        groups.restore(key, series);
        joined_at
    }

    /// Stores which series the sink has in a group, after it has accepted a request with this verb.
    /// Blocks.
    pub(super) fn store_series(&self, key: &GroupingKey, verb: Verb) {
        if let Some((groups, spool)) = self.sink().sent_groups().zip(self.spool()) {
            spool.store_sent_series(key, verb, groups.series(key));
        }
    }

    pub(super) fn unsure(&self) -> Option<MutexGuard<'_, UnsureRequests>> {
        Some(self.0.failures.as_ref()?.unsure.lock())
    }

    /// Requests that the spool is drained once the sink is reachable.
    pub(crate) fn request_drain(&self) {
        self.request_drain_at(Moment::now());
    }

    /// Requests that the spool is drained once the sink is reachable, but not before `at`.
    pub(super) fn request_drain_at(&self, at: Moment) {
        if let Some(failures) = &self.0.failures {
            if let Some(shard) = &self.0.shard {
                shard.spooled.forget(shard.index);
            }
            let mut drain_at = failures.drain_at.lock();
            *drain_at = Some(drain_at.map_or(at, |earlier| earlier.earlier_of(at)));
        }
    }

    /// Returns true once for each requested drain that is due at `now`, and once after the route is created.
    pub(crate) fn take_drain_request(&self, now: Moment) -> bool {
        let failures = self.0.failures.as_ref().filter(|failures| failures.spool.is_some());
        failures.is_some_and(|failures| {
            failures.drain_at.lock().take_if(|at| now.is_at_or_after(*at)).is_some()
        })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.url)
    }
}
