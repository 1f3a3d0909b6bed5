//! Raw TCP servers, for failures that `FakeGateway` does not offer.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Runs a closure for each connection. A connection that the closure returns stays open.
pub(crate) struct RawServer {
    address: SocketAddr,
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl RawServer {
    pub(crate) fn start(
        mut serve: impl FnMut(TcpStream) -> Option<TcpStream> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&is_stopped);
        let thread = std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                open.extend(serve(stream.unwrap()));
            }
        });
        Self { address, is_stopped, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for RawServer {
    /// Closes all connections and the port.
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Release);
        // Wakes the listening thread.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

/// A listener with a full backlog: new connections are neither accepted nor refused.
pub(crate) struct FullBacklog {
    _listener: tokio::net::TcpListener,
    _runtime: tokio::runtime::Runtime,
    _pending: Vec<TcpStream>,
    address: SocketAddr,
}

impl FullBacklog {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let listener = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
            socket.listen(1).unwrap()
        });
        let address = listener.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok();
        let pending: Vec<_> = std::iter::from_fn(connect).take(20).collect();
        assert!(pending.len() < 20, "the backlog is not full");
        Self { _listener: listener, _runtime: runtime, _pending: pending, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}
