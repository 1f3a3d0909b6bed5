//! A recorder between jobs and the real gateway: passes bytes on as they come, and keeps the requests for the test.
//!
//! The gateway tells only what holds in the end; the recorder also knows what was ever said.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What a job said.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) body: String,
}

pub(crate) struct Recorder {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Request>>>,
    is_over: Arc<AtomicBool>,
}

impl Recorder {
    pub(crate) fn before(gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, is_over) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicBool>::default());
        let (hears, ends) = (Arc::clone(&heard), Arc::clone(&is_over));
        thread::spawn(move || {
            for job in listener.incoming().filter_map(Result::ok) {
                if ends.load(Ordering::Acquire) {
                    break;
                }
                let hears = Arc::clone(&hears);
                thread::spawn(move || pass_on(&job, gateway, &hears));
            }
        });
        Self { address, heard, is_over }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, in the order in which they came.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes the thread that listens.
        drop(TcpStream::connect(self.address));
    }
}

/// Until the job or the gateway is gone.
fn pass_on(job: &TcpStream, gateway: SocketAddr, heard: &Mutex<Vec<Request>>) {
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
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                unread.drain(..length);
            }
        });
        // What a job had sent before it was killed is the gateway's to answer.
        let _ = gateway.shutdown(Shutdown::Write);
    });
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, mut hear: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        hear(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
}

/// The first request and its length, if it is whole.
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
