//! Starts a Pushgateway for a bench.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::certificate::Certificate;
use crate::request::get;

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
        Self::start_with(None)
    }

    /// Starts a Pushgateway with TLS.
    ///
    /// # Panics
    /// If `prometheus-pushgateway` is not installed.
    #[must_use]
    pub fn start_with_tls(certificate: Certificate) -> Self {
        Self::start_with(Some(certificate))
    }

    fn start_with(certificate: Option<Certificate>) -> Self {
        let address = free_address();
        let mut command = Command::new("prometheus-pushgateway");
        command.args(["--persistence.file=", &format!("--web.listen-address={address}")]);
        if let Some(certificate) = &certificate {
            let config = certificate.web_config().display().to_string();
            command.arg(format!("--web.config.file={config}"));
        }
        let server = command.stderr(Stdio::null()).spawn();
        let server = server.expect("prometheus-pushgateway is installed");
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
        let response = match &self.certificate {
            None => get(self.address, "/metrics"),
            Some(certificate) => certificate.get(&format!("{}/metrics", self.url())),
        };
        let counts = response.lines().filter(|line| {
            line.starts_with("pushgateway_http_requests_total{")
                && line.contains("handler=\"push\"")
        });
        let counts =
            counts.map(|line| line.rsplit(' ').next().and_then(|count| count.parse().ok()));
        counts.map(|count: Option<u32>| count.expect("the counter is a number")).sum()
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
