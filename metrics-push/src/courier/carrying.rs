//! Carrying: what the courier's thread does. It has the runtime, and nobody else needs one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Shared;
use super::queue::{Address, Waiting};
use crate::clock::Moment;
use crate::delivery::{Delivery, Next, Receipt, Route, Urgency, tally};
use crate::error::{Error, Kind};
use crate::spool::Spool;
use crate::ticket::ticket;

/// How long what waited on disk may take, once its sink is known to be there. It goes on waiting after that.
const DRAIN_BUDGET: Duration = Duration::from_secs(10);

/// The thread. It lives as long as the process.
pub(super) fn carry_all(shared: &Arc<Shared>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(async {
            loop {
                for errand in std::mem::take(&mut shared.lock().errands) {
                    tokio::spawn(errand);
                }
                while let Some((address, waiting)) = shared.depart() {
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
    loop {
        // Whatever was handed over meanwhile travels along: a run that is over before its start has left is one request.
        if let Some(later) = arrival.shared.take(&arrival.address) {
            delivery.join(later.parcel, later.deadline, later.urgency);
            askers.extend(later.askers);
        }
        match delivery.attempt().await {
            Next::AttemptAfter(pause) => tokio::time::sleep(pause).await,
            Next::Settle => break,
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
        state.queue.enqueue(key, replay);
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
        self.shared.arrived(&self.address);
    }
}

/// Without a runtime nothing can be sent; a later parcel tries again.
fn give_up(shared: &Shared, error: &std::io::Error) {
    let mut state = shared.lock();
    state.has_thread = false;
    state.errands.clear();
    let waiting = state.queue.give_up();
    drop(state);
    let dropped = Error::new(Kind::Unreachable, "no runtime could be started to push from")
        .caused_by(error.to_string());
    for asker in waiting.flat_map(|waiting| waiting.askers) {
        asker.answer(Receipt::undelivered(dropped.clone()));
    }
    shared.finished.notify_all();
}
