//! Carrying: what the courier's thread does. It has the runtime, and nobody else needs one.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::apart::apart;
use super::queue::{Address, Waiting};
use crate::clock::Moment;
use crate::delivery::{Delivery, Next, Receipt, Route, Urgency, tally};
use crate::error::{Error, Kind};
use crate::labels::GroupingKey;
use crate::spool::Spool;

/// How long what waited on disk may take, once its sink is known to be there. It goes on waiting after that.
const DRAIN_BUDGET: Duration = Duration::from_secs(10);

/// How long what is only passing waits for more. A job that dies by then without a trace has hardly started.
const LINGERING: Duration = Duration::from_millis(2);

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
    let may_linger = parcel.is_some() && urgency == Urgency::Passing;
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
    if may_linger {
        linger(&arrival).await;
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
    let settle = {
        let route = route.clone();
        move || {
            let receipt = delivery.settle();
            let is_there = matches!(receipt, Receipt::Delivered { .. });
            let others =
                if is_there && route.is_drain_due() { waiting_for(&route) } else { vec![] };
            (receipt, others)
        }
    };
    let settled = if has_spool { apart(settle).await } else { Some(settle()) };
    if let Some(pause) = tally::sum_up_after() {
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            tally::sum_up_in_time();
        });
    }
    let Some((receipt, others)) = settled else { return };
    if !others.is_empty() {
        drain(&arrival.shared, &route, others);
    }
    // First the address is free again, then people are told: who asks next finds it so.
    drop(arrival);
    for asker in askers {
        asker.answer(receipt.clone());
    }
}

/// Gives an end the time to overtake a start: each push is work for the gateway, the more the fuller it is.
async fn linger(arrival: &Arrival) {
    let overtaken = async {
        loop {
            let handed_over = arrival.shared.handed_over.notified();
            if arrival.shared.lock().queue.is_waiting(&arrival.address) {
                break;
            }
            handed_over.await;
        }
    };
    // Either way it leaves now.
    let _ = tokio::time::timeout(LINGERING, overtaken).await;
}

/// The groups of a sink for which something waits on disk. Blocks.
fn waiting_for(route: &Route) -> Vec<GroupingKey> {
    route.spool().map(Spool::keys).unwrap_or_default()
}

/// Lets everything that waits on disk for a sink travel, now that the sink is there.
fn drain(shared: &Shared, route: &Route, keys: Vec<GroupingKey>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Server, Transport};
    use crate::labels::GroupingKey;
    use crate::sink::gateway::GatewayClient;
    use crate::sink::wire::Wire;
    use crate::sink::{GatewayKind, Sink};

    /// It is moved about on a stack whose pages nobody has touched before.
    #[test]
    fn a_delivery_takes_no_more_than_a_page() {
        let server = Server::new("http://gateway:9091", Transport::default()).unwrap();
        let client = GatewayClient::new(server, GatewayKind::default(), Wire::default());
        let route = Route::direct(Sink::Gateway(client.into()));
        let key = GroupingKey::new("job").unwrap();
        let address = (route.id(), key);
        let deadline = Moment::now();
        let (urgency, askers) = (Urgency::Outcome, Vec::new());
        let waiting = Waiting { route, parcel: None, deadline, urgency, askers };
        let arrival = Arrival { shared: Arc::default(), address };
        let size = size_of_val(&carry(arrival, waiting));
        assert!(size <= 4_096, "{size}");
    }
}
