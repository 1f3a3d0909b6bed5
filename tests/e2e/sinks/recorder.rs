//! An HTTP server that records requests and responds as a test wants.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

#[derive(Clone, Debug)]
pub(super) struct RecordedRequest {
    /// The request line and the headers.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl RecordedRequest {
    pub(super) fn has_header(&self, line: &str) -> bool {
        self.head.lines().any(|header| header.eq_ignore_ascii_case(line))
    }
}

/// Returns the status line, the headers and the body of the response to the request with this number.
type Respond = fn(usize) -> Vec<u8>;

pub(super) struct Recorder {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<RecordedRequest>>>,
    is_stopped: Arc<AtomicBool>,
}

impl Recorder {
    pub(super) fn start(respond: Respond) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<_>>>::default();
        let is_stopped = Arc::<AtomicBool>::default();
        let (recorded, stopped) = (Arc::clone(&requests), Arc::clone(&is_stopped));
        thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                let recorded = Arc::clone(&recorded);
                thread::spawn(move || serve(&stream, &recorded, respond));
            }
        });
        Self { address, requests, is_stopped }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Release);
        // Wakes the listening thread.
        drop(TcpStream::connect(self.address));
    }
}

/// Returns a response with this status line, these headers and this body.
pub(super) fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn serve(mut stream: &TcpStream, requests: &Mutex<Vec<RecordedRequest>>, respond: Respond) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let number = {
            let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
            requests.push(request);
            requests.len()
        };
        if stream.write_all(&respond(number)).is_err() {
            break;
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<RecordedRequest> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(RecordedRequest { head, body })
}
