//! A TCP proxy between jobs and the real gateway that forwards every byte and records the requests.
//!
//! The gateway exposes only its final state, so tests read the single requests from the proxy.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::listener::{Listener, content_length};

/// A request of a job.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) body: String,
}

/// A running proxy.
pub(crate) struct RecordingProxy {
    listener: Listener,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl RecordingProxy {
    pub(crate) fn start(gateway: SocketAddr) -> Self {
        let requests = Arc::<Mutex<Vec<_>>>::default();
        let recorded = Arc::clone(&requests);
        let listener = Listener::start(move |job| forward(job, gateway, &recorded));
        Self { listener, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listener.address())
    }

    /// All requests so far, in the order in which they arrived.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
    let body = rest.get(..content_length(head))?.to_owned();
    let length = bytes.len() - rest.len() + body.len();
    Some((Request { path: head.split(' ').nth(1)?.to_owned(), body }, length))
}
