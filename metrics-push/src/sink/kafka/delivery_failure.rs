//! `DeliveryFailure`: why a message was not delivered, and the error for it.

use rdkafka::error::RDKafkaErrorCode as Code;

use super::client_events::ClientFailure;
use crate::error::{Error, Kind};
use crate::sink::Rejection;

/// Why a message was not delivered.
#[derive(Clone, Debug)]
pub(super) enum DeliveryFailure {
    /// The brokers did not accept the message, or librdkafka has given up.
    Refused(Code),
    /// No broker is connected.
    Unreachable(ClientFailure),
    /// The producer cannot be used any more.
    Fatal { code: Code, reason: String },
    /// The brokers do not assign a producer id.
    NoProducerId { reason: String },
    /// No broker has acknowledged the message in time.
    TimedOut,
}

impl DeliveryFailure {
    pub(super) fn is_about_credentials(&self) -> bool {
        matches!(self, Self::Unreachable(failure) if failure.code == Code::Authentication)
    }

    /// Returns the reason if the brokers do not support idempotence, or do not allow it.
    pub(super) fn idempotence_refusal(&self) -> Option<&str> {
        match self {
            Self::NoProducerId { reason } => Some(reason),
            Self::Fatal {
                code: Code::UnsupportedFeature | Code::ClusterAuthorizationFailed,
                reason,
            } => Some(reason),
            _ => None,
        }
    }

    pub(super) fn into_rejection(self) -> Rejection {
        match self {
            Self::Refused(code) => refused(code),
            Self::Unreachable(ClientFailure { code, reason }) => {
                Rejection::Failed(unreachable(code, &reason).caused_by(reason))
            }
            Self::Fatal { reason, .. } | Self::NoProducerId { reason } => Rejection::Failed(
                Error::new(Kind::Unreachable, "the Kafka client has stopped").caused_by(reason),
            ),
            Self::TimedOut => Rejection::Failed(timed_out()),
        }
    }
}

/// Returns the error for a thread that the system refuses.
pub(super) fn no_thread(error: std::io::Error) -> Error {
    Error::new(Kind::Unreachable, "no thread can be started for the Kafka client")
        .unsent()
        .caused_by(error)
        .remedy("raise the limit for threads of the job's user")
}

fn timed_out() -> Error {
    Error::new(Kind::Timeout, "no Kafka broker acknowledged the message in time")
        .remedy("check the leader of the topic's partitions and min.insync.replicas")
}

fn unreachable(code: Code, reason: &str) -> Error {
    // A broker without TLS closes the connection, which has another code.
    let is_tls = code == Code::SSL || reason.contains("in state SSL_HANDSHAKE");
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed => Error::new(
            Kind::Credentials { status: None },
            "the Kafka brokers rejected the credentials",
        )
        .remedy("check METRICS_PUSH_USERNAME, METRICS_PUSH_PASSWORD and METRICS_PUSH_KAFKA_SASL"),
        _ if is_tls => Error::new(Kind::Unreachable, "the TLS connection to a Kafka broker failed")
            .unsent()
            .remedy("check METRICS_PUSH_CA_FILE, and that the port of the broker uses TLS"),
        _ => Error::new(Kind::Unreachable, "no Kafka broker is reachable")
            .unsent()
            .remedy("check the brokers in the URL, and that they listen on these ports"),
    }
}

fn refused(code: Code) -> Rejection {
    let error = match code {
        Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => {
            let error = Error::new(Kind::Metric, "the message is larger than the topic accepts");
            return Rejection::InvalidMetrics(
                error
                    .caused_by(code.to_string())
                    .remedy("export fewer series, or raise max.message.bytes of the topic"),
            );
        }
        Code::MessageTimedOut | Code::OperationTimedOut | Code::RequestTimedOut => timed_out(),
        Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition
        | Code::InvalidTopic => Error::config("the Kafka brokers do not have the topic")
            .remedy("create the topic, or check its name in the URL"),
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => Error::new(
            Kind::Credentials { status: None },
            "the Kafka brokers do not allow the user to write to the topic",
        )
        .remedy("allow the user to write to the topic"),
        Code::QueueFull => {
            Error::new(Kind::Unreachable, "too many messages wait for the Kafka brokers").unsent()
        }
        Code::InvalidTimestamp => {
            Error::config("the Kafka brokers do not accept the time of the message").remedy(
                "check the clock of this machine, and message.timestamp.after.max.ms and \
                 message.timestamp.before.max.ms of the topic",
            )
        }
        Code::InvalidRecord | Code::PolicyViolation | Code::UnsupportedForMessageFormat => {
            Error::config("the Kafka brokers do not accept the message")
                .remedy("check the settings of the topic")
        }
        _ => Error::new(Kind::Unreachable, "the Kafka brokers did not store the message"),
    };
    Rejection::Failed(error.caused_by(code.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_the_brokers_decides_about_the_next_attempt() {
        let error = |code| DeliveryFailure::Refused(code).into_rejection().into_error();
        assert!(error(Code::MessageTimedOut).is_timeout());
        assert!(error(Code::UnknownTopic).is_config());
        assert!(error(Code::TopicAuthorizationFailed).is_about_credentials());
        assert!(error(Code::NotEnoughReplicas).is_retryable());
        let time = error(Code::InvalidTimestamp);
        assert!(time.is_config() && time.to_string().contains("check the clock"), "{time}");
        let too_large = DeliveryFailure::Refused(Code::MessageSizeTooLarge).into_rejection();
        assert!(matches!(too_large, Rejection::InvalidMetrics(error) if error.is_metric()));
    }

    #[test]
    fn broker_that_cannot_be_reached_is_unconnected() {
        let reason = String::from("Connection refused");
        for (code, is_unconnected) in
            [(Code::BrokerTransportFailure, true), (Code::SSL, true), (Code::Authentication, false)]
        {
            let failure = ClientFailure { code, reason: reason.clone() };
            let error = DeliveryFailure::Unreachable(failure).into_rejection().into_error();
            assert_eq!(error.is_unconnected(), is_unconnected, "{error:?}");
        }
    }
}
