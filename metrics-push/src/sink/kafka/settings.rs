//! `ClientSettings`: where and how a Kafka client connects, in librdkafka's names.

#[cfg(feature = "kafka-tls")]
mod tls {
    pub(super) const IS_SUPPORTED: bool = true;
}
#[cfg(not(feature = "kafka-tls"))]
mod tls {
    pub(super) const IS_SUPPORTED: bool = false;
}

use rdkafka::ClientConfig;

use super::topic_url::TopicUrl;
use crate::error::Error;
use crate::http::{Auth, ConfigFile, Transport};
use crate::sink::SaslMechanism;

/// Where and how a client connects.
#[derive(Clone, Debug)]
pub(super) struct ClientSettings {
    pub(super) url: TopicUrl,
    transport: Transport,
    mechanism: SaslMechanism,
}

impl ClientSettings {
    /// # Errors
    /// `is_config` if a setting does not apply to Kafka, or needs another feature.
    pub(super) fn new(
        url: TopicUrl,
        transport: &Transport,
        mechanism: SaslMechanism,
    ) -> Result<Self, Error> {
        let transport = transport.clone();
        let settings = Self { url, transport, mechanism };
        settings.check().map_err(|error| error.at("url", &settings.url))?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), Error> {
        let is_encrypted = self.url.is_tls || self.mechanism != SaslMechanism::Plain;
        if is_encrypted && !tls::IS_SUPPORTED {
            return Err(Error::config("TLS and SCRAM for Kafka are not supported by this build")
                .remedy("enable the feature \"kafka-tls\" of metrics-push"));
        }
        let unsupported = |what, remedy: &'static str| {
            Err(Error::config(format!("{what} is not supported for Kafka")).remedy(remedy))
        };
        if matches!(self.transport.auth, Auth::Bearer(_)) {
            return unsupported("a token", "set METRICS_PUSH_USERNAME and METRICS_PUSH_PASSWORD");
        }
        if !self.transport.headers.is_empty() {
            return unsupported("a request header", "unset METRICS_PUSH_HEADERS");
        }
        if self.transport.server_name.is_some() {
            return unsupported(
                "another server name",
                "unset METRICS_PUSH_SERVER_NAME, and use the name in the broker's certificate",
            );
        }
        Ok(())
    }

    /// Returns true if a new client may use other credentials than the last one.
    pub(super) fn may_change(&self) -> bool {
        self.transport.auth.may_change()
    }

    /// Returns the settings that producers and consumers share. Reads the password, which may be in a file.
    ///
    /// # Errors
    /// `is_config` if the password cannot be read.
    pub(super) fn client_config(&self) -> Result<ClientConfig, Error> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.url.brokers.join(","))
            .set("client.id", "metrics-push")
            .set("log.connection.close", "false")
            // A broker that restarts must be found within the timeout of a push.
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("socket.keepalive.enable", "true");
        self.set_sasl(&mut config)?;
        if self.url.is_tls {
            self.set_certificates(&mut config);
        }
        Ok(config)
    }

    fn set_sasl(&self, config: &mut ClientConfig) -> Result<(), Error> {
        let protocol = if self.url.is_tls { "ssl" } else { "plaintext" };
        let Auth::Basic { user, password } = &self.transport.auth else {
            config.set("security.protocol", protocol);
            return Ok(());
        };
        let password = password.read().map_err(|error| error.at("url", &self.url))?;
        if user.contains('\0') || password.as_str().contains('\0') {
            return Err(Error::config("invalid credentials: they contain a NUL character")
                .at("url", &self.url)
                .remedy("check METRICS_PUSH_USERNAME and METRICS_PUSH_PASSWORD"));
        }
        config
            .set("security.protocol", format!("sasl_{protocol}"))
            .set("sasl.mechanism", self.mechanism.as_str())
            .set("sasl.username", user)
            .set("sasl.password", password.as_str());
        Ok(())
    }

    fn set_certificates(&self, config: &mut ClientConfig) {
        let Transport { ca_file, cert_file, key_file, .. } = &self.transport;
        for (name, file) in [
            ("ssl.ca.location", ca_file),
            ("ssl.certificate.location", cert_file),
            ("ssl.key.location", key_file),
        ] {
            if let Some(path) = file.as_ref().map(ConfigFile::path) {
                config.set(name, path.to_string_lossy());
            }
        }
    }
}
