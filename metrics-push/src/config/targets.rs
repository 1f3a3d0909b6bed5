//! Selects for each sink the settings that apply to it.

use std::sync::Once;

use super::Config;
use super::sink_config::SinkConfig;
use super::variables::proxy_settings;
use crate::error::Error;
use crate::log;
use crate::sink::{Mode, Target};

/// The URL that a dry run displays if none is set. The domain is reserved for invalid names.
const UNSET_URL: &str = "http://url-is-not-set.invalid";

impl Config {
    /// Returns the target of each sink; none if pushing is disabled. A dry run needs no URL.
    ///
    /// # Errors
    /// `is_config` if the settings of a sink are contradictory.
    pub(crate) fn targets(&self) -> Result<Vec<Target>, Error> {
        self.each_target().into_iter().collect()
    }

    /// Returns the target of each sink, or the error if its settings contradict each other.
    pub(crate) fn each_target(&self) -> Vec<Result<Target, Error>> {
        if self.is_disabled {
            return Vec::new();
        }
        self.warn_about_credentials_without_sink();
        if self.sinks.is_empty() && self.is_dry_run {
            return vec![SinkConfig::new(UNSET_URL).and_then(|sink| self.target(&sink))];
        }
        self.sinks.iter().map(|sink| self.target(sink)).collect()
    }

    fn target(&self, sink: &SinkConfig) -> Result<Target, Error> {
        let connection = if self.shares_connection_with(sink) {
            sink.connection.or(&self.connection)
        } else {
            sink.connection.clone()
        };
        connection.warn_about_unused_credentials(sink.url.has_credentials());
        let transport = connection.transport(proxy_settings());
        Ok(Target {
            url: sink.url.clone(),
            transport: transport.map_err(|error| error.at("url", sink.url()))?,
            kind: self.kind,
            encoding: self.encoding,
            remote_write: self.remote_write,
            sasl_mechanism: self.sasl_mechanism,
            mode: if self.is_dry_run { Mode::DryRun } else { Mode::Live },
        })
    }

    /// Returns true if the settings of all sinks apply to this one. Credentials must not reach other servers than those
    /// for which they are meant.
    fn shares_connection_with(&self, sink: &SinkConfig) -> bool {
        self.sinks.len() < 2 || sink.is_pushgateway()
    }

    /// Logs once that the credentials for all sinks are not sent to any of them.
    fn warn_about_credentials_without_sink(&self) {
        static LOGGED: Once = Once::new();

        let is_unused = !self.sinks.iter().any(|sink| self.shares_connection_with(sink));
        if is_unused && !self.sinks.is_empty() && self.connection.has_credentials() {
            LOGGED.call_once(|| {
                log::warn(
                    "the credentials are not sent to any of the sinks: they are only for Pushgateways; \
                     append the number of the sink to the names of the variables, as in METRICS_PUSH_TOKEN_2",
                );
            });
        }
    }
}
