//! A TCP proxy between jobs and the real gateway that forwards every byte and records the requests.
//!
//! The gateway exposes only its final state, so tests read the single requests from the proxy.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A request of a job.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) body: String,
}

/// A running proxy.
pub(crate) struct RecordingProxy {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    is_stopped: Arc<AtomicBool>,
}

impl RecordingProxy {
    pub(crate) fn start(gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, is_stopped) =
            (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicBool>::default());
        let (recorded, stopped) = (Arc::clone(&requests), Arc::clone(&is_stopped));
        thread::spawn(move || {
            for job in listener.incoming().filter_map(Result::ok) {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                let recorded = Arc::clone(&recorded);
                thread::spawn(move || forward(&job, gateway, &recorded));
            }
        });
        Self { address, requests, is_stopped }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, in the order in which they arrived.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for RecordingProxy {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Release);
        // Wakes the listening thread.
        drop(TcpStream::connect(self.address));
    }
}

/// Forwards both directions until the job or the gateway closes the connection.
fn forward(job: &TcpStream, gateway: SocketAddr, requests: &Mutex<Vec<Request>>) {
    let Ok(gateway) = TcpStream::connect(gateway) else { return };
    let mut unread = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            copy(&gateway, job, |_| ());
            let _ = job.shutdown(Shutdown::Both);
        });
        copy(job, &gateway, |bytes| {
            unread.extend_from_slice(bytes);
            while let Some((request, length)) = parse(&unread) {
                requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                unread.drain(..length);
            }
        });
        // The gateway still processes the requests that a killed job has sent completely.
        let _ = gateway.shutdown(Shutdown::Write);
    });
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, mut record: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        record(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
}

/// Returns the first request and its length, if it is complete.
fn parse(bytes: &[u8]) -> Option<(Request, usize)> {
    let text = String::from_utf8_lossy(bytes);
    let (head, rest) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
    });
    let body = rest.get(..length.unwrap_or_default())?.to_owned();
    let length = bytes.len() - rest.len() + body.len();
    Some((Request { path: head.split(' ').nth(1)?.to_owned(), body }, length))
}
