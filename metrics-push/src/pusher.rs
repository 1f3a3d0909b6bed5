//! Pusher: gather, check, encode, hand over. The builder and the three verbs of the field.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::delivery::Receipt;
use crate::error::{Error, Kind};
use crate::gateway::Gateway;
use crate::labels::GroupingKey;
use crate::metrics::{Collector, Registry};
use crate::parcel::{Families, Parcel, encode, gather};
use crate::sink::{Acceptance, GatewayKind};
use crate::ticket::Ticket;

/// Pushes metrics to one group of a gateway, whenever it is told to.
///
/// The calls are those of Prometheus' Go client, so that the program everybody starts from ports line by line:
/// `push.New(url, "db_backup")` is [`Pusher::new`], `.Grouping("db", "customers")` is [`grouping`](Self::grouping),
/// `.Collector(completionTime)` is [`collector`](Self::collector), `.Gatherer(registry)` is [`gatherer`](Self::gatherer),
/// `.BasicAuth(user, password)` is [`basic_auth`](Self::basic_auth), and `.Push()`, `.Add()` and `.Delete()` are
/// [`push`](Self::push), [`add`](Self::add) and [`delete`](Self::delete), with the same meaning.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// use metrics_push::{Pusher, testing::FakeGateway};
/// use metrics_push::prometheus::Gauge;
///
/// # let gateway = FakeGateway::start();
/// let completion_time = Gauge::new("db_backup_last_completion_timestamp_seconds", "Last backup.").unwrap();
/// completion_time.set(1_700_000_000.0);
/// Pusher::new(gateway.url(), "db_backup")?
///     .grouping("db", "customers")?
///     .collector(completion_time)?
///     .push()?;
/// # assert!(gateway.to_string().contains(r#"db="customers""#));
/// # Ok(())
/// # }
/// ```
pub struct Pusher {
    gateway: Gateway,
    key: GroupingKey,
    registries: Vec<Registry>,
    own: Registry,
}

impl Pusher {
    /// A pusher to the group of `job` on the gateway at `url`.
    ///
    /// # Errors
    /// `is_config`, if the URL is no base URL, or the job's name is empty.
    pub fn new(url: impl Into<String>, job: impl Into<String>) -> Result<Self, Error> {
        let own = Registry::new();
        Ok(Self {
            gateway: Gateway::new(url)?,
            key: GroupingKey::new(job)?,
            registries: vec![own.clone()],
            own,
        })
    }

    /// One more grouping label. An empty value is left out: for Prometheus it is the same as no label.
    ///
    /// # Errors
    /// `is_config`, if the name is no label name, or is `job`.
    pub fn grouping(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, Error> {
        self.key = self.key.label(name, value)?;
        Ok(self)
    }

    /// One more metric to push. It need not be registered anywhere.
    ///
    /// # Errors
    /// `is_metric`, if it clashes with one that was given before.
    pub fn collector(self, collector: impl Collector + 'static) -> Result<Self, Error> {
        let registered = self.own.register(Box::new(collector));
        registered.map_err(|error| {
            Error::new(Kind::Metric, "the collector clashes with one given before").caused_by(error)
        })?;
        Ok(self)
    }

    /// One more registry to push. Several are merged.
    #[must_use]
    pub fn gatherer(mut self, registry: &Registry) -> Self {
        self.registries.push(registry.clone());
        self
    }

    /// Basic authentication.
    #[must_use]
    pub fn basic_auth(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { gateway: self.gateway.basic_auth(user, password), ..self }
    }

    /// Authentication by a bearer token.
    #[must_use]
    pub fn bearer_token(self, token: impl Into<String>) -> Self {
        Self { gateway: self.gateway.bearer_token(token), ..self }
    }

    /// A further request header. Its value is treated as a secret.
    #[must_use]
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { gateway: self.gateway.header(name, value), ..self }
    }

    /// Certificates to trust besides the machine's own, in PEM format.
    #[must_use]
    pub fn ca_file(self, file: impl Into<PathBuf>) -> Self {
        Self { gateway: self.gateway.ca_file(file), ..self }
    }

    /// The client certificate with its chain, and its key, in PEM format.
    #[must_use]
    pub fn client_certificate(self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { gateway: self.gateway.client_certificate(cert, key), ..self }
    }

    /// The name that the gateway's certificate is checked against, where it is not the one in the URL: for a gateway that
    /// is reached by an address or through a tunnel.
    #[must_use]
    pub fn server_name(self, name: impl Into<String>) -> Self {
        Self { gateway: self.gateway.server_name(name), ..self }
    }

    /// What kind of gateway it is: one that adds up what it gets must not get anything twice.
    #[must_use]
    pub fn gateway_kind(self, kind: GatewayKind) -> Self {
        Self { gateway: self.gateway.kind(kind), ..self }
    }

    /// Sends metrics as delimited protobuf: see [`Gateway::protobuf`].
    #[must_use]
    pub fn protobuf(self) -> Self {
        Self { gateway: self.gateway.protobuf(), ..self }
    }

    /// Compresses large bodies: see [`Gateway::gzip`].
    ///
    /// # Errors
    /// `is_config`, if the feature `gzip` is off.
    pub fn gzip(self) -> Result<Self, Error> {
        Ok(Self { gateway: self.gateway.gzip()?, ..self })
    }

    /// How long a call may take. The default is [`DEFAULT_TIMEOUT`](crate::DEFAULT_TIMEOUT).
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { gateway: self.gateway.timeout(timeout), ..self }
    }

    /// Replaces the group with what is gathered now.
    ///
    /// # Errors
    /// `is_metric`, if the metrics can't be pushed as they are; else whatever kept the gateway from accepting them.
    pub fn push(&self) -> Result<Acceptance, Error> {
        self.gateway.settle(self.hand_over(Parcel::push)?)
    }

    /// Adds what is gathered now to the group: families of the same name are replaced, others are kept.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn add(&self) -> Result<Acceptance, Error> {
        self.gateway.settle(self.hand_over(Parcel::add)?)
    }

    /// Removes the group. There need not be one.
    ///
    /// # Errors
    /// Whatever kept the gateway from accepting it.
    pub fn delete(&self) -> Result<Acceptance, Error> {
        self.gateway.delete(&self.key)
    }

    /// [`push`](Self::push), awaited.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub async fn push_async(&self) -> Result<Acceptance, Error> {
        let ticket = self.hand_over(Parcel::push)?;
        self.gateway.settle_async(ticket).await
    }

    /// [`add`](Self::add), awaited.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub async fn add_async(&self) -> Result<Acceptance, Error> {
        let ticket = self.hand_over(Parcel::add)?;
        self.gateway.settle_async(ticket).await
    }

    /// [`delete`](Self::delete), awaited.
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub async fn delete_async(&self) -> Result<Acceptance, Error> {
        self.gateway.delete_async(&self.key).await
    }

    /// Sends what is gathered now on its way, or says why it can't go.
    fn hand_over(
        &self,
        parcel: fn(GroupingKey, Families) -> Parcel,
    ) -> Result<Ticket<Receipt>, Error> {
        // Freeing very many series takes as long as encoding them. It happens at the end of this function, when the
        // gateway is at work already.
        let snapshot = gather(&self.key, &self.registries)?;
        self.gateway.hand_over(parcel(self.key.clone(), encode(&snapshot)))
    }
}

impl fmt::Debug for Pusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pusher")
            .field("gateway", &self.gateway)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
