//! Starts a Pushgateway for a bench.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// The arguments of a Pushgateway that accepts metrics without comparing them with those of other groups.
pub const UNCHECKED: &[&str] = &["--push.disable-consistency-check"];

/// An empty Pushgateway on a free port, killed on drop.
pub struct Pushgateway {
    server: Child,
    address: SocketAddr,
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
        let server = Command::new("prometheus-pushgateway")
            .args(["--persistence.file=", &format!("--web.listen-address={address}")])
            .args(arguments)
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus-pushgateway is installed");
        while TcpStream::connect(address).is_err() {
            thread::sleep(Duration::from_millis(20));
        }
        Self { server, address }
    }

    /// Returns the address that the gateway listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of the gateway.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the number of pushes that the gateway has counted.
    ///
    /// # Panics
    /// If the gateway does not respond.
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

    /// Returns the number of groups whose last run has reported its outcome.
    ///
    /// # Panics
    /// If the gateway does not respond.
    #[must_use]
    pub fn outcomes(&self) -> usize {
        let response = self.metrics();
        response.lines().filter(|line| line.starts_with("batch_job_last_run_success{")).count()
    }

    fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(self.address).expect("the gateway accepts connections");
        stream
            .write_all(b"GET /metrics HTTP/1.0\r\nConnection: close\r\n\r\n")
            .expect("the gateway reads the request");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("the gateway responds");
        response
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
