//! Courier: the one thread that talks to sinks. It owns the runtime, so that nobody else needs one.
//!
//! Anybody hands it a parcel, from any context and without waiting, and gets a ticket. Parcels for one group are merged
//! while they wait and sent in order, one in flight per group. It never panics and never gives an error back:
//! what became of a parcel is in its receipt.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use once_cell::sync::Lazy;
use tokio::sync::Notify;

use crate::clock::Moment;
use crate::delivery::{Receipt, deliver};
use crate::error::{Error, Kind};
use crate::labels::GroupingKey;
use crate::notice;
use crate::parcel::Parcel;
use crate::sink::Sink;
use crate::ticket::{Ticket, ticket};

/// How many parcels travel at once: enough to hide a slow gateway's latency, too few to flood it.
const MOST_IN_FLIGHT: usize = 16;

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

/// A group on a sink.
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
}

/// A parcel on its way, and everybody who wants to know what becomes of it.
struct Waiting {
    sink: Sink,
    parcel: Parcel,
    deadline: Moment,
    askers: Vec<crate::ticket::Stub<Receipt>>,
}

impl Courier {
    /// Takes a parcel to be delivered within `budget`. Returns at once.
    pub(crate) fn hand_over(
        &self,
        sink: &Sink,
        parcel: Parcel,
        budget: Duration,
    ) -> Ticket<Receipt> {
        let (stub, ticket) = ticket();
        let address = (sink.id(), parcel.key().clone());
        let deadline = Moment::now().after(budget);
        let mut state = self.shared.lock();
        if let Err(error) = self.ensure_thread(&mut state) {
            stub.answer(Receipt::Dropped(error));
            return ticket;
        }
        match state.waiting.remove(&address) {
            Some(mut before) => {
                before.parcel = before.parcel.then(parcel);
                before.deadline = before.deadline.later_of(deadline);
                before.askers.push(stub);
                state.waiting.insert(address, before);
            }
            None => {
                let waiting = Waiting { sink: sink.clone(), parcel, deadline, askers: vec![stub] };
                state.order.push_back(address.clone());
                state.waiting.insert(address, waiting);
            }
        }
        drop(state);
        self.shared.work.notify_one();
        ticket
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

    /// Waits until nothing waits and nothing travels, at most for `budget`. Returns how many parcels are left.
    pub(crate) fn flush(&self, budget: Duration) -> usize {
        let left = |state: &mut State| state.waiting.len() + state.in_flight.len();
        let guard = self.shared.lock();
        let (mut state, _) = self
            .shared
            .finished
            .wait_timeout_while(guard, budget, |state| left(state) > 0)
            .unwrap_or_else(PoisonError::into_inner);
        left(&mut state)
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

impl Shared {
    /// No code of others runs under this lock; if a panic ever poisoned it, the state is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<(Address, Waiting)> {
        let mut state = self.lock();
        if state.in_flight.len() >= MOST_IN_FLIGHT {
            return None;
        }
        let position = state.order.iter().position(|address| !state.in_flight.contains(address))?;
        let address = state.order.remove(position)?;
        let waiting = state.waiting.remove(&address)?;
        state.in_flight.insert(address.clone());
        Some((address, waiting))
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
    let Waiting { sink, parcel, deadline, askers } = waiting;
    let receipt = deliver(&sink, &parcel, deadline).await;
    notice::debug(format_args!("{} {}: {receipt:?}", parcel.verb().as_str(), parcel.key()));
    // First the address is free again, then people are told: who asks next finds it so.
    drop(arrival);
    for asker in askers {
        asker.answer(receipt.clone());
    }
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
        asker.answer(Receipt::Dropped(dropped.clone()));
    }
    shared.finished.notify_all();
}
