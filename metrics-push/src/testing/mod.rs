//! A Pushgateway inside the test: [`FakeGateway`].
//!
//! It speaks real HTTP on a free local port and keeps the rules of Pushgateway 1.5.1: what replaces
//! what, which pushes are refused with which text, its own stamps, redirects, even the ghost groups.
//! On top, it can be told to fail in every way a gateway fails. It shares no code with the rest of this
//! crate, so that it can't share its mistakes; a test compares it with the real one.
//!
//! ```
//! use std::io::{Read, Write};
//! use metrics_push::testing::{FakeGateway, Fault};
//!
//! # fn main() -> std::io::Result<()> {
//! let gateway = FakeGateway::start();
//!
//! // Anything that pushes will do; here it is a bare socket.
//! let mut stream = std::net::TcpStream::connect(gateway.address())?;
//! stream.write_all(
//!     b"PUT /metrics/job/nightly/region/eu HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\
//!       Content-Length: 33\r\n\r\nrecords{result=\"processed\"} 9000\n",
//! )?;
//! let mut answer = String::new();
//! stream.read_to_string(&mut answer)?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK"));
//!
//! let group = gateway.group("nightly", &[("region", "eu")]);
//! assert_eq!(group.value("records", &[("result", "processed")]), 9000.0);
//! assert!(group.last_push.is_some() && group.last_failure.is_none());
//! assert_eq!(gateway.requests()[0].method, "PUT");
//!
//! // From now on, this gateway is overloaded.
//! gateway.fault(Fault::status(503).header("Retry-After", "120"));
//! # Ok(())
//! # }
//! ```
//!
//! What it does not do: compressed bodies are read only with the feature `gzip`, and a 415 without it; nothing is kept on
//! disk, and `/metrics` shows what was pushed but no metrics about the gateway itself. And where the real one harms itself by
//! a programming mistake, this one does not: a job in broken base64 does not block later pushes, and the type
//! `gauge_histogram` is refused instead of taken and then cutting off every scrape.

mod assertions;
mod auth;
mod body;
mod connection;
mod consistency;
mod exposition;
mod family;
mod fault;
mod go_format;
mod group;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(not(feature = "gzip"))]
#[path = "gzip_disabled.rs"]
mod gzip;
mod http;
mod index;
mod json;
mod lexer;
mod parse;
mod path;
mod protobuf;
mod routes;
mod server;
mod store;

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use auth::Access;
pub use family::{Family, Kind, Sample};
pub use fault::Fault;
pub use group::Group;
pub use http::Request;
use routes::{AdminApi, Flags};
use server::Server;
use store::Checks;

/// A Pushgateway in this process, on a free port of 127.0.0.1, until it is dropped.
///
/// `Display` is the exposition of all it holds.
pub struct FakeGateway {
    server: Server,
}

/// A [`FakeGateway`] with other flags than the usual ones; see [`FakeGateway::builder`].
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

    /// Serves everything below this path, like `--web.route-prefix`.
    #[must_use]
    pub fn route_prefix(mut self, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        self.flags.prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        self
    }

    /// Lets everything be wiped, like `--web.enable-admin-api`.
    #[must_use]
    pub const fn admin_api(mut self) -> Self {
        self.flags.admin_api = AdminApi::On;
        self
    }

    /// Answers 202 and checks nothing, like `--push.disable-consistency-check`.
    #[must_use]
    pub const fn unchecked(mut self) -> Self {
        self.flags.checks = Checks::Off;
        self
    }

    /// Starts the gateway.
    ///
    /// # Panics
    /// If the port can't be had.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> FakeGateway {
        match Server::start(self.port, self.flags) {
            Ok(server) => FakeGateway { server },
            Err(why) => panic!("no fake gateway on port {} of 127.0.0.1: {why}", self.port),
        }
    }
}

impl FakeGateway {
    /// Starts a gateway on a free port.
    ///
    /// # Panics
    /// If there is no free port.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A gateway whose flags can be set before it starts.
    #[must_use]
    pub fn builder() -> Builder {
        let flags = Flags { prefix: String::new(), admin_api: AdminApi::Off, checks: Checks::On };
        Builder { port: 0, flags }
    }

    /// The base URL, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address(), self.server.flags().prefix)
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// All groups, sorted by their labels.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        let state = self.server.state();
        state.store.groups().iter().map(|(key, families)| Group::new(key, families)).collect()
    }

    /// The group with exactly these labels.
    ///
    /// # Panics
    /// If there is none, with the groups there are.
    #[must_use]
    #[track_caller]
    pub fn group(&self, job: &str, labels: &[(&str, &str)]) -> Group {
        self.find_group(job, labels).unwrap_or_else(|| {
            let there: Vec<_> = self
                .groups()
                .iter()
                .map(|group| format!("\n  {}", group::Braces(&group.labels)))
                .collect();
            let there = if there.is_empty() { "none".into() } else { there.concat() };
            let wanted = group::key_of(job, labels);
            panic!("the gateway has no group {}; there is: {there}", group::Braces(&wanted))
        })
    }

    /// The group with exactly these labels, if there is one.
    #[must_use]
    pub fn find_group(&self, job: &str, labels: &[(&str, &str)]) -> Option<Group> {
        let wanted = group::key_of(job, labels);
        self.groups().into_iter().find(|group| group.labels == wanted)
    }

    /// All requests so far, whatever was answered; of very many, the last ones.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.server.state().requests.iter().cloned().collect()
    }

    /// Waits until the condition holds; it is looked at again after each request.
    ///
    /// # Panics
    /// If it does not hold in time, with what came and what is there.
    #[track_caller]
    pub fn wait_for(&self, timeout: Duration, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + timeout;
        let mut seen = Some(self.server.changes());
        while !condition(self) {
            let Some(changes) = seen else {
                let requests: Vec<_> = self
                    .requests()
                    .iter()
                    .map(|request| format!("  {} {}\n", request.method, request.path))
                    .collect();
                panic!(
                    "what was waited for did not happen in {timeout:?}; {} requests came:\n{}and the gateway holds:\n{self}",
                    requests.len(),
                    requests.concat(),
                );
            };
            seen = self.server.wait_for_change(changes, deadline);
        }
    }

    /// Lets the next requests fail that way, after those that are to fail already.
    pub fn fail_next(&self, times: usize, fault: Fault) {
        self.server.state().script.add_next(times, fault);
    }

    /// Lets all requests fail that way until [`heal`](Self::heal).
    pub fn fault(&self, fault: Fault) {
        self.server.state().script.set_lasting(fault);
    }

    /// Ends all faults, those that are under way too, and accepts connections.
    ///
    /// # Panics
    /// If connections were refused and the port is now in other hands.
    #[track_caller]
    pub fn heal(&self) {
        self.server.heal();
        self.accept_connections();
    }

    /// Closes the port and every connection, as if the gateway had been killed; it keeps its groups.
    pub fn refuse_connections(&self) {
        self.server.refuse();
    }

    /// Listens on the same port again.
    ///
    /// # Panics
    /// If the port is now in other hands.
    #[track_caller]
    pub fn accept_connections(&self) {
        if let Err(why) = self.server.accept() {
            panic!("the port {} can't be had again: {why}", self.address().port());
        }
    }

    /// Answers 401 to everybody who does not give these credentials.
    pub fn require_basic_auth(&self, user: &str, password: &str) {
        self.server.state().access =
            Access::Basic { user: user.to_owned(), password: password.to_owned() };
    }

    /// Answers 401 to everybody who does not give this token.
    pub fn require_bearer_token(&self, token: &str) {
        self.server.state().access = Access::Bearer(token.to_owned());
    }

    /// Asks for no credentials any more.
    pub fn admit_anybody(&self) {
        self.server.state().access = Access::Anybody;
    }

    /// Forgets all groups and requests; faults stay.
    pub fn clear(&self) {
        let mut state = self.server.state();
        state.store.clear();
        state.requests.clear();
    }
}

impl fmt::Display for FakeGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.server.state().store.print())
    }
}

impl fmt::Debug for FakeGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeGateway").field("url", &self.url()).finish_non_exhaustive()
    }
}
