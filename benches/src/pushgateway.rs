//! A Pushgateway for as long as a bench runs.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// The real one, on a free port, empty.
pub struct Pushgateway {
    server: Child,
    address: SocketAddr,
}

impl Pushgateway {
    /// Starts it, and waits until it listens.
    ///
    /// # Panics
    /// If `prometheus-pushgateway` is not installed.
    #[must_use]
    pub fn start() -> Self {
        let address = free_address();
        let server = Command::new("prometheus-pushgateway")
            .args(["--persistence.file=", &format!("--web.listen-address={address}")])
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus-pushgateway is installed");
        while TcpStream::connect(address).is_err() {
            thread::sleep(Duration::from_millis(20));
        }
        Self { server, address }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many pushes it has seen so far, by its own account.
    ///
    /// # Panics
    /// If it doesn't answer.
    #[must_use]
    pub fn pushes(&self) -> u32 {
        let mut stream = TcpStream::connect(self.address).expect("a gateway");
        stream
            .write_all(b"GET /metrics HTTP/1.0\r\nConnection: close\r\n\r\n")
            .expect("a gateway that listens");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("a gateway that answers");
        let counts = answer.lines().filter(|line| {
            line.starts_with("pushgateway_http_requests_total{")
                && line.contains("handler=\"push\"")
        });
        let counts =
            counts.map(|line| line.rsplit(' ').next().and_then(|count| count.parse().ok()));
        counts.map(|count: Option<u32>| count.expect("a count")).sum()
    }
}

impl Drop for Pushgateway {
    fn drop(&mut self) {
        // Whatever comes of it, the bench is over.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// An address on which nobody listens.
///
/// # Panics
/// If there is no free port.
#[must_use]
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}
