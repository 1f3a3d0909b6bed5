//! `Config`: all settings of this library.
//!
//! A configuration comes from [`init`](crate::init()) or from the environment. It overrides the arguments of
//! attributes, so that a deployment can differ from the source code. An invalid value is reported once, with its name,
//! and never ends a job.

mod connection;
mod duration;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod sink_config;
mod targets;
mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::history::TotalsPolicy;
use crate::labels::GroupingKey;
use crate::sink::pushgateway::Encoding;
use crate::sink::{GatewayKind, RemoteWriteVersion, SaslMechanism};
use crate::state_dir::StateDirPath;
use connection::ConnectionSettings;
use sink_config::{check_separator, split_urls};

pub use duration::parse_duration;
pub use sink_config::SinkConfig;
#[cfg(unix)]
pub(crate) use variables::RUN_ID_VARIABLE;
pub(crate) use variables::{SUPERVISOR_VARIABLE, proxy_settings};
pub use variables::{Variable, unknown_variables};

/// The default timeout for delivering the outcome of a run, including all attempts. It is long enough for a gateway to
/// restart, and far below the 30 s that orchestrators usually grant.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// How and where to push.
///
/// The library reads the configuration from the environment on first use, unless [`init`](crate::init()) sets it before.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// let config = metrics_push::Config::default().url("http://gateway:9091")?.grouping("region", "eu")?;
/// metrics_push::init(config)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    sinks: Vec<SinkConfig>,
    pub(crate) job: Option<String>,
    pub(crate) grouping: BTreeMap<String, String>,
    pub(crate) timeout: Duration,
    /// The settings of the Pushgateways, or of the only sink.
    connection: ConnectionSettings,
    encoding: Encoding,
    pub(crate) state_dir: StateDirPath,
    pub(crate) batch_interval: Option<Duration>,
    pub(crate) totals: TotalsPolicy,
    kind: GatewayKind,
    remote_write: RemoteWriteVersion,
    sasl_mechanism: SaslMechanism,
    is_disabled: bool,
    is_dry_run: bool,
}

impl Default for Config {
    /// Has no gateway, so nothing is pushed.
    fn default() -> Self {
        Self {
            sinks: Vec::new(),
            job: None,
            grouping: BTreeMap::new(),
            timeout: DEFAULT_TIMEOUT,
            connection: ConnectionSettings::default(),
            encoding: Encoding::default(),
            state_dir: StateDirPath::Disabled,
            batch_interval: None,
            totals: TotalsPolicy::default(),
            kind: GatewayKind::default(),
            remote_write: RemoteWriteVersion::default(),
            sasl_mechanism: SaslMechanism::default(),
            is_disabled: false,
            is_dry_run: false,
        }
    }
}

impl Config {
    /// Adds the sink at `url`. Its scheme selects the kind of sink; that of a Pushgateway is `http` or `https`.
    ///
    /// # Errors
    /// `is_config` if the scheme is unknown, or `url` is invalid for this kind of sink.
    pub fn url(self, url: impl Into<String>) -> Result<Self, Error> {
        Ok(self.sink(SinkConfig::new(url)?))
    }

    /// Adds a sink. The credentials, headers and certificates of this configuration apply to it only where the sink has no
    /// others, and only if it is a Pushgateway or the only sink.
    #[must_use]
    pub fn sink(mut self, sink: SinkConfig) -> Self {
        self.sinks.push(sink);
        self
    }

    /// Sets the job name for a `main` with `#[push_job]`.
    ///
    /// # Errors
    /// `is_config` if the name is empty.
    pub fn job(mut self, job: impl Into<String>) -> Result<Self, Error> {
        self.job = Some(GroupingKey::new(job)?.job().to_owned());
        Ok(self)
    }

    /// Adds a grouping label to every run. An empty value removes the label that an attribute sets.
    ///
    /// # Errors
    /// `is_config` if the name is not a valid label name, or is `job`.
    pub fn grouping(mut self, name: &str, value: &str) -> Result<Self, Error> {
        self.set_label(name, value)?;
        Ok(self)
    }

    /// Sets the timeout for delivering the outcome of a run. The default is [`DEFAULT_TIMEOUT`].
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Uses basic authentication.
    #[must_use]
    pub fn basic_auth(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        self.connection.set_basic_auth(username, password);
        self
    }

    /// Uses a bearer token.
    #[must_use]
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.connection.set_token(token);
        self
    }

    /// Adds a request header. Its value is treated as a secret.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.connection.add_header(name, value);
        self
    }

    /// Trusts the certificates of a PEM file in addition to those of the system.
    #[must_use]
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.connection.set_ca_file(file);
        self
    }

    /// Authenticates with a client certificate. Both files are in PEM format: `cert` contains the certificate and its
    /// chain, `key` the private key.
    #[must_use]
    pub fn client_certificate(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.connection.set_client_certificate(cert, key);
        self
    }

    /// Sets the name that the gateway's certificate must have, if it differs from the host of the URL. Use it, for
    /// example, if the URL contains an IP address or points to a tunnel.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.connection.server_name = Some(name.into());
        self
    }

    /// Sets the kind of gateway. Set it for a gateway that adds up the values it receives, so that no request is sent
    /// twice.
    #[must_use]
    pub fn gateway_kind(mut self, kind: GatewayKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sends version 2.0 of the remote-write protocol first, which also contains the types and help texts of metrics. A
    /// receiver that does not support it gets version 1.0.
    #[must_use]
    pub fn remote_write_2(mut self) -> Self {
        self.remote_write = RemoteWriteVersion::V2;
        self
    }

    /// Sets how the user name and the password are sent to Kafka brokers.
    #[must_use]
    pub fn sasl_mechanism(mut self, mechanism: SaslMechanism) -> Self {
        self.sasl_mechanism = mechanism;
        self
    }

    /// Sends delimited protobuf instead of text; see [`Gateway::protobuf`](crate::Gateway::protobuf).
    #[must_use]
    pub fn protobuf(mut self) -> Self {
        self.encoding = self.encoding.protobuf();
        self
    }

    /// Compresses large bodies; see [`Gateway::gzip`](crate::Gateway::gzip).
    ///
    /// # Errors
    /// `is_config` if the feature `gzip` is off.
    pub fn gzip(mut self) -> Result<Self, Error> {
        self.encoding = self.encoding.gzip()?;
        Ok(self)
    }

    /// Sets the directory in which undelivered outcomes are stored for a later run. A configuration that is created in
    /// code has no directory by default, and stores nothing.
    #[must_use]
    pub fn state_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.state_dir = StateDirPath::Configured(directory.into());
        self
    }

    /// Exports totals over the runs of each group, also of groups without a label such as `instance`. The runs of a group
    /// must then end on one machine: two machines would overwrite each other's totals.
    #[must_use]
    pub fn enable_totals(mut self) -> Self {
        self.totals = TotalsPolicy::On;
        self
    }

    /// Exports no totals over runs.
    #[must_use]
    pub fn disable_totals(mut self) -> Self {
        self.totals = TotalsPolicy::Off;
        self
    }

    /// Writes all pushes to stderr instead of sending them.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.is_dry_run = true;
        self
    }

    /// Returns the sinks; none without a URL.
    pub fn sinks(&self) -> &[SinkConfig] {
        &self.sinks
    }

    /// Returns true if pushes are written to stderr instead of being sent.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        self.is_dry_run
    }

    /// Returns true if pushing is disabled.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.is_disabled
    }

    /// Returns the job name for a `main`, if it is set.
    #[must_use]
    pub fn job_name(&self) -> Option<&str> {
        self.job.as_deref()
    }

    /// Returns the grouping key of a job with the grouping labels of this configuration.
    ///
    /// # Errors
    /// `is_config` if the name is empty.
    pub fn grouping_key(&self, job: impl Into<String>) -> Result<GroupingKey, Error> {
        let key = GroupingKey::new(job)?;
        self.grouping.iter().try_fold(key, |key, (name, value)| key.label(name, value))
    }

    /// Pushes the group of a task at most once per interval, for schedulers with many short runs. The outcome of a
    /// [whole process](crate::Job::whole_process), such as a `main`, is pushed immediately.
    ///
    /// # Panics
    /// If the interval is zero.
    #[must_use]
    pub fn batch(mut self, interval: Duration) -> Self {
        assert!(!interval.is_zero(), "the batch interval must be longer than zero");
        self.batch_interval = Some(interval);
        self
    }

    /// Adds the valid URLs of a list.
    ///
    /// # Errors
    /// For the first invalid URL.
    fn add_urls(&mut self, list: &str) -> Result<(), Error> {
        let (mut result, mut before) = (Ok(()), "");
        for (number, url) in (1..).zip(split_urls(list)) {
            if let Err(error) = check_separator(before, url) {
                result = result.and(Err(error));
                continue;
            }
            before = url;
            match SinkConfig::new(url) {
                Ok(mut sink) => {
                    sink.connection.suffix = format!("_{number}");
                    self.sinks.push(sink);
                }
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    /// Sets a grouping label.
    ///
    /// # Errors
    /// `is_config` if the name is not a valid label name, or is `job`.
    fn set_label(&mut self, name: &str, value: &str) -> Result<(), Error> {
        GroupingKey::new("any")?.label(name, value)?;
        self.grouping.insert(name.into(), value.into());
        Ok(())
    }
}
