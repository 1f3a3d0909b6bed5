//! Courier: the one thread that talks to sinks. It owns the runtime, so that nobody else needs one.
//!
//! Anybody hands it a parcel, from any context and without waiting, and gets a ticket. Parcels for one group are merged
//! while they wait and sent in order, one in flight per group. It never panics and never gives an error back:
//! what became of a parcel is in its receipt.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use once_cell::sync::Lazy;
use tokio::sync::Notify;

use crate::clock::Moment;
use crate::delivery::{Delivery, Next, Receipt, Route, Urgency, tally};
use crate::error::{Error, Kind};
use crate::labels::GroupingKey;
use crate::parcel::Parcel;
use crate::spool::Spool;
use crate::ticket::{Stub, Ticket, ticket};

/// How many parcels travel at once to one sink: enough to hide a slow gateway's latency, too few to flood it. A sink
/// that is dead keeps its own waiting, and nobody else's.
const MOST_IN_FLIGHT: usize = 16;

/// How long what waited on disk may take, once its sink is known to be there. It goes on waiting after that.
const DRAIN_BUDGET: Duration = Duration::from_secs(10);

/// How much longer than its time-out anybody waits for a receipt: the courier keeps the time, and its answer says
/// more than that there was none.
pub(crate) const GRACE: Duration = Duration::from_millis(500);

/// The process' courier. Its thread starts with the first parcel.
pub(crate) fn courier() -> &'static Courier {
    static COURIER: Lazy<Courier> = Lazy::new(Courier::default);
    &COURIER
}

/// Waits until everything handed over so far has been delivered or given up, at most for `timeout`. Returns how
/// many groups are left.
///
/// A process does this by itself before it ends; a scheduler may want to before it sleeps.
pub fn flush(timeout: Duration) -> usize {
    courier().flush(timeout)
}

/// A group at the end of a route.
type Address = (usize, GroupingKey);

type Errand = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Clone, Default)]
pub(crate) struct Courier {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Notify,
    /// Signalled whenever something was finished, for those who flush.
    finished: Condvar,
}

#[derive(Default)]
struct State {
    has_thread: bool,
    waiting: BTreeMap<Address, Waiting>,
    /// The order in which addresses came to wait.
    order: VecDeque<Address>,
    in_flight: BTreeSet<Address>,
    errands: Vec<Errand>,
    /// What else has parcels, and is to hand them over before anybody flushes.
    held: Vec<Weak<dyn Held>>,
}

/// Whatever keeps parcels back for a while.
pub(crate) trait Held: Send + Sync {
    /// Hands them all over.
    fn release(&self);
}

/// A parcel on its way, and everybody who wants to know what becomes of it.
struct Waiting {
    route: Route,
    /// `None`: what waits on disk is to be delivered, and nothing else.
    parcel: Option<Parcel>,
    deadline: Moment,
    urgency: Urgency,
    askers: Vec<Stub<Receipt>>,
}

impl Waiting {
    fn join(&mut self, later: Self) {
        self.parcel = match (self.parcel.take(), later.parcel) {
            (Some(before), Some(later)) => Some(before.then(later)),
            (before, later) => later.or(before),
        };
        self.deadline = self.deadline.later_of(later.deadline);
        self.urgency = self.urgency.max(later.urgency);
        self.askers.extend(later.askers);
    }
}

impl Courier {
    /// Takes a parcel to be delivered within `budget`. Returns at once.
    pub(crate) fn hand_over(
        &self,
        route: &Route,
        parcel: Parcel,
        budget: Duration,
        urgency: Urgency,
    ) -> Ticket<Receipt> {
        self.hand_over_for(route, parcel, budget, urgency, Vec::new())
    }

    /// The same, with others who want to know what becomes of it.
    pub(crate) fn hand_over_for(
        &self,
        route: &Route,
        parcel: Parcel,
        budget: Duration,
        urgency: Urgency,
        others: Vec<Stub<Receipt>>,
    ) -> Ticket<Receipt> {
        let (stub, ticket) = ticket();
        let mut askers = others;
        askers.push(stub);
        let key = parcel.key().clone();
        let deadline = Moment::now().after(budget);
        let route = route.clone();
        self.enqueue(key, Waiting { route, parcel: Some(parcel), deadline, urgency, askers });
        ticket
    }

    /// Delivers what waits on disk for a group, within `budget`. Returns at once.
    pub(crate) fn replay(
        &self,
        route: &Route,
        key: GroupingKey,
        budget: Duration,
    ) -> Ticket<Receipt> {
        let (stub, ticket) = ticket();
        let (route, deadline) = (route.clone(), Moment::now().after(budget));
        // Whoever asks wants to know whether the gateway is there now.
        let (urgency, askers) = (Urgency::LastWord, vec![stub]);
        self.enqueue(key, Waiting { route, parcel: None, deadline, urgency, askers });
        ticket
    }

    fn enqueue(&self, key: GroupingKey, later: Waiting) {
        let mut state = self.shared.lock();
        if let Err(error) = self.ensure_thread(&mut state) {
            drop(state);
            for asker in later.askers {
                asker.answer(Receipt::undelivered(error.clone()));
            }
            return;
        }
        state.enqueue((later.route.id(), key), later);
        drop(state);
        self.shared.work.notify_one();
    }

    /// Runs `errand` on the courier's thread, where the runtime is. Returns at once.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        errand: impl Future<Output = T> + Send + 'static,
    ) -> Ticket<T> {
        let (stub, ticket) = ticket();
        let mut state = self.shared.lock();
        if self.ensure_thread(&mut state).is_ok() {
            state.errands.push(Box::pin(async move { stub.answer(errand.await) }));
        }
        drop(state);
        self.shared.work.notify_one();
        ticket
    }

    /// A ticket that is answered after this time, for whoever has no clock to wait by.
    pub(crate) fn pause(&self, time: Duration) -> Ticket<()> {
        self.run(tokio::time::sleep(time))
    }

    /// Calls `beat` at this interval on the courier's thread, until it returns `false`.
    pub(crate) fn every(
        &self,
        interval: Duration,
        mut beat: impl FnMut() -> bool + Send + 'static,
    ) {
        drop(self.run(async move {
            loop {
                tokio::time::sleep(interval).await;
                if !beat() {
                    break;
                }
            }
        }));
    }

    /// How many groups wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.lock().waiting.len()
    }

    /// Has parcels handed over before anybody flushes, as long as whoever holds them is there.
    pub(crate) fn release_before_flush(&self, held: Weak<dyn Held>) {
        let mut state = self.shared.lock();
        state.held.retain(|held| held.strong_count() > 0);
        state.held.push(held);
    }

    /// Has everything handed over that is held back, and waits until it has arrived or been given up, at most for
    /// `budget`. Returns how many parcels are left.
    pub(crate) fn flush(&self, budget: Duration) -> usize {
        let held = self.shared.lock().held.clone();
        for held in held.iter().filter_map(Weak::upgrade) {
            held.release();
        }
        let left = |state: &mut State| state.waiting.len() + state.in_flight.len();
        let guard = self.shared.lock();
        let (mut state, _) = self
            .shared
            .finished
            .wait_timeout_while(guard, budget, |state| left(state) > 0)
            .unwrap_or_else(PoisonError::into_inner);
        let left = left(&mut state);
        drop(state);
        // The process may end after this.
        tally::sum_up();
        left
    }

    fn ensure_thread(&self, state: &mut State) -> Result<(), Error> {
        if state.has_thread {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name("metrics-push".into())
            .spawn(move || carry_all(&shared))
            .map_err(|error| {
                Error::new(Kind::Unreachable, "no thread could be started to push from")
                    .caused_by(error)
            })?;
        drop(thread);
        state.has_thread = true;
        Ok(())
    }
}

impl State {
    /// The position of the first address that is free, of a route that has room.
    fn next(&self) -> Option<usize> {
        let mut travelling: BTreeMap<usize, usize> = BTreeMap::new();
        for (route, _) in &self.in_flight {
            *travelling.entry(*route).or_default() += 1;
        }
        let has_room =
            |route: &usize| travelling.get(route).is_none_or(|number| *number < MOST_IN_FLIGHT);
        self.order
            .iter()
            .position(|address| has_room(&address.0) && !self.in_flight.contains(address))
    }

    fn enqueue(&mut self, address: Address, later: Waiting) {
        match self.waiting.entry(address) {
            Entry::Occupied(mut before) => before.get_mut().join(later),
            Entry::Vacant(place) => {
                self.order.push_back(place.key().clone());
                place.insert(later);
            }
        }
    }
}

impl Shared {
    /// No code of others runs under this lock; if a panic ever poisoned it, the state is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<(Address, Waiting)> {
        let mut state = self.lock();
        let position = state.next()?;
        let address = state.order.remove(position)?;
        let waiting = state.waiting.remove(&address)?;
        state.in_flight.insert(address.clone());
        Some((address, waiting))
    }

    /// What was handed over for an address while a delivery to it was under way.
    fn take(&self, address: &Address) -> Option<Waiting> {
        let mut state = self.lock();
        let waiting = state.waiting.remove(address)?;
        state.order.retain(|other| other != address);
        Some(waiting)
    }

    fn done(&self, address: &Address) {
        self.lock().in_flight.remove(address);
        self.finished.notify_all();
        self.work.notify_one();
    }
}

/// The thread. It lives as long as the process.
fn carry_all(shared: &Arc<Shared>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(async {
            loop {
                for errand in std::mem::take(&mut shared.lock().errands) {
                    tokio::spawn(errand);
                }
                while let Some((address, waiting)) = shared.next() {
                    tokio::spawn(carry(Arrival { shared: Arc::clone(shared), address }, waiting));
                }
                shared.work.notified().await;
            }
        }),
        Err(error) => give_up(shared, &error),
    }
}

async fn carry(arrival: Arrival, waiting: Waiting) {
    let Waiting { route, parcel, deadline, urgency, mut askers } = waiting;
    let key = arrival.address.1.clone();
    let mut delivery = Delivery::new(route.clone(), key, parcel, deadline, urgency);
    let has_spool = delivery.has_spool();
    if has_spool {
        let looked_up = apart(move || {
            delivery.look_up();
            delivery
        });
        let Some(found) = looked_up.await else { return };
        delivery = found;
    }
    while let Next::AttemptAfter(pause) = delivery.attempt().await {
        tokio::time::sleep(pause).await;
        if let Some(later) = arrival.shared.take(&arrival.address) {
            delivery.join(later.parcel, later.deadline, later.urgency);
            askers.extend(later.askers);
        }
    }
    let receipt =
        if has_spool { apart(|| delivery.settle()).await } else { Some(delivery.settle()) };
    if let Some(pause) = tally::sum_up_after() {
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            tally::sum_up_in_time();
        });
    }
    let Some(receipt) = receipt else { return };
    if matches!(receipt, Receipt::Delivered { .. }) && route.is_drain_due() {
        drain(&arrival.shared, route).await;
    }
    // First the address is free again, then people are told: who asks next finds it so.
    drop(arrival);
    for asker in askers {
        asker.answer(receipt.clone());
    }
}

/// Does what blocks where it keeps nobody waiting; `None`, if it panicked.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (stub, ticket) = ticket();
    let shared = Arc::new(Mutex::new(Some(work)));
    let take = |work: &Mutex<Option<_>>| work.lock().unwrap_or_else(PoisonError::into_inner).take();
    let there = Arc::clone(&shared);
    // The runtime's own threads would do as well, but it panics where the machine has none left.
    let thread = std::thread::Builder::new().name("metrics-push-disk".into()).spawn(move || {
        if let Some(work) = take(&there) {
            stub.answer(work());
        }
    });
    match thread {
        Ok(_) => ticket.await,
        Err(_) => take(&shared).map(|work| work()),
    }
}

/// Lets everything that waits on disk for a sink travel, now that the sink is there.
async fn drain(shared: &Shared, route: Route) {
    let of_route = route.clone();
    let listed = apart(move || of_route.spool().map(Spool::keys).unwrap_or_default());
    let keys = listed.await.unwrap_or_default();
    let deadline = Moment::now().after(DRAIN_BUDGET);
    let mut state = shared.lock();
    for key in keys {
        let (route, urgency) = (route.clone(), Urgency::Passing);
        let replay = Waiting { route, parcel: None, deadline, urgency, askers: Vec::new() };
        state.enqueue((replay.route.id(), key), replay);
    }
    drop(state);
    shared.work.notify_one();
}

/// Frees an address, even if delivering to it panicked.
struct Arrival {
    shared: Arc<Shared>,
    address: Address,
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.shared.done(&self.address);
    }
}

/// Without a runtime nothing can be sent; a later parcel tries again.
fn give_up(shared: &Shared, error: &std::io::Error) {
    let mut state = shared.lock();
    state.has_thread = false;
    state.errands.clear();
    state.order.clear();
    let waiting = std::mem::take(&mut state.waiting);
    drop(state);
    let dropped = Error::new(Kind::Unreachable, "no runtime could be started to push from")
        .caused_by(error.to_string());
    for asker in waiting.into_values().flat_map(|waiting| waiting.askers) {
        asker.answer(Receipt::undelivered(dropped.clone()));
    }
    shared.finished.notify_all();
}
