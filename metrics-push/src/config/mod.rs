//! Configuration: every choice in one place.
//!
//! It comes from [`init`], else from the environment, and beats what attributes say: a pipeline knows better than
//! the source. A bad value is reported once, by name, and never ends a job.

mod duration;
mod variables;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::http::{Auth, RawUrl, Secret, SecretSource, Server, Transport};
use crate::labels::GroupingKey;
use crate::sink::GatewayKind;
use crate::sink::wire::Wire;

pub use duration::parse_duration;
pub use variables::Variable;
pub(crate) use variables::proxy;

/// How long an ending may take to be delivered, all attempts together: far below the 30 s that orchestrators
/// commonly grant, and long enough for a gateway to restart.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// How and where to push.
///
/// Usually read from the environment by the first thing that needs it; [`init`] sets it from code.
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
    urls: Vec<RawUrl>,
    pub(crate) job: Option<String>,
    pub(crate) grouping: BTreeMap<String, String>,
    pub(crate) timeout: Duration,
    username: Option<String>,
    password: Option<SecretSource>,
    token: Option<SecretSource>,
    headers: Vec<(String, Secret)>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    server_name: Option<String>,
    wire: Wire,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) batch_interval: Option<Duration>,
    kind: GatewayKind,
    is_disabled: bool,
    is_dry_run: bool,
}

/// How to reach one gateway.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) url: RawUrl,
    pub(crate) transport: Transport,
    pub(crate) timeout: Duration,
    pub(crate) kind: GatewayKind,
    pub(crate) wire: Wire,
    pub(crate) mode: Mode,
}

/// Whether anything is sent that changes what a gateway holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Live,
    /// What would be sent is shown on stderr.
    DryRun,
}

impl Default for Config {
    /// Nothing set: no gateway, so nothing is pushed.
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            job: None,
            grouping: BTreeMap::new(),
            timeout: DEFAULT_TIMEOUT,
            username: None,
            password: None,
            token: None,
            headers: Vec::new(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            server_name: None,
            wire: Wire::default(),
            state_dir: None,
            batch_interval: None,
            kind: GatewayKind::default(),
            is_disabled: false,
            is_dry_run: false,
        }
    }
}

impl Config {
    /// The variables that [`from_env`](Self::from_env) reads.
    #[must_use]
    pub fn variables() -> &'static [Variable] {
        variables::ALL
    }

    /// What the environment says, and an error for every variable that has a bad value and was left out.
    #[must_use]
    pub fn from_env() -> (Self, Vec<Error>) {
        Self::from_variables(variables::of_process)
    }

    /// The same for any source of variables.
    ///
    /// ```
    /// let variables = |name: &str| (name == "METRICS_PUSH_TIMEOUT").then(|| "soon".into());
    /// let (_, problems) = metrics_push::Config::from_variables(variables);
    /// assert!(problems[0].to_string().contains("METRICS_PUSH_TIMEOUT"));
    /// ```
    #[must_use]
    pub fn from_variables(look_up: impl Fn(&str) -> Option<OsString>) -> (Self, Vec<Error>) {
        variables::read(look_up)
    }

    /// Pushes to the gateway at `url`, too, if one is set already.
    ///
    /// # Errors
    /// `is_config`, if it is no base URL.
    pub fn url(mut self, url: impl Into<String>) -> Result<Self, Error> {
        let url = url.into();
        Server::new(&url, Transport::default())?;
        self.urls.push(RawUrl::new(url));
        Ok(self)
    }

    /// Names the job of a `main` with `#[push_job]`.
    ///
    /// # Errors
    /// `is_config`, if the name is empty.
    pub fn job(mut self, job: impl Into<String>) -> Result<Self, Error> {
        self.job = Some(GroupingKey::new(job)?.job().to_owned());
        Ok(self)
    }

    /// Adds a grouping label to every run. An empty value takes away a label that an attribute gives.
    ///
    /// # Errors
    /// `is_config`, if the name is no label name, or is `job`.
    pub fn grouping(mut self, name: &str, value: &str) -> Result<Self, Error> {
        self.set_label(name, value)?;
        Ok(self)
    }

    /// How long an ending may take to be delivered. The default is [`DEFAULT_TIMEOUT`].
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Basic authentication.
    #[must_use]
    pub fn basic_auth(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self.password = Some(SecretSource::Value(Secret::new(password)));
        self
    }

    /// Authentication by a bearer token.
    #[must_use]
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(SecretSource::Value(Secret::new(token)));
        self
    }

    /// A further request header. Its value is treated as a secret.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), Secret::new(value)));
        self
    }

    /// Certificates to trust besides the machine's own, in PEM format.
    #[must_use]
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(file.into());
        self
    }

    /// The client certificate with its chain, and its key, in PEM format.
    #[must_use]
    pub fn client_certificate(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.cert_file = Some(cert.into());
        self.key_file = Some(key.into());
        self
    }

    /// The name that the gateway's certificate is checked against, where it is not the one in the URL: for a gateway that
    /// is reached by an address or through a tunnel.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// What kind of gateway it is: one that adds up what it gets must not get anything twice.
    #[must_use]
    pub fn gateway_kind(mut self, kind: GatewayKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sends metrics as delimited protobuf instead of text: see [`Gateway::protobuf`](crate::Gateway::protobuf).
    #[must_use]
    pub fn protobuf(mut self) -> Self {
        self.wire = self.wire.protobuf();
        self
    }

    /// Compresses large bodies: see [`Gateway::gzip`](crate::Gateway::gzip).
    ///
    /// # Errors
    /// `is_config`, if the feature `gzip` is off.
    pub fn gzip(mut self) -> Result<Self, Error> {
        self.wire = self.wire.gzip()?;
        Ok(self)
    }

    /// Where undelivered outcomes wait for a later run. A configuration from code keeps nothing unless this is set.
    #[must_use]
    pub fn state_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(directory.into());
        self
    }

    /// Shows on stderr what would be pushed, and pushes nothing.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.is_dry_run = true;
        self
    }

    /// Whether nothing is pushed, but shown.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        self.is_dry_run
    }

    /// Whether pushing is switched off.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.is_disabled
    }

    /// The name for the job of a `main`, if one is set.
    #[must_use]
    pub fn job_name(&self) -> Option<&str> {
        self.job.as_deref()
    }

    /// The group of a job of this name, with the grouping labels of this configuration.
    ///
    /// # Errors
    /// `is_config`, if the name is empty.
    pub fn grouping_key(&self, job: impl Into<String>) -> Result<GroupingKey, Error> {
        let key = GroupingKey::new(job)?;
        self.grouping.iter().try_fold(key, |key, (name, value)| key.label(name, value))
    }

    /// How to reach each gateway; none, if pushing is switched off.
    pub(crate) fn targets(&self) -> Result<Vec<Target>, Error> {
        if self.is_disabled || self.urls.is_empty() {
            return Ok(Vec::new());
        }
        let mode = if self.is_dry_run { Mode::DryRun } else { Mode::Live };
        let transport = self.transport()?;
        let target = |url: &RawUrl| Target {
            url: url.clone(),
            transport: transport.clone(),
            timeout: self.timeout,
            kind: self.kind,
            wire: self.wire,
            mode,
        };
        Ok(self.urls.iter().map(target).collect())
    }

    /// Pushes each group of a task at most once per interval: for schedulers with many short runs. What a whole
    /// process reports is not held back.
    ///
    /// # Panics
    /// If the interval is zero.
    #[must_use]
    pub fn batch(mut self, interval: Duration) -> Self {
        assert!(!interval.is_zero(), "batches need an interval longer than zero");
        self.batch_interval = Some(interval);
        self
    }

    /// Takes the good ones; the error is about the first bad one.
    fn set_urls(&mut self, list: &str) -> Result<(), Error> {
        let mut refused = Ok(());
        for url in list.split(',').map(str::trim).filter(|url| !url.is_empty()) {
            match Server::new(url, Transport::default()) {
                Ok(_) => self.urls.push(RawUrl::new(url)),
                Err(error) => refused = refused.and(Err(error)),
            }
        }
        refused
    }

    fn set_label(&mut self, name: &str, value: &str) -> Result<(), Error> {
        GroupingKey::new("any")?.label(name, value)?;
        self.grouping.insert(name.into(), value.into());
        Ok(())
    }

    fn transport(&self) -> Result<Transport, Error> {
        let auth = match (&self.token, &self.username, &self.password) {
            (Some(token), _, _) => Auth::Bearer(token.clone()),
            (None, Some(user), password) => Auth::Basic {
                user: user.clone(),
                password: password.clone().unwrap_or(SecretSource::Value(Secret::new(""))),
            },
            (None, None, None) => Auth::None,
            (None, None, Some(_)) => {
                return Err(Error::config("there is a password and no user")
                    .remedy("set METRICS_PUSH_USERNAME as well"));
            }
        };
        Ok(Transport {
            auth,
            headers: self.headers.clone(),
            ca_file: self.ca_file.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            server_name: self.server_name.clone(),
            proxy: proxy(),
        })
    }
}
