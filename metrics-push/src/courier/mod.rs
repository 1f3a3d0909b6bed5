//! Courier: the one thread that talks to sinks. It owns the runtime, so that nobody else needs one.
//!
//! Anybody hands it a parcel, from any context and without waiting, and gets a ticket. Parcels for one group are merged
//! while they wait and sent in order, one in flight per group. It never panics and never gives an error back:
//! what became of a parcel is in its receipt.

mod apart;
mod carrying;
mod queue;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use once_cell::sync::Lazy;
use tokio::sync::Notify;

use crate::clock::Moment;
use crate::delivery::{Receipt, Route, Urgency, tally};
use crate::error::{Error, Kind};
use crate::labels::GroupingKey;
use crate::parcel::Parcel;
use crate::ticket::{Stub, Ticket, ticket};
use queue::{Address, Queue, Waiting};

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

type Errand = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Clone, Default)]
pub(crate) struct Courier {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Notify,
    /// Told of each parcel, to those on the courier's thread who wait for one.
    handed_over: Notify,
    /// Signalled whenever something was finished, for those who flush.
    finished: Condvar,
}

#[derive(Default)]
struct State {
    has_thread: bool,
    queue: Queue,
    errands: Vec<Errand>,
    /// What else has parcels, and is to hand them over before anybody flushes.
    held: Vec<Weak<dyn Held>>,
}

/// Whatever keeps parcels back for a while.
pub(crate) trait Held: Send + Sync {
    /// Hands them all over.
    fn release(&self);
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
        state.queue.enqueue(key, later);
        drop(state);
        self.shared.handed_over.notify_waiters();
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
        self.run_after(time, || ())
    }

    /// Calls `act` on the courier's thread after this time; it is dropped where that can't be.
    pub(crate) fn run_after(
        &self,
        time: Duration,
        act: impl FnOnce() + Send + 'static,
    ) -> Ticket<()> {
        self.run(async move {
            tokio::time::sleep(time).await;
            act();
        })
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
        self.shared.lock().queue.waiting()
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
        let guard = self.shared.lock();
        let (state, _) = self
            .shared
            .finished
            .wait_timeout_while(guard, budget, |state| state.queue.left() > 0)
            .unwrap_or_else(PoisonError::into_inner);
        let left = state.queue.left();
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
            .spawn(move || carrying::carry_all(&shared))
            .map_err(|error| {
                Error::new(Kind::Unreachable, "no thread could be started to push from")
                    .caused_by(error)
            })?;
        drop(thread);
        state.has_thread = true;
        Ok(())
    }
}

impl Shared {
    /// No code of others runs under this lock; if a panic ever poisoned it, the state is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn depart(&self) -> Option<(Address, Waiting)> {
        self.lock().queue.depart()
    }

    fn take(&self, address: &Address) -> Option<Waiting> {
        self.lock().queue.take(address)
    }

    fn arrived(&self, address: &Address) {
        self.lock().queue.arrived(address);
        self.finished.notify_all();
        self.work.notify_one();
    }
}
