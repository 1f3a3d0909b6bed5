//! Servers that are no HTTP servers, or not all the time.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A listener that does with each connection what it is told to. A connection that is given back stays open.
pub(crate) struct RawServer {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl RawServer {
    pub(crate) fn start(
        mut serve: impl FnMut(TcpStream) -> Option<TcpStream> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                if seen.load(Ordering::Acquire) {
                    break;
                }
                open.extend(serve(stream.unwrap()));
            }
        });
        Self { address, is_over, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for RawServer {
    /// Closes all connections, and the port.
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes the thread.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

/// A listener that has as many connections waiting as it may, and takes none of them.
pub(crate) struct Crowded {
    _listener: tokio::net::TcpListener,
    _runtime: tokio::runtime::Runtime,
    _waiting: Vec<TcpStream>,
    address: SocketAddr,
}

impl Crowded {
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
        let waiting: Vec<_> = std::iter::from_fn(connect).take(20).collect();
        assert!(waiting.len() < 20, "the listener takes them all");
        Self { _listener: listener, _runtime: runtime, _waiting: waiting, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}
