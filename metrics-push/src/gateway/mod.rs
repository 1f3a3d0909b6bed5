//! `Gateway`: a client of one Pushgateway or of a ring of them, which lists groups, checks readiness, pushes, adds and deletes.

mod cleanup;
mod connection;
mod misplaced;
mod textfiles;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::OnceCell;

use crate::clock::Moment;
use crate::config::{Config, DEFAULT_TIMEOUT, proxy_settings};
use crate::delivery::policy::RECEIPT_GRACE;
use crate::delivery::{DeliveryClass, Receipt};
use crate::dispatcher::dispatcher;
use crate::error::{Error, Kind};
use crate::exposition::Exposition;
use crate::http::{Auth, ConfigFile, RawUrl, Secret, SecretSource};
use crate::labels::GroupingKey;
use crate::oneshot::Receiver;
use crate::push_request::PushRequest;
use crate::sink::pushgateway::StoredGroup;
use crate::sink::{Acceptance, GatewayKind, Target, is_pushgateway};
use crate::state_dir::StateDir;
use connection::Connection;

pub use cleanup::Removal;
pub use textfiles::Textfiles;

/// A Pushgateway and its connection settings, or several that share the groups: see [`guide::scale`](crate::guide::scale).
///
/// A thread of the library sends all requests, so the blocking and the async form of each method work in any context:
/// inside any runtime, on a plain thread, and in `Drop` while unwinding.
///
/// ```no_run
/// # fn main() -> Result<(), metrics_push::Error> {
/// let gateway = metrics_push::Gateway::new("http://gateway:9091")?;
/// gateway.ready()?;
/// for group in gateway.metrics()? {
///     println!("{:?}: {:?}", group.labels, group.value("batch_job_last_run_success", &[]));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Gateway {
    target: Target,
    /// The URL without credentials.
    url: String,
    timeout: Duration,
    /// Where undelivered requests are stored; `None` if the caller handles the error.
    state_dir: Option<Arc<StateDir>>,
    connection: OnceCell<Connection>,
}

impl Gateway {
    /// Returns the gateway at `url`. Credentials in the URL are sent as a request header.
    ///
    /// # Errors
    /// `is_config` if `url` is not a base URL.
    pub fn new(url: impl Into<String>) -> Result<Self, Error> {
        let mut target = Target::with_defaults(RawUrl::new(url));
        target.transport.proxy = proxy_settings();
        Self::from_target(target, DEFAULT_TIMEOUT)
    }

    /// Returns the Pushgateways of a configuration, with its credentials, certificates and timeout. There are none if the
    /// configuration has no URL, only sinks of other kinds, or disables pushing. In a dry run, a request that would change a
    /// gateway is written to stderr instead of being sent.
    ///
    /// ```
    /// # fn main() -> Result<(), metrics_push::Error> {
    /// let config = metrics_push::Config::default().url("http://gateway:9091")?;
    /// assert_eq!(metrics_push::Gateway::from_config(&config)?[0].url(), "http://gateway:9091");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `is_config` if the configuration is contradictory.
    pub fn from_config(config: &Config) -> Result<Vec<Self>, Error> {
        let gateways = config.targets()?.into_iter().filter(|it| is_pushgateway(&it.url));
        gateways.map(|target| Self::from_target(target, config.timeout)).collect()
    }

    fn from_target(target: Target, timeout: Duration) -> Result<Self, Error> {
        let checked = Connection::open(&Target::with_defaults(target.url.clone()), None)?;
        let url = checked.url().to_owned();
        Ok(Self { target, url, timeout, state_dir: None, connection: OnceCell::new() })
    }

    /// Returns the URL without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Uses basic authentication.
    #[must_use]
    pub fn basic_auth(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        let (user, password) = (user.into(), SecretSource::Value(Secret::new(password)));
        self.with(|target| target.transport.auth = Auth::Basic { user, password })
    }

    /// Uses a bearer token.
    #[must_use]
    pub fn bearer_token(self, token: impl Into<String>) -> Self {
        let token = SecretSource::Value(Secret::new(token));
        self.with(|target| target.transport.auth = Auth::Bearer(token))
    }

    /// Adds a request header. Its value is treated as a secret.
    #[must_use]
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let header = (name.into(), Secret::new(value));
        self.with(|target| target.transport.headers.push(header))
    }

    /// Trusts the certificates of a PEM file, in addition to those of the system.
    #[must_use]
    pub fn ca_file(self, file: impl Into<PathBuf>) -> Self {
        let file = ConfigFile::new(file);
        self.with(|target| target.transport.ca_file = Some(file))
    }

    /// Uses a client certificate with its chain, and its key, both as PEM files.
    #[must_use]
    pub fn client_certificate(self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let (cert, key) = (ConfigFile::new(cert), ConfigFile::new(key));
        self.with(|target| {
            (target.transport.cert_file, target.transport.key_file) = (Some(cert), Some(key));
        })
    }

    /// Checks the gateway's certificate against this name instead of the host in the URL, for a gateway that is reached by
    /// an IP address or through a tunnel.
    #[must_use]
    pub fn server_name(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.with(|target| target.transport.server_name = Some(name))
    }

    /// Sets the kind of gateway. An aggregating gateway must not receive a request twice.
    #[must_use]
    pub fn kind(self, kind: GatewayKind) -> Self {
        self.with(|target| target.kind = kind)
    }

    /// Limits each request, including the time that it waits for earlier ones. The default is [`DEFAULT_TIMEOUT`].
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends metrics as delimited protobuf instead of text. A Pushgateway parses 100,000 series in half the time. Servers
    /// with a compatible API may not support it: `VictoriaMetrics` accepts it and stores nothing.
    #[must_use]
    pub fn protobuf(self) -> Self {
        self.with(|target| target.encoding = target.encoding.protobuf())
    }

    /// Compresses large bodies, for a gateway on a slow network. Needs the feature `gzip` and Pushgateway 1.5 or newer.
    /// If an older one rejects a compressed body, this request and all later ones are sent uncompressed.
    ///
    /// # Errors
    /// `is_config` if the feature is disabled.
    pub fn gzip(self) -> Result<Self, Error> {
        let encoding = self.target.encoding.gzip()?;
        Ok(self.with(|target| target.encoding = encoding))
    }

    /// Stores undelivered requests in the state directory of `config`. The next run or [`recover`](crate::recover()) delivers
    /// them.
    ///
    /// # Errors
    /// `is_config` if the configuration has no state directory.
    pub fn spool(mut self, config: &Config) -> Result<Self, Error> {
        if config.state_dir.path().is_none() {
            return Err(Error::config(
                "undelivered requests cannot be stored: there is no state directory",
            )
            .remedy("set METRICS_PUSH_STATE_DIR to a directory of the job's user"));
        }
        self.state_dir = Some(Arc::new(StateDir::new(config.state_dir.clone())));
        Ok(self.with(|_| ()))
    }

    fn with(mut self, change: impl FnOnce(&mut Target)) -> Self {
        change(&mut self.target);
        // Connections with other settings must not be reused.
        self.connection = OnceCell::new();
        self
    }

    /// Returns a client of each shard, sorted by URL; only this one if the gateway is not sharded. Use it to query shards one
    /// by one, because [`metrics`](Self::metrics) fails if one of them does not respond.
    #[must_use]
    pub fn shards(&self) -> Vec<Self> {
        let connection = self.connection().ok();
        let Some(shards) = connection.and_then(|it| it.shards.as_ref()) else {
            return vec![self.clone()];
        };
        let of_shard = |target: &Target| {
            let shard = Self::from_target(target.clone(), self.timeout).ok()?;
            Some(Self { state_dir: self.state_dir.clone(), ..shard })
        };
        let mut shards: Vec<Self> = shards.targets().iter().filter_map(of_shard).collect();
        shards.sort_unstable_by(|one, other| one.url.cmp(&other.url));
        shards
    }

    /// Returns all groups that the gateway stores. If several shards have a group, only the copy with the latest push is
    /// returned.
    ///
    /// # Errors
    /// The reason why the gateway could not be queried.
    pub fn metrics(&self) -> Result<Vec<StoredGroup>, Error> {
        received(self.query(list)?.wait(self.receive_timeout()))
    }

    /// Async version of [`metrics`](Self::metrics).
    ///
    /// # Errors
    /// As [`metrics`](Self::metrics).
    pub async fn metrics_async(&self) -> Result<Vec<StoredGroup>, Error> {
        received(self.query(list)?.await)
    }

    /// Checks that the gateway, or each of its shards, is ready to accept pushes.
    ///
    /// # Errors
    /// The reason why it is not ready.
    pub fn ready(&self) -> Result<(), Error> {
        received(self.query(probe)?.wait(self.receive_timeout()))
    }

    /// Async version of [`ready`](Self::ready).
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub async fn ready_async(&self) -> Result<(), Error> {
        received(self.query(probe)?.await)
    }

    /// Replaces the group with these metrics.
    ///
    /// # Errors
    /// `is_metric` if there are no metrics, or a metric has a label of the key; otherwise the reason why the gateway
    /// did not accept them.
    pub fn push(&self, key: &GroupingKey, metrics: &Exposition) -> Result<Acceptance, Error> {
        self.send(PushRequest::push(key.clone(), metrics.families_for(key)?))
    }

    /// Adds these metrics to the group. Families of the same name are replaced, others stay.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn add(&self, key: &GroupingKey, metrics: &Exposition) -> Result<Acceptance, Error> {
        self.send(PushRequest::add(key.clone(), metrics.families_for(key)?))
    }

    /// Deletes the group with exactly this key, on all shards. Succeeds if the group does not exist.
    ///
    /// # Errors
    /// The reason why the gateway did not accept the request.
    pub fn delete(&self, key: &GroupingKey) -> Result<Acceptance, Error> {
        self.send(PushRequest::delete(key.clone()))
    }

    /// Async version of [`delete`](Self::delete).
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub async fn delete_async(&self, key: &GroupingKey) -> Result<Acceptance, Error> {
        self.receive_async(self.submit(PushRequest::delete(key.clone()))?).await
    }

    fn send(&self, request: PushRequest) -> Result<Acceptance, Error> {
        self.receive(self.submit(request)?)
    }

    /// Waits for the receipt of a submitted request.
    pub(crate) fn receive(&self, receipt: Receiver<Receipt>) -> Result<Acceptance, Error> {
        received(receipt.wait(self.receive_timeout()).map(Receipt::into_result))
    }

    pub(crate) async fn receive_async(
        &self,
        receipt: Receiver<Receipt>,
    ) -> Result<Acceptance, Error> {
        received(receipt.await.map(Receipt::into_result))
    }

    pub(crate) fn submit(&self, request: PushRequest) -> Result<Receiver<Receipt>, Error> {
        let class = match self.state_dir {
            Some(_) => DeliveryClass::Spooled,
            // The caller gets the error, so nothing is stored on disk.
            None => DeliveryClass::BestEffort,
        };
        Ok(self.connection()?.submit(&request, self.timeout, class))
    }

    fn query<T, F>(
        &self,
        query: fn(Connection, Duration) -> F,
    ) -> Result<Receiver<Result<T, Error>>, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        Ok(dispatcher().spawn(query(self.connection()?.clone(), self.timeout)))
    }

    fn connection(&self) -> Result<&Connection, Error> {
        let open = || Connection::open(&self.target, self.state_dir.as_ref());
        self.connection.get_or_try_init(open)
    }

    /// Returns the timeout of one push.
    pub(crate) fn push_timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns how long a thread waits for the result. The request times out earlier, with a more precise error.
    fn receive_timeout(&self) -> Duration {
        self.timeout.saturating_add(RECEIPT_GRACE)
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may contain credentials; the clients redact them.
        let clients = self.connection().ok().map(|connection| &connection.clients);
        f.debug_struct("Gateway").field("clients", &clients).finish_non_exhaustive()
    }
}

async fn list(connection: Connection, timeout: Duration) -> Result<Vec<StoredGroup>, Error> {
    connection.metrics(timeout).await
}

async fn probe(connection: Connection, timeout: Duration) -> Result<(), Error> {
    let deadline = Moment::now().after(timeout);
    for client in &connection.clients {
        client.ready(deadline.remaining()).await?;
    }
    Ok(())
}

/// Converts the result that a thread has waited for. `None` means that it did not arrive in time.
fn received<T>(result: Option<Result<T, Error>>) -> Result<T, Error> {
    result.unwrap_or_else(|| {
        Err(Error::new(Kind::Timeout, "the request did not finish in time")
            .remedy("the gateway may have applied it; check its state before you repeat it"))
    })
}
