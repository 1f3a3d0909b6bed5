//! Gateway: a remote Pushgateway as its users address it: what it holds, whether it is ready, what to remove.

mod life;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::OnceCell;

use crate::config::{Config, DEFAULT_TIMEOUT, Mode, Target, proxy};
use crate::courier::{GRACE, courier};
use crate::delivery::{Receipt, Route, Urgency};
use crate::error::{Error, Kind};
use crate::exposition::Exposition;
use crate::http::{Auth, RawUrl, Secret, SecretSource, Server, Transport};
use crate::labels::GroupingKey;
use crate::parcel::Parcel;
use crate::sink::gateway::GatewayClient;
use crate::sink::listing::StoredGroup;
use crate::sink::wire::Wire;
use crate::sink::{Acceptance, GatewayKind, Sink};
use crate::ticket::Ticket;

pub use life::Removal;

/// A Pushgateway, and how to reach it.
///
/// Every request is made by the library's own thread, so that both forms of each call work anywhere: inside any
/// runtime, on a plain thread, in `Drop` while unwinding.
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
    url: RawUrl,
    transport: Transport,
    timeout: Duration,
    kind: GatewayKind,
    wire: Wire,
    mode: Mode,
    connection: OnceCell<Connection>,
}

/// The client, and the way that parcels take to it: one, so that they stay in order.
#[derive(Clone)]
struct Connection {
    client: Arc<GatewayClient>,
    route: Route,
}

impl Gateway {
    /// The gateway at `url`. Credentials in the URL are moved to the request's header.
    ///
    /// # Errors
    /// `is_config`, if it is no base URL.
    pub fn new(url: impl Into<String>) -> Result<Self, Error> {
        Self::at(Target {
            url: RawUrl::new(url),
            transport: Transport { proxy: proxy(), ..Transport::default() },
            timeout: DEFAULT_TIMEOUT,
            kind: GatewayKind::default(),
            wire: Wire::default(),
            mode: Mode::Live,
        })
    }

    /// The gateways of a configuration, with its credentials, certificates and time-out; none, if it has no URL or
    /// pushing is switched off. In a dry run, what would change one is shown on stderr.
    ///
    /// ```
    /// # fn main() -> Result<(), metrics_push::Error> {
    /// let config = metrics_push::Config::default().url("http://gateway:9091")?;
    /// assert_eq!(metrics_push::Gateway::all_of(&config)?[0].url(), "http://gateway:9091");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `is_config`, if the configuration contradicts itself.
    pub fn all_of(config: &Config) -> Result<Vec<Self>, Error> {
        config.targets()?.into_iter().map(Self::at).collect()
    }

    fn at(target: Target) -> Result<Self, Error> {
        let Target { url, transport, timeout, kind, wire, mode } = target;
        Server::new(url.as_str(), Transport::default())?;
        Ok(Self { url, transport, timeout, kind, wire, mode, connection: OnceCell::new() })
    }

    /// The URL, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        // The URL was checked when the gateway was made.
        Server::new(self.url.as_str(), Transport::default())
            .map(|server| server.redacted_url().to_owned())
            .unwrap_or_default()
    }

    /// Basic authentication.
    #[must_use]
    pub fn basic_auth(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        let (user, password) = (user.into(), SecretSource::Value(Secret::new(password)));
        self.with(|transport| transport.auth = Auth::Basic { user, password })
    }

    /// Authentication by a bearer token.
    #[must_use]
    pub fn bearer_token(self, token: impl Into<String>) -> Self {
        let token = SecretSource::Value(Secret::new(token));
        self.with(|transport| transport.auth = Auth::Bearer(token))
    }

    /// A further request header. Its value is treated as a secret.
    #[must_use]
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let header = (name.into(), Secret::new(value));
        self.with(|transport| transport.headers.push(header))
    }

    /// Certificates to trust besides the machine's own, in PEM format.
    #[must_use]
    pub fn ca_file(self, file: impl Into<PathBuf>) -> Self {
        let file = file.into();
        self.with(|transport| transport.ca_file = Some(file))
    }

    /// The client certificate with its chain, and its key, in PEM format.
    #[must_use]
    pub fn client_certificate(self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let (cert, key) = (cert.into(), key.into());
        self.with(|transport| {
            (transport.cert_file, transport.key_file) = (Some(cert), Some(key));
        })
    }

    /// The name that the gateway's certificate is checked against, where it is not the one in the URL: for a gateway that
    /// is reached by an address or through a tunnel.
    #[must_use]
    pub fn server_name(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.with(|transport| transport.server_name = Some(name))
    }

    /// What kind of gateway it is: one that adds up what it gets must not get anything twice.
    #[must_use]
    pub fn kind(mut self, kind: GatewayKind) -> Self {
        self.kind = kind;
        self.with(|_| {})
    }

    /// How long a request may take, waiting for earlier ones included. The default is [`DEFAULT_TIMEOUT`].
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends metrics as delimited protobuf instead of text. A Pushgateway reads very many series in half the time; servers
    /// that are compatible with it may not read it: `VictoriaMetrics` accepts it and stores nothing.
    #[must_use]
    pub fn protobuf(mut self) -> Self {
        self.wire = self.wire.protobuf();
        self.connection = OnceCell::new();
        self
    }

    /// Compresses large bodies, for a gateway that is far away. It needs the feature `gzip`, and a Pushgateway 1.5 or newer;
    /// one that is older is sent the same once more as it is, and everything else from then on.
    ///
    /// # Errors
    /// `is_config`, if the feature is off.
    pub fn gzip(mut self) -> Result<Self, Error> {
        self.wire = self.wire.gzip()?;
        self.connection = OnceCell::new();
        Ok(self)
    }

    fn with(mut self, change: impl FnOnce(&mut Transport)) -> Self {
        change(&mut self.transport);
        // Connections that were made with other settings are not used again.
        self.connection = OnceCell::new();
        self
    }

    /// Everything the gateway holds, by group.
    ///
    /// # Errors
    /// Whatever kept the gateway from answering.
    pub fn metrics(&self) -> Result<Vec<StoredGroup>, Error> {
        answer(self.ask(list)?.wait(self.patience()))
    }

    /// [`metrics`](Self::metrics), awaited.
    ///
    /// # Errors
    /// Whatever kept the gateway from answering.
    pub async fn metrics_async(&self) -> Result<Vec<StoredGroup>, Error> {
        answer(self.ask(list)?.await)
    }

    /// Whether the gateway is ready to take pushes.
    ///
    /// # Errors
    /// Why it is not.
    pub fn ready(&self) -> Result<(), Error> {
        answer(self.ask(probe)?.wait(self.patience()))
    }

    /// [`ready`](Self::ready), awaited.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn ready_async(&self) -> Result<(), Error> {
        answer(self.ask(probe)?.await)
    }

    /// Replaces the group with these metrics.
    ///
    /// # Errors
    /// `is_metric`, if there is none, or one has a label of the key; else whatever kept the gateway from accepting them.
    pub fn push(&self, key: &GroupingKey, metrics: &Exposition) -> Result<Acceptance, Error> {
        self.deliver(Parcel::push(key.clone(), metrics.families_for(key)?))
    }

    /// Adds these metrics to the group: families of the same name are replaced, others are kept.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn add(&self, key: &GroupingKey, metrics: &Exposition) -> Result<Acceptance, Error> {
        self.deliver(Parcel::add(key.clone(), metrics.families_for(key)?))
    }

    /// Removes the group with exactly this key. There need not be one.
    ///
    /// # Errors
    /// Whatever kept the gateway from accepting it.
    pub fn delete(&self, key: &GroupingKey) -> Result<Acceptance, Error> {
        self.deliver(Parcel::delete(key.clone()))
    }

    /// [`delete`](Self::delete), awaited.
    ///
    /// # Errors
    /// Whatever kept the gateway from accepting it.
    pub async fn delete_async(&self, key: &GroupingKey) -> Result<Acceptance, Error> {
        self.deliver_async(Parcel::delete(key.clone())).await
    }

    pub(crate) fn deliver(&self, parcel: Parcel) -> Result<Acceptance, Error> {
        self.settle(self.hand_over(parcel)?)
    }

    pub(crate) async fn deliver_async(&self, parcel: Parcel) -> Result<Acceptance, Error> {
        self.settle_async(self.hand_over(parcel)?).await
    }

    /// Waits for what becomes of a parcel that was handed over.
    pub(crate) fn settle(&self, ticket: Ticket<Receipt>) -> Result<Acceptance, Error> {
        answer(ticket.wait(self.patience()).map(Receipt::into_result))
    }

    pub(crate) async fn settle_async(&self, ticket: Ticket<Receipt>) -> Result<Acceptance, Error> {
        answer(ticket.await.map(Receipt::into_result))
    }

    pub(crate) fn hand_over(&self, parcel: Parcel) -> Result<Ticket<Receipt>, Error> {
        let route = &self.connection()?.route;
        // Whoever asks is told what becomes of it.
        Ok(courier().hand_over(route, parcel, self.timeout, Urgency::Passing))
    }

    fn ask<T, F>(
        &self,
        question: fn(Arc<GatewayClient>, Duration) -> F,
    ) -> Result<Ticket<Result<T, Error>>, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        Ok(courier().run(question(Arc::clone(&self.connection()?.client), self.timeout)))
    }

    fn connection(&self) -> Result<&Connection, Error> {
        self.connection.get_or_try_init(|| {
            let server = Server::new(self.url.as_str(), self.transport.clone())?;
            let client = Arc::new(GatewayClient::new(server, self.kind, self.wire));
            let sink = match self.mode {
                Mode::Live => Sink::Gateway(Arc::clone(&client)),
                Mode::DryRun => Sink::DryRun(client.url().into()),
            };
            let route = Route::direct(sink);
            Ok(Connection { client, route })
        })
    }

    fn patience(&self) -> Duration {
        self.timeout.saturating_add(GRACE)
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold credentials; the client shows it without.
        let client = self.connection().ok().map(|connection| &connection.client);
        f.debug_struct("Gateway").field("client", &client).finish_non_exhaustive()
    }
}

async fn list(client: Arc<GatewayClient>, timeout: Duration) -> Result<Vec<StoredGroup>, Error> {
    client.metrics(timeout).await
}

async fn probe(client: Arc<GatewayClient>, timeout: Duration) -> Result<(), Error> {
    client.ready(timeout).await
}

fn answer<T>(answer: Option<Result<T, Error>>) -> Result<T, Error> {
    answer.unwrap_or_else(|| {
        Err(Error::new(Kind::Timeout, "the request was not finished in time")
            .remedy("what the gateway did is unknown"))
    })
}
