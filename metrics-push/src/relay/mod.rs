//! `Relay`: reads the requests of jobs from a topic and delivers them to other sinks.
//!
//! A message counts as processed when all sinks have accepted its request or it is stored in the spool. Only then is its
//! position committed, so that a relay that dies loses nothing: the next one reads the message again. Requests of one group
//! are delivered one after the other, in the order of the topic. While one is in flight, the later ones are merged.

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
use crate::push_request::PushRequest;
use crate::sink::kafka::{PartitionOwner, Position, TopicConsumer, TopicMessage};
use crate::sync::{Condvar, Mutex};
use groups::Groups;
use offsets::Offsets;
use request::TopicRequest;
use retained_times::RetainedTimes;
use seen_ids::SeenIds;

/// How long a call for the next message waits.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How often positions are committed.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// How long a group waits before a request that no sink has accepted or stored is sent again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The size of the metrics in progress, in bytes, at which the relay stops to read.
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
    groups: Groups,
    offsets: Offsets,
    seen: SeenIds,
    retained_times: RetainedTimes,
    stats: RelayStats,
    /// Incremented when all partitions are revoked. Deliveries that end later do not belong to the present groups.
    assignment: u64,
}

/// How a delivery to all sinks has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
        let progress = RelayProgress { pipeline, state: Mutex::default(), settled: Condvar::new() };
        let progress = Arc::new(progress);
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
            self.progress.retry(Moment::now());
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
            pending_messages: state.groups.messages(),
            pending_groups: count(state.groups.len()),
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
        part(self.groups.len(), MAX_GROUPS).max(part(self.groups.size(), MAX_SIZE))
    }

    /// Returns the positions to commit.
    fn take_committable(&mut self) -> Vec<Position> {
        self.offsets.take_committable(self.groups.positions())
    }
}

impl RelayProgress {
    /// Queues the request of a message.
    fn accept(self: &Arc<Self>, message: TopicMessage) {
        let position = message.position;
        let parsed = TopicRequest::parse(message);
        let mut state = self.state.lock();
        state.offsets.set_read(position);
        let TopicRequest { id, mut request } = match parsed {
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
        state.stats.accepted += 1;
        state.retained_times.remove_known(&mut request);
        let next = state.groups.add(request, position);
        let assignment = state.assignment;
        drop(state);
        self.submit(next, assignment);
    }

    /// Submits the requests whose pause is over.
    fn retry(self: &Arc<Self>, now: Moment) {
        let (due, assignment) = {
            let mut state = self.state.lock();
            (state.groups.take_due(now), state.assignment)
        };
        due.into_iter().for_each(|request| self.submit(Some(request), assignment));
    }

    /// Submits a request to all sinks.
    fn submit(self: &Arc<Self>, request: Option<PushRequest>, assignment: u64) {
        let Some(request) = request else { return };
        let delivery = Arc::new(Mutex::new((self.pipeline.routers.len(), Settled::Delivered)));
        let key = request.key().clone();
        let new_callback = || -> OnSettled {
            let (progress, delivery, key) = (Arc::clone(self), Arc::clone(&delivery), key.clone());
            let callback =
                Callback { progress, delivery, key, assignment, settled: Settled::Failed };
            Box::new(move |receipt| callback.settle(&receipt))
        };
        let timeout = self.pipeline.timeout;
        self.pipeline.submit_spooled(request, timeout, new_callback);
    }

    /// Ends a delivery to all sinks, and starts the next one of the group.
    fn finish(self: &Arc<Self>, key: &GroupingKey, assignment: u64, settled: Settled) {
        let mut state = self.state.lock();
        match settled {
            Settled::Delivered => state.stats.delivered += 1,
            Settled::Spooled => state.stats.spooled += 1,
            Settled::Rejected => state.stats.rejected += 1,
            Settled::Failed => state.stats.failed += 1,
        }
        if state.assignment != assignment {
            return;
        }
        if matches!(settled, Settled::Spooled | Settled::Rejected) {
            // The next message brings the times of earlier runs along again.
            state.retained_times.forget(key);
        }
        let next = if settled == Settled::Failed {
            state.groups.fail(key, Moment::now().after(RETRY_INTERVAL));
            None
        } else {
            state.groups.finish(key)
        };
        drop(state);
        self.settled.notify_all();
        self.submit(next, assignment);
    }

    /// Waits for the requests in flight, at most for `timeout`, and forgets all requests and positions. Returns the positions
    /// to commit. The messages of the other requests are read again later.
    fn drain(&self, timeout: Duration) -> Vec<Position> {
        let mut state = self.state.lock();
        state.groups.stop();
        let is_busy = |state: &mut RelayState| state.groups.has_in_flight();
        let mut state = self.settled.wait_timeout_while(state, timeout, is_busy);
        // The messages that were dropped must not count as repeated when they are read again.
        state.seen.clear();
        state.retained_times.clear();
        state.assignment += 1;
        let positions = state.take_committable();
        state.groups.clear();
        state.offsets.clear();
        positions
    }
}

/// Reports the end of the delivery to one sink, also if the dispatcher drops it.
struct Callback {
    progress: Arc<RelayProgress>,
    /// The number of sinks that have not reported, and the worst report.
    delivery: Arc<Mutex<(usize, Settled)>>,
    key: GroupingKey,
    assignment: u64,
    settled: Settled,
}

impl Callback {
    fn settle(mut self, receipt: &Receipt) {
        self.settled = Settled::from(receipt);
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        let (left, worst) = {
            let mut delivery = self.delivery.lock();
            *delivery = (delivery.0 - 1, delivery.1.max(self.settled));
            *delivery
        };
        if left == 0 {
            self.progress.finish(&self.key, self.assignment, worst);
        }
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
