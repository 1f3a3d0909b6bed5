//! `TopicUrl`: the brokers, the topic and the format of messages.

use std::fmt;

use crate::error::Error;
use crate::http::RawUrl;

/// The topic of a URL without a path.
const DEFAULT_TOPIC: &str = "batch_jobs";
/// The port of a broker without one.
const DEFAULT_PORT: u16 = 9092;
/// The maximum length of the name of a topic.
const MAX_TOPIC_LENGTH: usize = 249;

/// A topic, as in `kafka://broker:9092;broker:9092/topic?format=text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicUrl {
    pub(super) is_tls: bool,
    /// Host and port of each broker.
    pub(super) brokers: Vec<String>,
    pub(super) topic: String,
    pub(super) format: MessageFormat,
}

/// The format of the values of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum MessageFormat {
    /// The text format of Prometheus.
    #[default]
    Text,
    /// `ExportMetricsServiceRequest` of OTLP, as protobuf.
    Otlp,
    /// The line protocol of InfluxDB.
    Influx,
}

impl MessageFormat {
    const ALL: [Self; 3] = [Self::Text, Self::Otlp, Self::Influx];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Otlp => "otlp",
            Self::Influx => "influx",
        }
    }
}

impl TopicUrl {
    /// Parses a URL with the scheme `kafka` or `kafka+tls`.
    ///
    /// # Errors
    /// `is_config` if a part of the URL is invalid.
    pub(crate) fn parse(url: &RawUrl) -> Result<Self, Error> {
        parse(url).map_err(|error| error.at("url", format_args!("{url:?}")))
    }

    /// Returns true if the relay can read the messages of the topic.
    pub(super) fn is_text(&self) -> bool {
        self.format == MessageFormat::Text
    }
}

impl fmt::Display for TopicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "kafka+tls" } else { "kafka" };
        write!(f, "{scheme}://{}/{}", self.brokers.join(";"), self.topic)?;
        match self.format {
            MessageFormat::Text => Ok(()),
            format => write!(f, "?format={}", format.as_str()),
        }
    }
}

fn parse(url: &RawUrl) -> Result<TopicUrl, Error> {
    if url.has_credentials() {
        return Err(Error::config("invalid URL: it contains credentials")
            .remedy("set METRICS_PUSH_USERNAME and METRICS_PUSH_PASSWORD instead"));
    }
    let (scheme, rest) = url.as_str().trim().split_once("://").unwrap_or_default();
    let is_tls = match &*scheme.to_ascii_lowercase() {
        "kafka" => false,
        "kafka+tls" => true,
        _ => {
            return Err(Error::config("invalid URL: it is not that of a topic")
                .remedy("write it as kafka://host:9092/topic"));
        }
    };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (brokers, topic) = place.split_once('/').unwrap_or((place, ""));
    let brokers = brokers.split(';').map(str::trim).filter(|broker| !broker.is_empty());
    let brokers = brokers.map(parse_broker).collect::<Result<Vec<_>, _>>()?;
    if brokers.is_empty() {
        return Err(Error::config("invalid URL: it has no broker")
            .remedy("write it as kafka://host:9092/topic"));
    }
    Ok(TopicUrl { is_tls, brokers, topic: parse_topic(topic)?, format: parse_format(query)? })
}

fn parse_broker(broker: &str) -> Result<String, Error> {
    let invalid = || {
        Error::config(format!("invalid broker {broker:?}"))
            .remedy("write it as host:port, and separate several with semicolons")
    };
    let after_address = broker.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match broker[after_address..].rfind(':') {
        Some(colon) => {
            let (host, port) = broker.split_at(after_address + colon);
            (host, port[1..].parse::<u16>().map_err(|_| invalid())?)
        }
        None => (broker, DEFAULT_PORT),
    };
    let is_address = host.starts_with('[') && host.ends_with(']');
    let is_host_char = |c: char| {
        c.is_ascii_alphanumeric() || "-._".contains(c) || (is_address && "[]:%".contains(c))
    };
    if host.is_empty() || port == 0 || !host.chars().all(is_host_char) {
        return Err(invalid());
    }
    Ok(format!("{host}:{port}"))
}

fn parse_topic(topic: &str) -> Result<String, Error> {
    let topic = topic.trim_end_matches('/');
    let is_topic_char = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match topic {
        "" => Ok(DEFAULT_TOPIC.to_owned()),
        "." | ".." => Err(invalid_topic(topic)),
        _ if topic.len() > MAX_TOPIC_LENGTH || !topic.chars().all(is_topic_char) => {
            Err(invalid_topic(topic))
        }
        _ => Ok(topic.to_owned()),
    }
}

fn invalid_topic(topic: &str) -> Error {
    Error::config(format!("invalid topic {topic:?}"))
        .remedy("use at most 249 letters, digits, dots, underscores and hyphens")
}

fn parse_format(query: &str) -> Result<MessageFormat, Error> {
    if query.is_empty() {
        return Ok(MessageFormat::default());
    }
    let (name, value) = query.split_once('=').unwrap_or((query, ""));
    if name != "format" {
        return Err(Error::config(format!("unknown parameter {name:?}"))
            .remedy("remove it: format is the only parameter"));
    }
    let format = MessageFormat::ALL.into_iter().find(|format| format.as_str() == value);
    format.ok_or_else(|| {
        Error::config(format!("unknown format {value:?}")).remedy("use text, otlp or influx")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Result<TopicUrl, Error> {
        TopicUrl::parse(&RawUrl::new(url))
    }

    #[test]
    fn topic_url_has_defaults_for_port_topic_and_format() {
        for (url, name) in [
            ("kafka://b1", "kafka://b1:9092/batch_jobs"),
            ("KAFKA://b1:9093;b2/", "kafka://b1:9093;b2:9092/batch_jobs"),
            ("kafka+tls://[::1]/jobs?format=text", "kafka+tls://[::1]:9092/jobs"),
            ("kafka://b1; b2:1/a.b_c-d?format=otlp", "kafka://b1:9092;b2:1/a.b_c-d?format=otlp"),
        ] {
            let topic = parsed(url).unwrap();
            assert_eq!(topic.to_string(), name);
            assert_eq!(parsed(name).unwrap(), topic);
        }
    }

    #[test]
    fn invalid_parts_of_a_topic_url_are_named() {
        for (url, part) in [
            ("http://gateway:9091", "it is not that of a topic"),
            ("kafka://", "it has no broker"),
            ("kafka:///topic", "it has no broker"),
            ("kafka://b1:x", "invalid broker \"b1:x\""),
            ("kafka://b1:0", "invalid broker \"b1:0\""),
            ("kafka://b 1", "invalid broker \"b 1\""),
            ("kafka://::1:9092", "invalid broker \"::1:9092\""),
            ("kafka://b1/a/b", "invalid topic \"a/b\""),
            ("kafka://b1/..", "invalid topic \"..\""),
            ("kafka://b1/t?format=json", "unknown format \"json\""),
            ("kafka://b1/t?acks=1", "unknown parameter \"acks\""),
        ] {
            let error = parsed(url).unwrap_err();
            assert!(error.is_config() && error.to_string().contains(part), "{url}: {error}");
        }
    }

    #[test]
    fn credentials_in_a_topic_url_are_an_error_that_does_not_contain_them() {
        let error = format!("{:?}", parsed("kafka://user:hunter2@b1/t").unwrap_err());
        assert!(error.contains("METRICS_PUSH_PASSWORD") && !error.contains("hunter2"), "{error}");
    }
}
