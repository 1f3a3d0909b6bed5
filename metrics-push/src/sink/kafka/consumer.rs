//! `TopicConsumer`: reads the messages of a topic as a member of a consumer group.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, Statistics, TopicPartitionList};

use super::settings::ClientSettings;
use super::topic_url::TopicUrl;
use crate::error::{Error, Kind};
use crate::log;
use crate::sink::target::Target;

/// How long the partitions of a consumer that died stay unread, in milliseconds. Brokers accept at least 6 s.
const SESSION_TIMEOUT: &str = "10000";

/// How often librdkafka reports the lag, in milliseconds.
const LAG_INTERVAL: &str = "2000";

/// A message of a topic.
#[derive(Clone, Debug)]
pub(crate) struct TopicMessage {
    pub(crate) position: Position,
    pub(crate) key: Option<Vec<u8>>,
    /// `None` for a message that deletes its group.
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

/// The place of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// Finishes the work on partitions before another consumer of the group reads them.
pub(crate) trait PartitionOwner: Send + Sync {
    /// Returns the positions up to which all messages are processed.
    fn on_revoke(&self) -> Vec<Position>;
}

/// A consumer. Nothing is committed without a call.
pub(crate) struct TopicConsumer {
    consumer: BaseConsumer<ConsumerEvents>,
    topic: String,
}

struct ConsumerEvents {
    owner: Box<dyn PartitionOwner>,
    topic: String,
    lag: AtomicI64,
}

impl TopicConsumer {
    /// Subscribes to the topic of a target.
    ///
    /// # Errors
    /// `is_config` if the URL is not that of a topic with messages in the text format, or librdkafka does not accept a setting.
    pub(crate) fn start(
        target: &Target,
        group: &str,
        owner: Box<dyn PartitionOwner>,
    ) -> Result<Self, Error> {
        let url = TopicUrl::parse(&target.url)?;
        if !url.is_text() {
            return Err(Error::config("the relay reads only messages in the text format")
                .at("url", &url)
                .remedy("remove the format from this URL and from that of the jobs"));
        }
        let topic = url.topic.clone();
        let settings = ClientSettings::new(url, &target.transport, target.sasl_mechanism)?;
        let mut config = settings.client_config()?;
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // A new group starts with what the topic still has.
            .set("auto.offset.reset", "earliest")
            .set("session.timeout.ms", SESSION_TIMEOUT)
            .set("statistics.interval.ms", LAG_INTERVAL)
            .set_log_level(RDKafkaLogLevel::Warning);
        let events = ConsumerEvents { owner, topic: topic.clone(), lag: AtomicI64::new(0) };
        let at_url =
            |error: &KafkaError| super::producer::not_created(error).at("url", &settings.url);
        let consumer: BaseConsumer<_> =
            config.create_with_context(events).map_err(|error| at_url(&error))?;
        consumer.subscribe(&[&topic]).map_err(|error| at_url(&error))?;
        Ok(Self { consumer, topic })
    }

    /// Returns the next message; `None` if there is none within `timeout`.
    ///
    /// # Errors
    /// If the brokers cannot be read at present. The next call tries it again.
    pub(crate) fn poll(&self, timeout: Duration) -> Result<Option<TopicMessage>, Error> {
        match self.consumer.poll(timeout) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(read(&message))),
            Some(Err(error)) => {
                if is_about_group(&error) {
                    self.rejoin();
                }
                Err(Error::new(Kind::Unreachable, "cannot read from the topic")
                    .at("topic", &self.topic)
                    .caused_by(error.to_string()))
            }
        }
    }

    /// Joins the group again. librdkafka never reads a partition whose position it could not ask for.
    fn rejoin(&self) {
        self.consumer.unsubscribe();
        log_failure("subscribing", self.consumer.subscribe(&[&self.topic]));
    }

    /// Commits positions in the background.
    pub(crate) fn commit(&self, positions: &[Position]) {
        commit(&self.consumer, &self.topic, positions, CommitMode::Async);
    }

    /// Commits positions and waits for the broker.
    pub(crate) fn commit_now(&self, positions: &[Position]) {
        commit(&self.consumer, &self.topic, positions, CommitMode::Sync);
    }

    /// Stops to read from all partitions. [`poll`](Self::poll) must still be called.
    pub(crate) fn pause(&self) {
        let paused = self.consumer.assignment().and_then(|all| self.consumer.pause(&all));
        log_failure("pausing", paused);
    }

    pub(crate) fn resume(&self) {
        let resumed = self.consumer.assignment().and_then(|all| self.consumer.resume(&all));
        log_failure("resuming", resumed);
    }

    /// Returns the number of messages that are not committed, by the last report of librdkafka.
    pub(crate) fn lag(&self) -> i64 {
        self.consumer.context().lag.load(Ordering::Relaxed)
    }

    /// Returns the number of partitions that this consumer reads.
    pub(crate) fn partitions(&self) -> usize {
        self.consumer.assignment().map_or(0, |assignment| assignment.count())
    }
}

impl fmt::Debug for TopicConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicConsumer").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl ClientContext for ConsumerEvents {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        log::debug(format_args!("librdkafka: {facility}: {message}"));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log::warn_once(format_args!("the Kafka brokers cannot be read: {error}: {reason}"));
    }

    fn stats(&self, statistics: Statistics) {
        let topic = statistics.topics.get(&self.topic);
        let partitions = topic.into_iter().flat_map(|topic| topic.partitions.values());
        let lag = partitions.map(|partition| partition.consumer_lag.max(0)).sum();
        self.lag.store(lag, Ordering::Relaxed);
    }
}

impl ConsumerContext for ConsumerEvents {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(_) = rebalance {
            commit(consumer, &self.topic, &self.owner.on_revoke(), CommitMode::Sync);
        }
    }
}

fn commit(
    consumer: &BaseConsumer<ConsumerEvents>,
    topic: &str,
    positions: &[Position],
    mode: CommitMode,
) {
    if positions.is_empty() {
        return;
    }
    let mut list = TopicPartitionList::new();
    let added = positions.iter().try_for_each(|Position { partition, offset }| {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
    });
    log_failure("committing", added.and_then(|()| consumer.commit(&list, mode)));
}

/// Returns true if the coordinator of the group has refused a request that librdkafka does not repeat.
fn is_about_group(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
                | RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::BrokerTransportFailure
        )
    )
}

/// A commit that fails is repeated with the next one. Without it, another consumer reads the messages again.
fn log_failure(what: &str, result: Result<(), KafkaError>) {
    if let Err(error) = result {
        log::debug(format_args!("{what} failed: {error}"));
    }
}

fn read(message: &BorrowedMessage<'_>) -> TopicMessage {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let headers =
        headers.map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()));
    TopicMessage {
        position: Position { partition: message.partition(), offset: message.offset() },
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.collect(),
    }
}
