//! `ClientEvents`: what a Kafka client reports about its connections, and the reports about its messages.

use std::sync::{Arc, OnceLock};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use tokio::sync::Notify;

use crate::log;
use crate::sync::Mutex;

/// How often brokers refuse a producer id before the producer stops to ask for one. A broker that starts refuses some.
const MAX_REFUSED_PRODUCER_IDS: u32 = 3;

/// The result of one message; empty until the broker has acknowledged it, or librdkafka has given up.
pub(super) type DeliveryReport = OnceLock<Result<(), RDKafkaErrorCode>>;

/// Why a client cannot deliver messages at present.
#[derive(Clone, Debug)]
pub(super) struct ClientFailure {
    pub(super) code: RDKafkaErrorCode,
    pub(super) reason: String,
}

#[derive(Debug, Default)]
pub(super) struct ClientEvents {
    state: Mutex<ConnectionState>,
    /// Notified of each delivery report and each failure.
    pub(super) changed: Notify,
}

#[derive(Debug, Default)]
struct ConnectionState {
    /// The last error of a connection.
    last_error: Option<ClientFailure>,
    /// Present while no broker is connected.
    failure: Option<ClientFailure>,
    refused_producer_ids: u32,
    /// Why no broker assigns a producer id.
    refusal: Option<String>,
}

impl ClientEvents {
    /// Returns the reason why no broker is connected; `None` if one is, or if it is not known yet.
    pub(super) fn failure(&self) -> Option<ClientFailure> {
        self.state.lock().failure.clone()
    }

    /// Returns the reason why no broker assigns a producer id, if that was tried often enough.
    pub(super) fn producer_id_refusal(&self) -> Option<String> {
        self.state.lock().refusal.clone()
    }

    fn record_error(&self, code: RDKafkaErrorCode, reason: &str) {
        let error = ClientFailure { code, reason: reason.to_owned() };
        let mut state = self.state.lock();
        if code == RDKafkaErrorCode::AllBrokersDown {
            state.failure = Some(state.last_error.clone().unwrap_or(error));
        } else {
            // An authentication error explains the errors that follow it.
            let is_explained = state.failure.as_ref().is_some_and(|failure| {
                failure.code == RDKafkaErrorCode::Authentication && failure.code != code
            });
            if !is_explained {
                state.last_error = Some(error);
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn record_refused_producer_id(&self, reason: &str) {
        let mut state = self.state.lock();
        state.refused_producer_ids += 1;
        if state.refused_producer_ids >= MAX_REFUSED_PRODUCER_IDS {
            state.refusal = Some(reason.to_owned());
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn record_delivery(&self) {
        let mut state = self.state.lock();
        (state.failure, state.last_error, state.refused_producer_ids) = (None, None, 0);
    }
}

impl ClientContext for ClientEvents {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // librdkafka reports a refusal of the brokers only here. Its own errors, such as a broken connection, are no refusal.
        let is_warning = matches!(level, RDKafkaLogLevel::Warning);
        if facility == "GETPID" && is_warning && !message.contains(": Local: ") {
            self.record_refused_producer_id(message);
        }
        log::debug(format_args!("librdkafka: {facility}: {message}"));
    }

    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        log::debug(format_args!("librdkafka: {error}: {reason}"));
        if let KafkaError::Global(code) = error {
            self.record_error(code, reason);
        }
    }
}

impl ProducerContext for ClientEvents {
    type DeliveryOpaque = Arc<DeliveryReport>;

    fn delivery(&self, result: &DeliveryResult<'_>, report: Arc<DeliveryReport>) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((KafkaError::MessageProduction(code), _)) => Err(*code),
            Err(_) => Err(RDKafkaErrorCode::Fail),
        };
        if result.is_ok() {
            self.record_delivery();
        }
        // A message has one report.
        let _ = report.set(result);
        self.changed.notify_waiters();
    }
}
