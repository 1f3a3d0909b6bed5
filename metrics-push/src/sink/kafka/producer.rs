//! `Producer`: delivers messages to the brokers and waits for their acknowledgement.
//!
//! librdkafka repeats a message under its producer id and sequence number until the broker acknowledges it, so that a lost
//! acknowledgement stores no second message. A message that is sent again while librdkafka still repeats it is not queued
//! again, and one that was delivered after the end of an attempt is not sent again.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::client_events::{ClientEvents, DeliveryReport};
use super::delivery_failure::{DeliveryFailure, no_thread};
use super::message::OutgoingMessage;
use crate::clock::Moment;
use crate::error::Error;
use crate::sync::Mutex;
use crate::threads;

/// How long librdkafka repeats a message. An attempt ends earlier; the next one waits for the same message.
const MESSAGE_TIMEOUT: &str = "10000";

/// How long librdkafka looks for a topic that the brokers do not have. They create some topics on first use.
const TOPIC_TIMEOUT: &str = "3000";

/// The memory for messages that no broker has acknowledged, in kilobytes.
const MAX_QUEUE_SIZE: &str = "65536";

/// The largest message that is sent. Brokers accept 1 MB unless they are configured otherwise.
const MAX_MESSAGE_SIZE: &str = "8388608";

/// The number of reports that may stay unread, because no attempt follows.
const MAX_UNREAD_REPORTS: usize = 1_024;

/// How long an attempt waits for a reconnection while no broker is connected.
const RECONNECT_TIMEOUT: Duration = Duration::from_millis(250);

/// How often the thread of a producer checks whether the producer is still in use.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Whether the brokers recognise repeated messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idempotence {
    On,
    Off,
}

pub(super) struct Producer {
    client: Arc<BaseProducer<ClientEvents>>,
    /// The reports that no attempt has read yet, by the ids of their messages.
    reports: Mutex<HashMap<u128, Arc<DeliveryReport>>>,
    is_unused: Arc<AtomicBool>,
}

impl Producer {
    /// Starts a producer and its thread. It connects in the background.
    ///
    /// # Errors
    /// `is_config` if librdkafka does not accept a setting, such as a file with certificates; `is_unreachable` if the
    /// system refuses a thread.
    pub(super) fn start(mut config: ClientConfig, idempotence: Idempotence) -> Result<Self, Error> {
        let is_idempotent = idempotence == Idempotence::On;
        config
            .set("acks", "all")
            .set("enable.idempotence", is_idempotent.to_string())
            .set("linger.ms", "0")
            // The partitioner of Java clients: all messages of a group are in one partition.
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", MESSAGE_TIMEOUT)
            .set("message.max.bytes", MAX_MESSAGE_SIZE)
            .set("queue.buffering.max.kbytes", MAX_QUEUE_SIZE)
            .set("topic.metadata.propagation.max.ms", TOPIC_TIMEOUT)
            // Contains the refusals of producer ids.
            .set_log_level(RDKafkaLogLevel::Warning);
        let client = config.create_with_context(ClientEvents::default());
        let client: Arc<BaseProducer<_>> = Arc::new(client.map_err(|error| not_created(&error))?);
        let is_unused = Arc::new(AtomicBool::new(false));
        spawn_poller(Arc::clone(&client), Arc::clone(&is_unused))?;
        Ok(Self { client, reports: Mutex::default(), is_unused })
    }

    /// Queues a message, unless it is queued already, and waits until the brokers have acknowledged it.
    pub(super) async fn deliver(
        &self,
        topic: &str,
        message: &OutgoingMessage,
        deadline: Moment,
    ) -> Result<(), DeliveryFailure> {
        let report = self.queue(topic, message)?;
        let down_deadline = deadline.earlier_of(Moment::now().after(RECONNECT_TIMEOUT));
        let events = self.client.context();
        loop {
            let changed = events.changed.notified();
            if let Some(result) = report.get() {
                self.reports.lock().remove(&message.id);
                return result
                    .map_err(|code| self.fatal().unwrap_or(DeliveryFailure::Refused(code)));
            }
            if let Some(fatal) = self.fatal() {
                return Err(fatal);
            }
            if let Some(reason) = events.producer_id_refusal() {
                return Err(DeliveryFailure::NoProducerId { reason });
            }
            let failure = events.failure();
            let deadline = if failure.is_some() { down_deadline } else { deadline };
            if deadline.remaining().is_zero() {
                return Err(failure.map_or(DeliveryFailure::TimedOut, DeliveryFailure::Unreachable));
            }
            // Either the state has changed, or the deadline has passed.
            let _ = tokio::time::timeout(deadline.remaining(), changed).await;
        }
    }

    fn queue(
        &self,
        topic: &str,
        message: &OutgoingMessage,
    ) -> Result<Arc<DeliveryReport>, DeliveryFailure> {
        let mut reports = self.reports.lock();
        if let Some(report) = reports.get(&message.id) {
            return Ok(Arc::clone(report));
        }
        if reports.len() >= MAX_UNREAD_REPORTS {
            reports.retain(|_, report| report.get().is_none());
        }
        let report = Arc::new(DeliveryReport::new());
        // Brokers reject messages too far in the future. A request created while the clock was wrong must not block
        // later ones.
        let time = message.created_at.min(Moment::now().unix_millis());
        let record = BaseRecord::with_opaque_to(topic, Arc::clone(&report))
            .key(message.key.as_bytes())
            .timestamp(i64::try_from(time).unwrap_or(i64::MAX))
            .headers(headers(message));
        let record = match &message.value {
            Some(value) => record.payload(&value[..]),
            None => record,
        };
        match self.client.send(record) {
            Ok(()) => {}
            Err((KafkaError::MessageProduction(code), _)) => {
                return Err(self.fatal().unwrap_or(DeliveryFailure::Refused(code)));
            }
            Err(_) => return Err(DeliveryFailure::Refused(RDKafkaErrorCode::Fail)),
        }
        reports.insert(message.id, Arc::clone(&report));
        Ok(report)
    }

    /// Returns the error after which the producer delivers no message.
    fn fatal(&self) -> Option<DeliveryFailure> {
        let (code, reason) = self.client.client().fatal_error()?;
        Some(DeliveryFailure::Fatal { code, reason })
    }
}

impl Drop for Producer {
    /// The thread destroys the client: that can take a while, and never ends in a forked process, which has no threads of
    /// librdkafka.
    fn drop(&mut self) {
        self.is_unused.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").finish_non_exhaustive()
    }
}

/// Starts the thread that receives the events of a client.
fn spawn_poller(
    client: Arc<BaseProducer<ClientEvents>>,
    is_unused: Arc<AtomicBool>,
) -> Result<(), Error> {
    let poll = move || {
        while !is_unused.load(Ordering::Relaxed) {
            client.poll(POLL_INTERVAL);
        }
    };
    threads::spawn("metrics-push-kafka", poll).map_err(no_thread)
}

/// Returns the error for a client that librdkafka does not create.
pub(super) fn not_created(error: &KafkaError) -> Error {
    // The text of a configuration error contains the value, which can be a password.
    let cause = match error {
        KafkaError::ClientConfig(_, description, name, _) => format!("{name}: {description}"),
        KafkaError::ClientCreation(description) => description.clone(),
        _ => String::from("invalid settings"),
    };
    Error::config("the Kafka client cannot be created")
        .caused_by(cause)
        .remedy("check the certificates and the credentials of this sink")
}

fn headers(message: &OutgoingMessage) -> OwnedHeaders {
    let (id, created_at) = (format!("{:032x}", message.id), message.created_at.to_string());
    let run_id = message.run_id.map(|id| format!("{id:032x}")).unwrap_or_default();
    let headers = [
        ("verb", message.verb.as_str()),
        ("made", &created_at),
        ("id", &id),
        ("run", &run_id),
        ("content-type", message.content_type),
        ("retained", &message.retained),
    ];
    let headers = headers.into_iter().filter(|(_, value)| !value.is_empty());
    headers.fold(OwnedHeaders::new_with_capacity(6), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}
