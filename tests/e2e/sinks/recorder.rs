//! An HTTP server that records requests and responds as a test wants.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use crate::listener::{Listener, content_length};

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
    listener: Listener,
    requests: Arc<Mutex<Vec<RecordedRequest>>>,
}

impl Recorder {
    pub(super) fn start(respond: Respond) -> Self {
        let requests = Arc::<Mutex<Vec<_>>>::default();
        let recorded = Arc::clone(&requests);
        let listener = Listener::start(move |stream| serve(stream, &recorded, respond));
        Self { listener, requests }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
    let mut body = vec![0; content_length(&head)];
    reader.read_exact(&mut body).ok()?;
    Some(RecordedRequest { head, body })
}
