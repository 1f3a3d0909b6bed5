//! Starts a Pushgateway for a bench.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::certificate::Certificate;
use crate::request::get;

/// The arguments of a Pushgateway that accepts metrics without comparing them with those of other groups.
pub const UNCHECKED: &[&str] = &["--push.disable-consistency-check"];

/// How long a gateway may take to apply the pushes that it has accepted.
const MAX_APPLY_TIME: Duration = Duration::from_secs(10);

/// An empty Pushgateway on a free port, killed on drop.
pub struct Pushgateway {
    server: Child,
    address: SocketAddr,
    /// `None` without TLS.
    certificate: Option<Certificate>,
}

impl Pushgateway {
    /// Starts a Pushgateway and waits until it accepts connections.
    ///
    /// # Panics
    /// If `prometheus-pushgateway` is not installed.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a Pushgateway with further arguments.
    ///
    /// # Panics
    /// If `prometheus-pushgateway` is not installed.
    #[must_use]
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::start_at(free_address(), arguments)
    }

    /// Starts a Pushgateway at this address with further arguments, and waits until it accepts connections.
    ///
    /// # Panics
    /// If `prometheus-pushgateway` is not installed.
    #[must_use]
    pub fn start_at(address: SocketAddr, arguments: &[&str]) -> Self {
        Self::spawn(address, arguments, None)
    }

    /// Starts a Pushgateway with TLS.
    ///
    /// # Panics
    /// If `prometheus-pushgateway` is not installed.
    #[must_use]
    pub fn start_with_tls(certificate: Certificate) -> Self {
        let config = format!("--web.config.file={}", certificate.web_config().display());
        Self::spawn(free_address(), &[&config], Some(certificate))
    }

    fn spawn(address: SocketAddr, arguments: &[&str], certificate: Option<Certificate>) -> Self {
        let server = Command::new("prometheus-pushgateway")
            .args(["--persistence.file=", &format!("--web.listen-address={address}")])
            .args(arguments)
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus-pushgateway is installed");
        while TcpStream::connect(address).is_err() {
            thread::sleep(Duration::from_millis(20));
        }
        Self { server, address, certificate }
    }

    /// Returns the address that the gateway listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of the gateway.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Returns the number of pushes that the gateway has counted.
    ///
    /// # Panics
    /// If the gateway does not respond, or if curl is missing and the gateway has TLS.
    #[must_use]
    pub fn pushes(&self) -> u32 {
        let response = self.metrics();
        let counts = response.lines().filter(|line| {
            line.starts_with("pushgateway_http_requests_total{")
                && line.contains("handler=\"push\"")
        });
        let counts =
            counts.map(|line| line.rsplit(' ').next().and_then(|count| count.parse().ok()));
        counts.map(|count: Option<u32>| count.expect("the counter is a number")).sum()
    }

    /// Returns the number of groups whose last run has reported its outcome. Waits for several seconds until there are
    /// `expected` groups, because a gateway without the check responds before it applies a push.
    ///
    /// # Panics
    /// As [`outcomes`](Self::outcomes).
    #[must_use]
    pub fn outcomes_after_wait(&self, expected: usize) -> usize {
        let started = Instant::now();
        loop {
            let outcomes = self.outcomes();
            if outcomes >= expected || started.elapsed() > MAX_APPLY_TIME {
                return outcomes;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Returns the number of groups whose last run has reported its outcome.
    ///
    /// # Panics
    /// If the gateway does not respond, or if curl is missing and the gateway has TLS.
    #[must_use]
    pub fn outcomes(&self) -> usize {
        let response = self.metrics();
        response.lines().filter(|line| line.starts_with("batch_job_last_run_success{")).count()
    }

    fn metrics(&self) -> String {
        match &self.certificate {
            None => get(self.address, "/metrics"),
            Some(certificate) => certificate.get(&format!("{}/metrics", self.url())),
        }
    }
}

impl Drop for Pushgateway {
    fn drop(&mut self) {
        // Errors do not matter: the bench is finished.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Returns an address with a port that no process listens on.
///
/// # Panics
/// If there is no free port.
#[must_use]
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
}
