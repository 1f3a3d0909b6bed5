//! `Relay`: reads the requests of jobs from a topic and delivers them to other sinks.
//!
//! A message counts as processed when all sinks have accepted its request or it is stored in the spool. Only then is its
//! position committed, so that a relay that dies loses nothing: the next one reads the message again. Requests of one group
//! are delivered to a sink one after the other, in the order of the topic. While one is in flight, the later ones are merged.
//! A sink that is down delays the commits, but not the other sinks.

mod groups;
mod key_path;
mod offsets;
mod request;
mod retained_times;
mod seen_ids;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::clock::Moment;
use crate::config::Config;
use crate::delivery::Receipt;
use crate::delivery::policy::MAX_GROUPS;
use crate::dispatcher::OnSettled;
use crate::error::Error;
use crate::labels::GroupingKey;
use crate::log;
use crate::pipeline::Pipeline;
use crate::sink::kafka::{PartitionOwner, Position, TopicConsumer, TopicMessage};
use crate::sync::{Condvar, Mutex};
use groups::{Groups, LaneId};
use offsets::Offsets;
use request::TopicRequest;
use retained_times::RetainedTimes;
use seen_ids::SeenIds;

/// How long a call for the next message waits.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How often positions are committed.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// How long a sink gets no request after one that it has neither accepted nor stored.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The size of the metrics in progress, in bytes, at which the relay stops reading.
const MAX_SIZE: usize = 256 * 1024 * 1024;

/// Reads requests from a topic of Kafka and delivers them to the other sinks of a configuration.
#[derive(Debug)]
pub struct Relay {
    consumer: TopicConsumer,
    progress: Arc<RelayProgress>,
    timeout: Duration,
}

/// What a relay has done since it was started, and what it does at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayStats {
    /// Messages that were read and are valid, without repeated ones.
    pub accepted: u64,
    /// Messages that were skipped, because one with the same id was read before.
    pub duplicates: u64,
    /// Messages that were skipped, because they are not requests.
    pub invalid: u64,
    /// Requests that all sinks have accepted.
    pub delivered: u64,
    /// Requests that at least one sink did not accept, and that are stored in the state directory.
    pub spooled: u64,
    /// Requests that a sink has refused for good.
    pub rejected: u64,
    /// Attempts after which a request is sent again.
    pub failed: u64,
    /// Messages that are read and not processed yet.
    pub pending_messages: u64,
    /// Groups with such messages.
    pub pending_groups: u64,
    /// Partitions that this relay reads.
    pub partitions: u64,
    /// Messages of these partitions that are not committed yet.
    pub lag: u64,
}

/// The state that the callbacks of deliveries share with the thread that reads.
#[derive(Debug)]
struct RelayProgress {
    pipeline: Pipeline,
    state: Mutex<RelayState>,
    /// Notified of each finished delivery.
    settled: Condvar,
}

#[derive(Debug, Default)]
struct RelayState {
    /// The requests for each sink.
    sinks: Vec<Groups>,
    offsets: Offsets,
    seen: SeenIds,
    retained_times: RetainedTimes,
    stats: RelayStats,
    /// Incremented when all partitions are revoked. Deliveries that end later do not belong to the present groups.
    assignment: u64,
}

/// How a delivery to one sink has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    Delivered,
    Spooled,
    Rejected,
    Failed,
}

impl Relay {
    /// Joins the consumer group `group`. The first sink of the configuration is the topic, the others receive the requests.
    ///
    /// # Errors
    /// `is_config` if the first sink is not a topic, there are no others, or a setting is invalid.
    pub fn start(config: &Config, group: &str) -> Result<Self, Error> {
        let mut targets = config.targets()?.into_iter();
        let source = targets.next().ok_or_else(|| no_sinks("the relay has no topic"))?;
        let pipeline = Pipeline::with_targets(config, targets.collect())?;
        if pipeline.routers.is_empty() {
            return Err(no_sinks("the relay has no sinks"));
        }
        let timeout = pipeline.timeout;
        let sinks = pipeline.routers.iter().map(|_| Groups::default()).collect();
        let state = Mutex::new(RelayState { sinks, ..RelayState::default() });
        let progress = Arc::new(RelayProgress { pipeline, state, settled: Condvar::new() });
        let owner = Owner { progress: Arc::downgrade(&progress), timeout };
        let consumer = TopicConsumer::start(&source, group, Box::new(owner))?;
        Ok(Self { consumer, progress, timeout })
    }

    /// Reads and delivers until `stop` is true. Then finishes the deliveries in flight, at most for the timeout of the
    /// configuration, and commits their positions.
    pub fn run(&self, stop: &AtomicBool) {
        let mut next_commit = Moment::now();
        let mut is_paused = false;
        while !stop.load(Ordering::Relaxed) {
            match self.consumer.poll(POLL_INTERVAL) {
                Ok(Some(message)) => self.progress.accept(message),
                Ok(None) => {}
                Err(error) => log::warn_once(format_args!("{error:?}")),
            }
            self.progress.submit_ready();
            let load = self.progress.state.lock().load();
            // A pause discards messages that are fetched already, so it lasts until there is room for many.
            let must_pause = if is_paused { load > 0.5 } else { load >= 1.0 };
            if must_pause != is_paused {
                is_paused = must_pause;
                if is_paused { self.consumer.pause() } else { self.consumer.resume() }
            }
            if next_commit.remaining().is_zero() {
                next_commit = Moment::now().after(COMMIT_INTERVAL);
                let positions = self.progress.state.lock().take_committable();
                self.consumer.commit(&positions);
            }
        }
        self.consumer.commit_now(&self.progress.drain(self.timeout));
    }

    /// Returns what the relay has done and does.
    #[must_use]
    pub fn stats(&self) -> RelayStats {
        let state = self.progress.state.lock();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        RelayStats {
            pending_messages: state.sinks.iter().map(Groups::messages).max().unwrap_or_default(),
            pending_groups: count(state.sinks.iter().map(Groups::len).max().unwrap_or_default()),
            partitions: count(self.consumer.partitions()),
            lag: u64::try_from(self.consumer.lag()).unwrap_or_default(),
            ..state.stats
        }
    }
}

fn no_sinks(what: &'static str) -> Error {
    Error::config(what).remedy(
        "set the URL of a topic first, and then those of the sinks that receive the requests",
    )
}

impl RelayState {
    /// Returns which part of the limits the requests in progress use.
    fn load(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an approximate value")]
        let part = |used: usize, limit: usize| used as f64 / limit as f64;
        let groups = self.sinks.iter().map(Groups::len).max().unwrap_or_default();
        part(groups, MAX_GROUPS).max(part(self.sinks.iter().map(Groups::size).sum(), MAX_SIZE))
    }

    /// Returns the positions to commit.
    fn take_committable(&mut self) -> Vec<Position> {
        self.offsets.take_committable(self.sinks.iter().flat_map(Groups::positions))
    }
}

impl RelayProgress {
    /// Queues the request of a message.
    fn accept(self: &Arc<Self>, message: TopicMessage) {
        let position = message.position;
        let parsed = TopicRequest::parse(message);
        let mut state = self.state.lock();
        state.offsets.set_read(position);
        let TopicRequest { id, run_id, mut request } = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                state.stats.invalid += 1;
                drop(state);
                log::warn_once(format_args!("a message of the topic is skipped: {error:?}"));
                return;
            }
        };
        if id.is_some_and(|id| !state.seen.insert(id)) {
            state.stats.duplicates += 1;
            return;
        }
        if let Some(run_id) = run_id {
            state.seen.insert(run_id);
        }
        state.stats.accepted += 1;
        state.retained_times.remove_known(&mut request);
        for (groups, router) in state.sinks.iter_mut().zip(&self.pipeline.routers) {
            let route = router.route(request.key());
            let lane = LaneId { route: route.id(), max_in_flight: route.max_in_flight() };
            groups.add(request.clone(), position, lane);
        }
    }

    /// Submits the requests that may be sent.
    fn submit_ready(self: &Arc<Self>) {
        (0..self.pipeline.routers.len()).for_each(|sink| self.submit_ready_for(sink));
    }

    fn submit_ready_for(self: &Arc<Self>, sink: usize) {
        loop {
            let mut state = self.state.lock();
            let Some(next) = state.sinks[sink].start_next(Moment::now()) else { return };
            let delivery = RelayDelivery {
                progress: Arc::clone(self),
                sink,
                key: next.key().clone(),
                assignment: state.assignment,
                settled: Settled::Failed,
            };
            drop(state);
            let on_settled: OnSettled = Box::new(move |receipt| delivery.settle(&receipt));
            self.pipeline.submit_relayed(sink, next, on_settled);
        }
    }

    /// Ends a delivery, and starts the next ones of the same sink.
    fn finish(self: &Arc<Self>, delivery: &RelayDelivery) {
        let mut state = self.state.lock();
        match delivery.settled {
            Settled::Delivered => state.stats.delivered += 1,
            Settled::Spooled => state.stats.spooled += 1,
            Settled::Rejected => state.stats.rejected += 1,
            Settled::Failed => state.stats.failed += 1,
        }
        if state.assignment != delivery.assignment {
            return;
        }
        if matches!(delivery.settled, Settled::Spooled | Settled::Rejected) {
            // The next message brings the times of earlier runs along again.
            state.retained_times.forget(&delivery.key);
        }
        let (groups, now) = (&mut state.sinks[delivery.sink], Moment::now());
        if delivery.settled == Settled::Failed {
            groups.fail(&delivery.key, now, now.after(RETRY_INTERVAL));
        } else {
            groups.finish(&delivery.key, now);
        }
        drop(state);
        self.settled.notify_all();
        self.submit_ready_for(delivery.sink);
    }

    /// Waits for the requests in flight, at most for `timeout`, and forgets all requests and positions. Returns the positions
    /// to commit. The messages of the other requests are read again later.
    fn drain(&self, timeout: Duration) -> Vec<Position> {
        let mut state = self.state.lock();
        state.sinks.iter_mut().for_each(Groups::stop);
        let is_busy = |state: &mut RelayState| state.sinks.iter().any(Groups::has_in_flight);
        let mut state = self.settled.wait_timeout_while(state, timeout, is_busy);
        // The messages that were dropped must not count as repeated when they are read again.
        state.seen.clear();
        state.retained_times.clear();
        state.assignment += 1;
        let positions = state.take_committable();
        state.sinks.iter_mut().for_each(Groups::clear);
        state.offsets.clear();
        positions
    }
}

/// A delivery to one sink. It ends when it is dropped, also if the dispatcher drops it without a receipt.
struct RelayDelivery {
    progress: Arc<RelayProgress>,
    /// The number of the sink.
    sink: usize,
    key: GroupingKey,
    assignment: u64,
    settled: Settled,
}

impl RelayDelivery {
    fn settle(mut self, receipt: &Receipt) {
        self.settled = Settled::from(receipt);
    }
}

impl Drop for RelayDelivery {
    fn drop(&mut self) {
        Arc::clone(&self.progress).finish(self);
    }
}

impl From<&Receipt> for Settled {
    fn from(receipt: &Receipt) -> Self {
        match receipt {
            Receipt::Delivered { .. } => Self::Delivered,
            Receipt::Spooled { .. } => Self::Spooled,
            Receipt::Unsure { .. } => Self::Rejected,
            Receipt::Dropped { error } if error.is_rejected() || error.is_metric() => {
                Self::Rejected
            }
            Receipt::Dropped { .. } => Self::Failed,
        }
    }
}

/// Ends the work of a relay before another one reads its partitions.
struct Owner {
    progress: Weak<RelayProgress>,
    timeout: Duration,
}

impl PartitionOwner for Owner {
    fn on_revoke(&self) -> Vec<Position> {
        self.progress.upgrade().map_or_else(Vec::new, |progress| progress.drain(self.timeout))
    }
}
