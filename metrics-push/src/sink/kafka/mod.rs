//! `Kafka`: sends requests as messages to a topic, for consumers such as `metrics-push relay`.
//!
//! This is the only folder that imports `rdkafka`. Creating a client does not connect it, and its threads do not exist in
//! a forked process, so a client is never destroyed by the thread that stops to use it.

mod client_events;
mod consumer;
mod delivery_failure;
mod message;
mod producer;
mod settings;
mod topic_url;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::answers::locate;
use super::interface::{
    Accepted, Model, OnFailure, OnRepeat, Rejection, Semantics, SendFuture, Sink,
};
use super::target::Target;
use crate::clock::Moment;
use crate::error::Error;
use crate::log;
use crate::push_request::Payload;
use crate::sync::Mutex;
pub(crate) use consumer::{PartitionOwner, Position, TopicConsumer, TopicMessage};
use delivery_failure::DeliveryFailure;
use message::OutgoingMessage;
use producer::{Idempotence, Producer};
use settings::ClientSettings;
use topic_url::TopicUrl;

/// A topic.
#[derive(Debug)]
struct Kafka {
    settings: ClientSettings,
    url: String,
    producer: Mutex<ProducerSlot>,
}

/// The producer of a sink, which is started when it is needed.
#[derive(Debug)]
struct ProducerSlot {
    current: Option<Arc<Producer>>,
    idempotence: Idempotence,
}

/// Returns the sink for a target with the scheme `kafka` or `kafka+tls`.
///
/// # Errors
/// `is_config` if the URL is invalid, or a setting does not apply to Kafka.
pub(super) fn open(target: &Target) -> Result<Arc<dyn Sink>, Error> {
    let url = TopicUrl::parse(&target.url)?;
    let name = url.to_string();
    let settings = ClientSettings::new(url, &target.transport, target.sasl_mechanism)?;
    let slot = ProducerSlot { current: None, idempotence: Idempotence::On };
    Ok(Arc::new(Kafka { settings, url: name, producer: Mutex::new(slot) }))
}

impl Kafka {
    /// Returns the producer. Starts it if there is none.
    fn producer(&self) -> Result<Arc<Producer>, Error> {
        let mut slot = self.producer.lock();
        if let Some(producer) = &slot.current {
            return Ok(Arc::clone(producer));
        }
        let config = self.settings.client_config()?;
        let producer = Arc::new(Producer::start(config, slot.idempotence)?);
        slot.current = Some(Arc::clone(&producer));
        Ok(producer)
    }

    async fn deliver(&self, message: &OutgoingMessage, deadline: Moment) -> Result<(), Rejection> {
        let topic = &self.settings.url.topic;
        let producer = self.producer().map_err(Rejection::Failed)?;
        let result = match producer.deliver(topic, message, deadline).await {
            Err(cause) if self.discard(&producer, &cause) => {
                let producer = self.producer().map_err(Rejection::Failed)?;
                producer.deliver(topic, message, deadline).await
            }
            result => result,
        };
        result.map_err(DeliveryFailure::into_rejection)
    }

    /// Discards a producer if another one may succeed. Returns true if it does so.
    fn discard(&self, producer: &Arc<Producer>, cause: &DeliveryFailure) -> bool {
        let refusal = cause.idempotence_refusal();
        let may_renew = cause.is_about_credentials() && self.settings.may_change();
        if refusal.is_none() && !may_renew && !matches!(cause, DeliveryFailure::Fatal { .. }) {
            return false;
        }
        let mut slot = self.producer.lock();
        let is_current =
            slot.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, producer));
        if is_current {
            slot.current = None;
        }
        if let (true, Some(reason)) = (is_current, refusal) {
            slot.idempotence = Idempotence::Off;
            drop(slot);
            log::warn(format_args!(
                "the Kafka brokers do not assign producer ids (url: {}): {reason}; messages are sent without idempotence, \
                 so a topic can contain one twice, with the same header \"id\"",
                self.url
            ));
        }
        true
    }
}

impl Sink for Kafka {
    fn semantics(&self) -> Semantics {
        Semantics {
            model: Model::Messages,
            // Consumers recognise a repeated message.
            on_repeat: OnRepeat::Idempotent,
            on_failure: OnFailure::Spools,
        }
    }

    /// A producer needs half a second until it has a producer id.
    fn prepare(&self) {
        if let Err(error) = self.producer() {
            log::debug(format_args!("{error:?}"));
        }
    }

    fn send<'a>(&'a self, payload: &'a Payload<'a>, timeout: Duration) -> SendFuture<'a> {
        let deadline = Moment::now().after(timeout);
        Box::pin(async move {
            let Some(message) = OutgoingMessage::encode(self.settings.url.format, payload) else {
                return Ok(Accepted::Queued);
            };
            let result = self.deliver(&message, deadline).await;
            locate(result.map(|()| Accepted::Queued), &self.url, payload.key())
        })
    }
}

impl fmt::Display for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}
