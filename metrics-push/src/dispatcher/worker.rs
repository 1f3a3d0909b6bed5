//! The dispatcher's thread. It owns the runtime, so that no caller needs one.

use std::sync::Arc;

use super::blocking::run_blocking;
use super::queue::{Pending, QueueKey};
use super::shared::{Shared, fail};
use crate::clock::Moment;
use crate::delivery::policy::{DRAIN_TIMEOUT, START_LINGER};
use crate::delivery::{Backlog, Delivery, DeliveryClass, Receipt, Route, Step, log_limiter};
use crate::error::{Error, Kind};
use crate::labels::GroupingKey;
use crate::spool::Spool;

/// The body of the thread. It runs until the process ends, unless the runtime cannot be started.
pub(super) fn run(shared: &Arc<Shared>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(async {
            loop {
                for task in std::mem::take(&mut shared.lock().tasks) {
                    tokio::spawn(task);
                }
                while let Some((key, pending)) = shared.start_next() {
                    tokio::spawn(deliver(
                        InFlightGuard { shared: Arc::clone(shared), key },
                        pending,
                    ));
                }
                shared.work.notified().await;
            }
        }),
        Err(error) => fail_all(shared, &error),
    }
}

async fn deliver(in_flight: InFlightGuard, pending: Pending) {
    let Pending { route, request, deadline, class, mut on_settled } = pending;
    let key = in_flight.key.1.clone();
    let may_linger = request.is_some() && class == DeliveryClass::BestEffort;
    let Some(backlog) = load_backlog(&route, &key).await else { return };
    let mut delivery = Delivery::new(route.clone(), key, request, backlog, deadline, class);
    if may_linger {
        linger(&in_flight).await;
    }
    let result = loop {
        // Merges later requests: if a run is finished before its start is sent, one request reports both.
        if let Some(later) = in_flight.shared.take(&in_flight.key) {
            delivery.merge(later.request, later.deadline, later.class);
            on_settled.extend(later.on_settled);
        }
        match delivery.attempt().await {
            Step::RetryAfter(pause) => tokio::time::sleep(pause).await,
            Step::Done(result) => break result,
        }
    };
    let settle = {
        let route = route.clone();
        move || {
            let receipt = delivery.finish(result).settle();
            let is_delivered = matches!(receipt, Receipt::Delivered { .. });
            let drain = if is_delivered && route.take_drain_request() {
                spooled_keys(&route)
            } else {
                vec![]
            };
            (receipt, drain)
        }
    };
    let settled = if route.spool().is_some() { run_blocking(settle).await } else { Some(settle()) };
    log_summary_later();
    let Some((receipt, drain)) = settled else { return };
    if !drain.is_empty() {
        submit_backlogs(&in_flight.shared, &route, drain);
    }
    // Frees the key before the callbacks are called, so that the next request for it starts at once.
    drop(in_flight);
    for on_settled in on_settled {
        on_settled(receipt.clone());
    }
}

/// Loads the backlog of a key; `None` if loading panicked.
async fn load_backlog(route: &Route, key: &GroupingKey) -> Option<Backlog> {
    if route.spool().is_none() {
        return Some(Backlog::default());
    }
    let (route, key) = (route.clone(), key.clone());
    run_blocking(move || Backlog::load(&route, &key)).await
}

/// Waits briefly for the completion that supersedes a start, because each push is work for the gateway. The more groups
/// the gateway stores, the longer it takes.
async fn linger(in_flight: &InFlightGuard) {
    let superseded = async {
        loop {
            let submitted = in_flight.shared.submitted.notified();
            if in_flight.shared.lock().queue.is_pending(&in_flight.key) {
                break;
            }
            submitted.await;
        }
    };
    let _ = tokio::time::timeout(START_LINGER, superseded).await;
}

fn log_summary_later() {
    if let Some(pause) = log_limiter::claim_summary_timer() {
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            log_limiter::flush_due_summary();
        });
    }
}

/// Returns the groups that have a spooled request. Blocks.
fn spooled_keys(route: &Route) -> Vec<GroupingKey> {
    route.spool().map(Spool::keys).unwrap_or_default()
}

/// Queues the delivery of spooled requests, because their sink is reachable.
fn submit_backlogs(shared: &Shared, route: &Route, keys: Vec<GroupingKey>) {
    let deadline = Moment::now().after(DRAIN_TIMEOUT);
    let backlog_of = |key| {
        let (route, class) = (route.clone(), DeliveryClass::BestEffort);
        (key, Pending { route, request: None, deadline, class, on_settled: Vec::new() })
    };
    shared.enqueue(keys.into_iter().map(backlog_of));
}

/// Frees the key when dropped, even if its delivery panicked.
struct InFlightGuard {
    shared: Arc<Shared>,
    key: QueueKey,
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.shared.finish(&self.key);
    }
}

/// Drops all pending requests, because nothing can be sent without a runtime. A later request starts a new thread.
fn fail_all(shared: &Shared, error: &std::io::Error) {
    let error = Error::new(Kind::Unreachable, "the runtime that pushes could not be started")
        .caused_by(error.to_string());
    shared.shut_down().for_each(|pending| fail(pending, &error));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Server, Transport};
    use crate::sink::pushgateway::Encoding;
    use crate::sink::pushgateway::Pushgateway;
    use crate::sink::{GatewayKind, Sink};

    /// Spawning moves the future over stack pages that have not been used before, and each costs a page fault.
    #[test]
    fn delivery_future_fits_on_a_page() {
        let server = Server::new("http://gateway:9091", Transport::default()).unwrap();
        let client = Pushgateway::new(server, GatewayKind::default(), Encoding::default());
        let route = Route::direct(Sink::Pushgateway(client.into()));
        let key = (route.id(), GroupingKey::new("job").unwrap());
        let (deadline, class) = (Moment::now(), DeliveryClass::Spooled);
        let pending = Pending { route, request: None, deadline, class, on_settled: Vec::new() };
        let in_flight = InFlightGuard { shared: Arc::default(), key };
        let size = size_of_val(&deliver(in_flight, pending));
        assert!(size <= 4_096, "{size}");
    }
}
