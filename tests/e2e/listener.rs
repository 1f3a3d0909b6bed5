//! A listening socket with a thread for each connection.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Accepts connections until it is dropped.
pub(crate) struct Listener {
    address: SocketAddr,
    is_stopped: Arc<AtomicBool>,
}

impl Listener {
    /// Calls `serve` with each connection, in a thread.
    pub(crate) fn start(serve: impl Fn(&TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let is_stopped = Arc::<AtomicBool>::default();
        let (stopped, serve) = (Arc::clone(&is_stopped), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(&stream));
            }
        });
        Self { address, is_stopped }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Release);
        // Wakes the listening thread.
        drop(TcpStream::connect(self.address));
    }
}

/// Returns the length of the body that a request line and headers announce.
pub(crate) fn content_length(head: &str) -> usize {
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
    });
    length.unwrap_or(0)
}
