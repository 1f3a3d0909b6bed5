//! The dispatcher's thread. It owns the runtime, so that no caller needs one.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::combinators::{catch_panic, run_until};
use super::queue::{Pending, QueueKey};
use super::shared::{DispatcherState, Shared, fail};
use crate::blocking::run_blocking;
use crate::clock::Moment;
#[cfg(test)]
use crate::delivery::failpoint;
use crate::delivery::policy::{DRAIN_TIMEOUT, MAX_NEWER_REQUESTS, MAX_RESTARTS, START_LINGER};
use crate::delivery::{
    Backlog, Delivery, DeliveryClass, Receipt, Route, Settlement, Step, log_limiter,
};
use crate::error::{Error, Kind};
use crate::labels::GroupingKey;
use crate::log;

/// The body of the thread. It runs until the process ends, unless the runtime cannot be started.
pub(super) fn run(shared: &Arc<Shared>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // A connection to a server that sends without end is always ready. By default, the runtime checks timeouts only
        // after 61 polls, so they are checked after every poll.
        .event_interval(1)
        .build();
    let error = match runtime {
        Ok(runtime) => serve_with_restarts(shared, &runtime),
        Err(error) => Error::new(Kind::Unreachable, "the runtime that pushes could not be started")
            .caused_by(error.to_string()),
    };
    // Nothing can be sent. A later request starts a new thread.
    shared.shut_down().into_iter().for_each(|pending| fail(pending, &error));
}

/// Serves requests, also after a panic. Returns the error of the last panic.
fn serve_with_restarts(shared: &Arc<Shared>, runtime: &Runtime) -> Error {
    let mut restarts = 0;
    loop {
        let served = catch_unwind(AssertUnwindSafe(|| runtime.block_on(serve(shared))));
        let error = Error::panicked(served.unwrap_err().as_ref());
        if restarts == MAX_RESTARTS {
            return error;
        }
        restarts += 1;
        log::debug(format_args!("the dispatcher continues: {error:?}"));
    }
}

async fn serve(shared: &Arc<Shared>) -> Infallible {
    loop {
        for task in std::mem::take(&mut shared.lock().tasks) {
            tokio::spawn(task);
        }
        while let Some((key, pending)) = shared.start_next() {
            let in_flight = InFlightGuard { shared: Arc::clone(shared), key };
            #[cfg(test)]
            failpoint::reach(&in_flight.key.1, "panic in loop");
            tokio::spawn(deliver(in_flight, pending));
        }
        shared.work.notified().await;
    }
}

/// A delivery in flight, with the backlog of its key. Callers box it, because the future of a delivery must be small.
struct StartedDelivery {
    in_flight: InFlightGuard,
    pending: Pending,
    backlog: Backlog,
}

/// Delivers a request. After a backlog, delivers the next backlogs of the route.
async fn deliver(in_flight: InFlightGuard, mut pending: Pending) {
    if pending.request.is_some() && pending.class == DeliveryClass::BestEffort {
        let _ = tokio::time::timeout(START_LINGER, linger(&in_flight)).await;
        if let Some(later) = in_flight.shared.take(&in_flight.key) {
            pending.merge(later);
        }
    }
    let backlog = load_backlog(&in_flight, &pending.route, pending.class).await;
    let mut next = Some(Box::new(StartedDelivery { in_flight, pending, backlog }));
    while let Some(started) = next {
        next = deliver_started(started).await;
    }
}

/// Returns the next backlog of the route, if a backlog was delivered.
async fn deliver_started(started: Box<StartedDelivery>) -> Option<Box<StartedDelivery>> {
    let StartedDelivery { in_flight, pending, backlog } = *started;
    let Pending { route, request, deadline, class, mut on_settled } = pending;
    let key = in_flight.key.1.clone();
    let mut delivery = Delivery::new(route.clone(), key, request, backlog, deadline, class);
    let mut merge_later = |delivery: &mut Delivery| {
        if let Some(later) = in_flight.shared.take(&in_flight.key) {
            delivery.merge(later.request, later.deadline, later.class);
            on_settled.extend(later.on_settled);
        }
    };
    let result = loop {
        // Merges later requests: if a run is finished before its start is sent, one request reports both.
        merge_later(&mut delivery);
        record_runs(&in_flight, &route, &mut delivery).await;
        restore_series(&route, &mut delivery).await;
        let is_last = in_flight.shared.interruption.is_started();
        match attempt(&mut delivery, &in_flight.shared).await {
            Step::RetryAfter(_) if is_last => break Err(delivery.interrupt()),
            Step::RetryAfter(pause) => {
                store_before_retry(&route, &mut delivery).await;
                pause_attempts(pause, &in_flight).await;
            }
            Step::Done(result) => {
                if result.is_err() && route.is_down() {
                    // One attempt is enough for the start of a run and for its completion.
                    merge_later(&mut delivery);
                }
                break result;
            }
        }
    };
    if result.is_ok() && !in_flight.shared.interruption.is_started() {
        Box::pin(send_newer(&in_flight, &route, &mut delivery)).await;
        // The next delivery of the group tries again.
        let _ = catch_panic(Box::pin(delivery.delete_elsewhere())).await;
    }
    let is_backlog = delivery.is_backlog();
    let settlement = Box::new(delivery.finish(result));
    let SettledDelivery { receipt, drain, next } =
        settle(&in_flight, settlement, &route, is_backlog).await;
    log_summary_later();
    if !drain.is_empty() {
        submit_backlogs(&in_flight.shared, &route, drain);
    }
    // Frees the key before the callbacks are called, so that the next request for it starts at once.
    drop(in_flight);
    for on_settled in on_settled {
        on_settled(receipt.clone());
    }
    next
}

/// Loads the backlog of a key. It is empty if loading panics.
async fn load_backlog(in_flight: &InFlightGuard, route: &Route, class: DeliveryClass) -> Backlog {
    if route.spool().is_none() {
        return Backlog::default();
    }
    let (route, key) = (route.clone(), in_flight.key.1.clone());
    in_flight.run_blocking(class, move || load(&route, &key)).await.unwrap_or_default()
}

/// Loads the backlog of a key. Blocks.
fn load(route: &Route, key: &GroupingKey) -> Backlog {
    #[cfg(test)]
    failpoint::reach(key, "panic in load");
    route.load_state();
    Backlog::load(route, key)
}

/// Records the runs that the request reports, before it is sent. Each attempt reads their totals again, because other
/// processes may have added to them.
async fn record_runs(in_flight: &InFlightGuard, route: &Route, delivery: &mut Delivery) {
    let Some(request) = delivery.reporting_request() else { return };
    let (key, endings, route) = (request.key().clone(), request.endings().to_vec(), route.clone());
    let has_disk = route.has_disk();
    let record = move || route.record_runs(&key, &endings);
    let recorded = if has_disk {
        in_flight.run_blocking(delivery.class(), record).await
    } else {
        Some(record())
    };
    if let Some(recorded) = recorded {
        delivery.set_recorded(recorded);
    }
}

/// Restores the record of the series that were sent, so that the sink can end those that are missing from the request. Each
/// attempt reads the record again, because other processes may send the group.
async fn restore_series(route: &Route, delivery: &mut Delivery) {
    if !route.has_series_on_disk() {
        return;
    }
    let (route, key, origin) = (route.clone(), delivery.key().clone(), delivery.origin());
    let joined_at = run_blocking(move || route.restore_series(&key, origin)).await.flatten();
    if let Some(joined_at) = joined_at {
        delivery.set_joined_at(joined_at);
    }
}

/// Sends the values of the history again while other processes record runs of the group: the requests of two processes can
/// be applied in another order than their runs were recorded. The last process sends the newest values.
async fn send_newer(in_flight: &InFlightGuard, route: &Route, delivery: &mut Delivery) {
    if !route.can_replace_totals() {
        return;
    }
    for _ in 0..MAX_NEWER_REQUESTS {
        let Some(known) = delivery.recorded().map(Arc::clone) else { return };
        let (key, disk_route) = (delivery.key().clone(), route.clone());
        let newer = move || disk_route.newer(&key, &known);
        let newer = in_flight.run_blocking(delivery.class(), newer).await.flatten();
        let Some(newer) = newer else { return };
        let limit = in_flight.shared.interruption.exceeded(delivery.interruption_grace());
        let sent = run_until(limit, catch_panic(delivery.send_newer(newer))).await;
        if !matches!(sent, Some(Ok(true))) {
            return;
        }
    }
}

/// Makes one attempt. A panic ends the delivery, and so does an interruption, after a grace period.
async fn attempt(delivery: &mut Delivery, shared: &Shared) -> Step {
    let limit = shared.interruption.exceeded(delivery.interruption_grace());
    match run_until(limit, catch_panic(delivery.attempt())).await {
        Some(Ok(step)) => step,
        Some(Err(panic)) => Step::Done(Err(Error::panicked(panic.as_ref()))),
        None => Step::Done(Err(delivery.interrupt())),
    }
}

/// Stores the request on disk if no connection is possible, because the process may end before that changes.
async fn store_before_retry(route: &Route, delivery: &mut Delivery) {
    let Some(request) = delivery.unstored_request().cloned() else { return };
    let route = route.clone();
    let stored = run_blocking(move || route.spool()?.store_and_look_up(&request)).await;
    if let Some(stored) = stored.flatten() {
        delivery.set_stored(stored);
    }
}

/// Waits between two attempts. A later request for the group, or an interruption of the deliveries, ends the wait.
async fn pause_attempts(pause: Duration, in_flight: &InFlightGuard) {
    let interrupted = async {
        in_flight.shared.interruption.started().await;
    };
    let later = run_until(interrupted, superseded(in_flight));
    let _ = tokio::time::timeout(pause, later).await;
}

/// The end of a delivery.
struct SettledDelivery {
    receipt: Receipt,
    /// The groups whose spooled requests are queued next.
    drain: Vec<GroupingKey>,
    next: Option<Box<StartedDelivery>>,
}

impl SettledDelivery {
    fn new(receipt: Receipt) -> Self {
        Self { receipt, drain: Vec::new(), next: None }
    }
}

/// Settles a delivery. After a backlog, the same call loads the next one, which saves waking two threads for each group.
async fn settle(
    in_flight: &InFlightGuard,
    settlement: Box<Settlement>,
    route: &Route,
    is_backlog: bool,
) -> SettledDelivery {
    if !route.has_disk() {
        return SettledDelivery::new(settlement.settle());
    }
    let (route, class) = (route.clone(), settlement.class());
    let shared = is_backlog.then(|| Arc::clone(&in_flight.shared));
    let settle = move || {
        let mut settled = SettledDelivery::new(settlement.settle());
        let is_delivered = matches!(settled.receipt, Receipt::Delivered { .. });
        if is_delivered && route.take_drain_request(Moment::now()) {
            settled.drain = route.spooled_keys();
        }
        settled.next = shared.and_then(|shared| start_next_backlog(&shared, &route));
        settled
    };
    let lost = || {
        SettledDelivery::new(Receipt::unattempted(Error::panicked(
            &"while the request was settled",
        )))
    };
    in_flight.run_blocking(class, settle).await.unwrap_or_else(lost)
}

/// Starts the next request of a route if only its backlog is delivered, and loads the backlog. Blocks.
fn start_next_backlog(shared: &Arc<Shared>, route: &Route) -> Option<Box<StartedDelivery>> {
    let (key, pending) = shared.start_next_backlog(route.id())?;
    let in_flight = InFlightGuard { shared: Arc::clone(shared), key };
    let load = || load(route, &in_flight.key.1);
    let backlog = catch_unwind(AssertUnwindSafe(load)).unwrap_or_default();
    Some(Box::new(StartedDelivery { in_flight, pending, backlog }))
}

/// Resolves when a later request for the group is pending.
async fn superseded(in_flight: &InFlightGuard) {
    wait_for(in_flight, |_| false).await;
}

/// Resolves when a later request for the group is pending, or when a caller waits for the delivery. A start waits briefly
/// for the completion that supersedes it, because each push is work for the gateway, which increases with the number of
/// groups that it stores.
async fn linger(in_flight: &InFlightGuard) {
    wait_for(in_flight, |state| state.flushes > 0).await;
}

/// Resolves when a later request for the group is pending, or when `is_enough` returns true.
async fn wait_for(in_flight: &InFlightGuard, is_enough: fn(&DispatcherState) -> bool) {
    let is_done = || {
        let state = in_flight.shared.lock();
        state.queue.is_pending(&in_flight.key) || is_enough(&state)
    };
    loop {
        let submitted = in_flight.shared.submitted.notified();
        if is_done() {
            break;
        }
        submitted.await;
    }
}

fn log_summary_later() {
    if let Some(pause) = log_limiter::claim_summary_timer() {
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            log_limiter::flush_due_summary();
        });
    }
}

/// Queues the delivery of spooled requests, because their sink is reachable.
fn submit_backlogs(shared: &Shared, route: &Route, keys: Vec<GroupingKey>) {
    route.expect_groups(&keys);
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

impl InFlightGuard {
    /// Runs work that may block. Returns its result, or `None` if it panicked. The last request of a process delays no
    /// other request, so its work runs on this thread, which saves starting a thread.
    async fn run_blocking<T: Send + 'static>(
        &self,
        class: DeliveryClass,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if class == DeliveryClass::Final && self.shared.lock().queue.unfinished_count() == 1 {
            return catch_unwind(AssertUnwindSafe(work)).ok();
        }
        run_blocking(work).await
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.shared.finish(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;
    use crate::dispatcher::Dispatcher;
    use crate::oneshot::Receiver;
    use crate::push_request::{Families, PushRequest};
    use crate::sink::DryRun;
    use crate::spool::Spool;
    use crate::state_dir::{StateDir, StateDirPath};

    /// Spawning moves the future over stack pages that have not been used before, and each costs a page fault.
    #[test]
    fn delivery_future_fits_on_a_page() {
        let route = dry_run_route(None);
        let key = (route.id(), GroupingKey::new("job").unwrap());
        let (deadline, class) = (Moment::now(), DeliveryClass::Spooled);
        let pending = Pending { route, request: None, deadline, class, on_settled: Vec::new() };
        let in_flight = InFlightGuard { shared: Arc::default(), key };
        let size = size_of_val(&deliver(in_flight, pending));
        assert!(size <= 4_096, "{size}");
    }

    const TIMEOUT: Duration = Duration::from_secs(20);

    fn dry_run_route(spool: Option<Spool>) -> Route {
        Route::buffered(Arc::new(DryRun::new("http://gateway")), spool, Arc::default())
    }

    /// Submits a request of this job and returns its receipt.
    fn send(dispatcher: &Dispatcher, route: &Route, job: &str) -> Receipt {
        submit(dispatcher, route, job, TIMEOUT).wait(TIMEOUT).expect("a receipt")
    }

    fn submit(
        dispatcher: &Dispatcher,
        route: &Route,
        job: &str,
        timeout: Duration,
    ) -> Receiver<Receipt> {
        let key = GroupingKey::new(job).unwrap();
        let request = PushRequest::add(key, Families::from([("rows".into(), "rows 1\n".into())]));
        let class = DeliveryClass::Final;
        dispatcher.submit_for_receipt(route, request, timeout, class)
    }

    #[test]
    fn request_is_spooled_if_its_delivery_panics() {
        let directory = std::env::temp_dir().join(format!("metrics-push-panic-{}", process::id()));
        let state_dir = Arc::new(StateDir::new(StateDirPath::Configured(directory.clone())));
        let route = dry_run_route(Spool::new(&state_dir, "http://gateway", &[]));
        let dispatcher = Dispatcher::default();
        for (job, timeout) in [
            ("panic in attempt", TIMEOUT),
            // The request is not sent, so that there is a failure to settle.
            ("panic in settlement", Duration::ZERO),
        ] {
            let receipt = submit(&dispatcher, &route, job, timeout).wait(TIMEOUT);
            let Some(Receipt::Spooled { error, .. }) = receipt else {
                panic!("{job}: {receipt:?}")
            };
            assert!(format!("{error:?}").contains("a panic interrupted the push"), "{error:?}");
            let key = GroupingKey::new(job).unwrap();
            assert!(route.spool().unwrap().look_up(&key).is_some(), "{job}");
        }
        // The panic of a blocking thread loses only the backlog.
        for job in ["panic in load", "later"] {
            assert!(matches!(send(&dispatcher, &route, job), Receipt::Delivered { .. }), "{job}");
        }
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn request_without_a_spool_is_dropped_if_its_delivery_panics() {
        let (dispatcher, route) = (Dispatcher::default(), dry_run_route(None));
        for (job, timeout) in
            [("panic in attempt", TIMEOUT), ("panic in settlement", Duration::ZERO)]
        {
            let receipt = submit(&dispatcher, &route, job, timeout).wait(TIMEOUT);
            assert!(matches!(receipt, Some(Receipt::Dropped { .. })), "{job}: {receipt:?}");
        }
        // The request was delivered before the panic.
        let receipt = send(&dispatcher, &route, "panic in settlement");
        assert!(matches!(receipt, Receipt::Delivered { .. }), "{receipt:?}");
        assert!(matches!(send(&dispatcher, &route, "later"), Receipt::Delivered { .. }));
    }

    #[test]
    fn flush_ends_the_wait_of_a_start_for_its_completion() {
        let (shared, route) = (Arc::new(Shared::default()), dry_run_route(None));
        let key = GroupingKey::new("job").unwrap();
        let (deadline, class) = (Moment::now().after(TIMEOUT), DeliveryClass::BestEffort);
        let pending = Pending { route, request: None, deadline, class, on_settled: Vec::new() };
        shared.enqueue([(key, pending)]);
        let (key, _) = shared.start_next().unwrap();
        let in_flight = InFlightGuard { shared: Arc::clone(&shared), key };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        std::thread::scope(|scope| {
            let flush = scope.spawn(|| shared.wait_finished(TIMEOUT));
            let lingers = async { tokio::time::timeout(TIMEOUT, linger(&in_flight)).await };
            assert!(runtime.block_on(lingers).is_ok());
            drop(in_flight);
            assert_eq!(flush.join().unwrap(), 0);
        });
    }

    #[test]
    fn only_the_last_request_of_a_process_blocks_its_thread() {
        let (shared, route) = (Arc::new(Shared::default()), dry_run_route(None));
        let submit = |job| {
            let (route, deadline) = (route.clone(), Moment::now());
            let class = DeliveryClass::Final;
            let pending = Pending { route, request: None, deadline, class, on_settled: Vec::new() };
            shared.enqueue([(GroupingKey::new(job).unwrap(), pending)]);
        };
        submit("job");
        let (key, _) = shared.start_next().unwrap();
        let in_flight = InFlightGuard { shared: Arc::clone(&shared), key };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let blocks = |class| {
            let thread = in_flight.run_blocking(class, || std::thread::current().id());
            runtime.block_on(thread) == Some(std::thread::current().id())
        };
        assert!(blocks(DeliveryClass::Final));
        assert!(!blocks(DeliveryClass::Spooled));
        submit("other");
        assert!(!blocks(DeliveryClass::Final));
    }

    #[test]
    fn dispatcher_continues_after_a_panic_of_its_loop() {
        let (dispatcher, route) = (Dispatcher::default(), dry_run_route(None));
        let lost = submit(&dispatcher, &route, "panic in loop", TIMEOUT);
        let pending = submit(&dispatcher, &route, "pending", TIMEOUT).wait(TIMEOUT);
        assert!(lost.wait_closed(TIMEOUT));
        assert!(matches!(pending, Some(Receipt::Delivered { .. })), "{pending:?}");
        assert!(matches!(send(&dispatcher, &route, "later"), Receipt::Delivered { .. }));
        assert_eq!(dispatcher.flush(TIMEOUT), 0);
    }
}
