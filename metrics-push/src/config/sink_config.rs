//! `SinkConfig`: the URL of one sink and the settings that apply only to it.

use std::path::PathBuf;

use super::connection::ConnectionSettings;
use crate::error::Error;
use crate::http::RawUrl;
use crate::sink;

/// A sink with its own credentials, headers and certificates, for a [`Config`](crate::Config) with several sinks.
/// [`guide::sinks`](crate::guide::sinks) lists the kinds of sinks.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// use metrics_push::{Config, SinkConfig};
///
/// let internal = SinkConfig::new("http://gateway:9091")?;
/// let external = SinkConfig::new("http://gateway.example")?.basic_auth("batch", "secret");
/// let config = Config::default().sink(internal).sink(external);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a sink is used only if it is added to a configuration"]
pub struct SinkConfig {
    pub(super) url: RawUrl,
    /// The URL without credentials.
    display_url: String,
    pub(super) connection: ConnectionSettings,
}

impl SinkConfig {
    /// Returns the sink at `url`. Its scheme selects the kind of sink; that of a Pushgateway is `http` or `https`.
    ///
    /// # Errors
    /// `is_config` if the scheme is unknown, or `url` is invalid for this kind of sink.
    pub fn new(url: impl Into<String>) -> Result<Self, Error> {
        let url = RawUrl::new(url);
        let display_url = sink::display_url(&url)?;
        Ok(Self { url, display_url, connection: ConnectionSettings::default() })
    }

    /// Returns the URL without credentials.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.display_url
    }

    /// Returns true if the sink is a Pushgateway. A [`Gateway`](crate::Gateway) is a client only of these.
    #[must_use]
    pub fn is_pushgateway(&self) -> bool {
        sink::is_pushgateway(&self.url)
    }

    /// Uses basic authentication.
    pub fn basic_auth(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        self.connection.set_basic_auth(username, password);
        self
    }

    /// Uses a token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.connection.set_token(token);
        self
    }

    /// Adds a request header. Its value is treated as a secret.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.connection.add_header(name, value);
        self
    }

    /// Trusts the certificates of a PEM file in addition to those of the system.
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.connection.set_ca_file(file);
        self
    }

    /// Authenticates with a client certificate. Both files are in PEM format: `cert` contains the certificate and its
    /// chain, `key` the private key.
    pub fn client_certificate(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.connection.set_client_certificate(cert, key);
        self
    }

    /// Sets the name that the sink's certificate must have, if it differs from the host of the URL.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.connection.server_name = Some(name.into());
        self
    }
}

/// Returns the URLs of a list.
pub(super) fn split_urls(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|url| !url.is_empty())
}

/// Checks that a URL is not another broker of the Kafka topic that precedes it in the list.
///
/// # Errors
/// `is_config` if it is: the URL would be used as a Pushgateway, and would receive the credentials of the topic.
pub(super) fn check_separator(before: &str, url: &str) -> Result<(), Error> {
    let (scheme, brokers) = before.split_once("://").unwrap_or_default();
    let is_without_topic = sink::is_kafka_scheme(scheme) && !brokers.contains(['/', '?']);
    let port = |url: &str| Some(url.split('/').next()?.rsplit_once(':')?.1.to_owned());
    if !is_without_topic || url.contains("://") || port(url) != port(brokers) {
        return Ok(());
    }
    Err(Error::config("invalid URL: commas separate sinks, and semicolons separate brokers")
        .at("url", format_args!("{:?}", RawUrl::new(url)))
        .remedy("write the brokers as kafka://host:9092;host:9092/topic"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broker_after_a_comma_is_not_a_gateway() {
        for (before, url, is_broker) in [
            ("kafka://a:9092", "b:9092/jobs", true),
            ("kafka://a:9092", "b:9092", true),
            ("kafka+tls://a:9092;b:9092", "c:9092", true),
            ("Kafka://a", "b/jobs", true),
            ("kafka://[::1]:9092", "[::2]:9092/jobs", true),
            ("kafka://a:9092/jobs", "b:9092", false),
            ("kafka://a:9092", "gateway:9091", false),
            ("kafka://a:9092", "http://gateway:9092", false),
            ("http://a:9092", "b:9092", false),
            ("a:9092", "b:9092", false),
            ("", "b:9092", false),
        ] {
            let checked = check_separator(before, url);
            assert_eq!(checked.is_err(), is_broker, "{before},{url}");
        }
        let error = check_separator("kafka://a:1", "user:hunter2@b:1").unwrap_err().to_string();
        assert!(error.contains("semicolons") && !error.contains("hunter2"), "{error}");
    }
}
