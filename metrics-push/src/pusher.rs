//! `Pusher`: gathers registries and pushes them to one group, with the verbs of Prometheus' Go client.

use std::fmt;

use crate::delivery::Receipt;
use crate::error::{Error, Kind};
use crate::gateway::Gateway;
use crate::labels::GroupingKey;
use crate::metrics::{Collector, Registry};
use crate::oneshot::Receiver;
use crate::push_request::{Families, PushRequest, gather};
use crate::sink::Acceptance;

/// Pushes metrics to one group of a gateway.
///
/// The methods are those of Prometheus' Go client, so that a Go program can be ported line by line:
/// `push.New(url, "db_backup")` is [`Pusher::new`], `.Grouping("db", "customers")` is [`grouping`](Self::grouping),
/// `.Collector(completionTime)` is [`collector`](Self::collector), `.Gatherer(registry)` is
/// [`gatherer`](Self::gatherer), and `.Push()`, `.Add()` and `.Delete()` are [`push`](Self::push), [`add`](Self::add)
/// and [`delete`](Self::delete). Credentials, certificates and timeouts are settings of the [`Gateway`]:
/// `.BasicAuth(user, password)` is `.map_gateway(|gateway| gateway.basic_auth(user, password))`.
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
    /// Returns a pusher to the group of `job` on the gateway at `url`.
    ///
    /// # Errors
    /// `is_config` if `url` is not a base URL or `job` is empty.
    pub fn new(url: impl Into<String>, job: impl Into<String>) -> Result<Self, Error> {
        Self::with_gateway(Gateway::new(url)?, job)
    }

    /// Returns a pusher to the group of `job` on an existing gateway, for example one of
    /// [`Gateway::from_config`].
    ///
    /// # Errors
    /// `is_config` if `job` is empty.
    pub fn with_gateway(gateway: Gateway, job: impl Into<String>) -> Result<Self, Error> {
        let own = Registry::new();
        Ok(Self { gateway, key: GroupingKey::new(job)?, registries: vec![own.clone()], own })
    }

    /// Changes the gateway's settings: credentials, certificates, timeout.
    ///
    /// ```
    /// # fn main() -> Result<(), metrics_push::Error> {
    /// let pusher = metrics_push::Pusher::new("https://gateway:9091", "db_backup")?
    ///     .map_gateway(|gateway| gateway.basic_auth("batch", "secret"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn map_gateway(self, change: impl FnOnce(Gateway) -> Gateway) -> Self {
        Self { gateway: change(self.gateway), ..self }
    }

    /// Adds a grouping label. A label with an empty value is left out: Prometheus treats it like a missing one.
    ///
    /// # Errors
    /// `is_config` if `name` is not a valid label name, or is `job`.
    pub fn grouping(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, Error> {
        self.key = self.key.label(name, value)?;
        Ok(self)
    }

    /// Adds a metric, which does not have to be registered anywhere.
    ///
    /// # Errors
    /// `is_metric` if it conflicts with a metric that was added before.
    pub fn collector(self, collector: impl Collector + 'static) -> Result<Self, Error> {
        let registered = self.own.register(Box::new(collector));
        registered.map_err(|error| {
            Error::new(Kind::Metric, "the collector conflicts with one that was added before")
                .caused_by(error)
        })?;
        Ok(self)
    }

    /// Adds a registry. Several registries are merged.
    #[must_use]
    pub fn gatherer(mut self, registry: &Registry) -> Self {
        self.registries.push(registry.clone());
        self
    }

    /// Replaces the group with the metrics that are gathered now.
    ///
    /// # Errors
    /// `is_metric` if the metrics cannot be pushed; otherwise the reason why the gateway did not accept them.
    pub fn push(&self) -> Result<Acceptance, Error> {
        self.gateway.receive(self.submit(PushRequest::push)?)
    }

    /// Adds the metrics that are gathered now to the group. Families of the same name are replaced, others stay.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn add(&self) -> Result<Acceptance, Error> {
        self.gateway.receive(self.submit(PushRequest::add)?)
    }

    /// Deletes the group. Succeeds if the group does not exist.
    ///
    /// # Errors
    /// The reason why the gateway did not accept the request.
    pub fn delete(&self) -> Result<Acceptance, Error> {
        self.gateway.delete(&self.key)
    }

    /// Async version of [`push`](Self::push).
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub async fn push_async(&self) -> Result<Acceptance, Error> {
        let receipt = self.submit(PushRequest::push)?;
        self.gateway.receive_async(receipt).await
    }

    /// Async version of [`add`](Self::add).
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub async fn add_async(&self) -> Result<Acceptance, Error> {
        let receipt = self.submit(PushRequest::add)?;
        self.gateway.receive_async(receipt).await
    }

    /// Async version of [`delete`](Self::delete).
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub async fn delete_async(&self) -> Result<Acceptance, Error> {
        self.gateway.delete_async(&self.key).await
    }

    /// Gathers and submits a request with the given verb.
    fn submit(
        &self,
        request: fn(GroupingKey, Families) -> PushRequest,
    ) -> Result<Receiver<Receipt>, Error> {
        // Dropping a large snapshot takes as long as encoding it, so it is dropped after the submit.
        let mut snapshot = gather(&self.key, &self.registries, self.gateway.push_timeout())?;
        self.gateway.submit(request(self.key.clone(), snapshot.encode()))
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
