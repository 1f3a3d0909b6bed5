//! [`FakeGateway`] and its [`Builder`], the public API of the fake gateway.
//!
//! Every method locks the shared state, reads or changes it, and returns. The server's threads do the rest.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::auth::RequiredAuth;
use super::fault::Fault;
use super::group::{DisplayLabels, Group, grouping_labels};
use super::http::Request;
use super::routes::{AdminApi, Flags, GatewayService};
use super::server::HttpServer;
use super::state::SharedState;
use super::store::ConsistencyCheck;

/// A Pushgateway in this process, on a free port of 127.0.0.1.
///
/// The gateway runs until it is dropped. Each test can start its own gateway, so that tests run in parallel.
///
/// `Display` prints everything that the gateway contains, in the Prometheus text format.
///
/// # Examples
///
/// ```
/// use metrics_push::{Gateway, GroupingKey, testing::FakeGateway};
///
/// # fn main() -> Result<(), metrics_push::Error> {
/// let gateway = FakeGateway::start();
/// let key = GroupingKey::new("nightly")?;
/// Gateway::new(gateway.url())?.push(&key, &"records 9000".parse()?)?;
///
/// assert_eq!(gateway.group("nightly", &[]).value("records", &[]), 9000.0);
/// # Ok(())
/// # }
/// ```
pub struct FakeGateway {
    server: HttpServer<GatewayService>,
}

/// Configures and starts a [`FakeGateway`]. Created by [`FakeGateway::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    port: u16,
    flags: Flags,
}

impl Builder {
    /// Listens on this port instead of a free one.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Serves all routes below this path, like the flag `--web.route-prefix`.
    #[must_use]
    pub fn route_prefix(mut self, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        self.flags.prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        self
    }

    /// Allows requests that delete all groups, like the flag `--web.enable-admin-api`.
    #[must_use]
    pub const fn admin_api(mut self) -> Self {
        self.flags.admin_api = AdminApi::Enabled;
        self
    }

    /// Responds with 202 and checks nothing, like the flag `--push.disable-consistency-check`.
    #[must_use]
    pub const fn unchecked(mut self) -> Self {
        self.flags.check = ConsistencyCheck::Disabled;
        self
    }

    /// Starts the gateway.
    ///
    /// # Panics
    ///
    /// Panics if the port cannot be opened.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> FakeGateway {
        match HttpServer::start(self.port, GatewayService::new(self.flags)) {
            Ok(server) => FakeGateway { server },
            Err(why) => panic!("cannot start a fake gateway on 127.0.0.1:{}: {why}", self.port),
        }
    }
}

impl FakeGateway {
    /// Starts a gateway on a free port.
    ///
    /// # Panics
    ///
    /// Panics if no port can be opened.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Returns a builder, which sets the flags of the gateway.
    #[must_use]
    pub fn builder() -> Builder {
        let (admin_api, check) = (AdminApi::Disabled, ConsistencyCheck::Enabled);
        Builder { port: 0, flags: Flags { prefix: String::new(), admin_api, check } }
    }

    /// Returns the base URL, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address(), self.shared().lock().service.flags.prefix)
    }

    /// Returns the address on which the gateway listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns all groups, sorted by their labels.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        let state = self.shared().lock();
        state
            .service
            .store
            .groups()
            .iter()
            .map(|(key, families)| Group::new(key, families))
            .collect()
    }

    /// Returns the group with exactly these grouping labels.
    ///
    /// # Panics
    ///
    /// Panics if the gateway does not have the group. The message lists the groups of the gateway.
    #[must_use]
    #[track_caller]
    pub fn group(&self, job: &str, labels: &[(&str, &str)]) -> Group {
        self.find_group(job, labels).unwrap_or_else(|| {
            let wanted = grouping_labels(job, labels);
            let groups = self.list_groups();
            panic!("the gateway has no group {}; its groups are:{groups}", DisplayLabels(&wanted))
        })
    }

    /// The labels of all groups for a panic message, one group per line.
    pub(super) fn list_groups(&self) -> String {
        let line = |group: &Group| format!("\n  {}", DisplayLabels(&group.labels));
        let lines: String = self.groups().iter().map(line).collect();
        if lines.is_empty() { " none".into() } else { lines }
    }

    pub(super) fn shared(&self) -> &SharedState<GatewayService> {
        self.server.shared()
    }

    /// Returns the group with exactly these grouping labels, or `None` if the gateway does not have it.
    #[must_use]
    pub fn find_group(&self, job: &str, labels: &[(&str, &str)]) -> Option<Group> {
        let wanted = grouping_labels(job, labels);
        self.groups().into_iter().find(|group| group.labels == wanted)
    }

    /// Returns all requests received so far, including failed ones.
    ///
    /// If there are many thousands, only the latest are recorded.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared().requests()
    }

    /// Waits until `condition` returns true. The condition is evaluated at once and after each request.
    ///
    /// # Panics
    ///
    /// Panics if the condition is not met within `timeout`. The message contains the requests and the contents of the
    /// gateway.
    #[track_caller]
    pub fn wait_for(&self, timeout: Duration, condition: impl Fn(&Self) -> bool) {
        assert!(
            self.shared().wait_for(timeout, || condition(self)),
            "the condition was not met within {timeout:?}; {}contents of the gateway:\n{self}",
            self.shared().list_requests(),
        );
    }

    /// Fails the next `times` requests that match the fault.
    ///
    /// Faults of several calls apply one after the other.
    pub fn fail_next(&self, times: usize, fault: Fault) {
        self.shared().lock().faults.add_next(times, fault);
    }

    /// Fails all requests that match the fault, until [`heal`](Self::heal).
    pub fn fault(&self, fault: Fault) {
        self.shared().lock().faults.set_permanent(fault);
    }

    /// Removes all faults, ends the active ones, and accepts connections.
    ///
    /// # Panics
    ///
    /// Panics if connections were refused and another process has taken the port.
    #[track_caller]
    pub fn heal(&self) {
        self.shared().heal();
        self.accept_connections();
    }

    /// Closes the port and all connections, as if the gateway had been killed. The groups stay.
    pub fn refuse_connections(&self) {
        self.server.refuse();
    }

    /// Listens on the same port again.
    ///
    /// # Panics
    ///
    /// Panics if another process has taken the port.
    #[track_caller]
    pub fn accept_connections(&self) {
        if let Err(why) = self.server.listen() {
            panic!("cannot listen on {} again: {why}", self.address());
        }
    }

    /// Responds with 401 to requests without this user and password.
    pub fn require_basic_auth(&self, user: &str, password: &str) {
        self.set_auth(RequiredAuth::Basic { user: user.to_owned(), password: password.to_owned() });
    }

    /// Responds with 401 to requests without this bearer token.
    pub fn require_bearer_token(&self, token: &str) {
        self.set_auth(RequiredAuth::Bearer(token.to_owned()));
    }

    /// Accepts requests without credentials, which is the default.
    pub fn require_no_auth(&self) {
        self.set_auth(RequiredAuth::None);
    }

    fn set_auth(&self, auth: RequiredAuth) {
        self.shared().lock().auth = auth;
    }

    /// Deletes all groups and recorded requests. Faults stay.
    pub fn clear(&self) {
        let mut state = self.shared().lock();
        state.service.store.clear();
        state.requests.clear();
    }
}

impl fmt::Display for FakeGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shared().lock().service.store.print())
    }
}

impl fmt::Debug for FakeGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeGateway").field("url", &self.url()).finish_non_exhaustive()
    }
}
