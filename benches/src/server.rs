//! A server that accepts every push at a low and constant cost, so that only the cost of the client grows.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::pushgateway::free_address;
use crate::request::read_request;

/// A port on which a server can listen. It ends when it is dropped.
pub struct Server {
    address: SocketAddr,
    state: Arc<ServerState>,
}

#[derive(Default)]
struct ServerState {
    is_listening: AtomicBool,
    /// The pushes, if they are recorded.
    pushes: Option<Mutex<Vec<Vec<u8>>>>,
}

impl Server {
    /// Selects a free port. Connections are refused until the server starts.
    #[must_use]
    pub fn bind() -> Self {
        Self { address: free_address(), state: Arc::default() }
    }

    /// Returns the URL of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Listens in the background. The query API lists this number of groups, whatever was pushed.
    ///
    /// # Panics
    /// If another process has taken the port.
    pub fn start(&self, groups: usize) {
        let listener = TcpListener::bind(self.address).expect("the port is free");
        let listing: Arc<[u8]> = response_with(&listing_of(groups)).into_bytes().into();
        let state = Arc::clone(&self.state);
        state.is_listening.store(true, Ordering::Relaxed);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if !state.is_listening.load(Ordering::Relaxed) {
                    return;
                }
                let (state, listing) = (Arc::clone(&state), Arc::clone(&listing));
                thread::spawn(move || state.serve(stream, &listing));
            }
        });
    }

    /// Starts a server at this address that records all pushes, byte for byte.
    ///
    /// # Panics
    /// If another process has taken the port.
    #[must_use]
    pub fn record(address: SocketAddr) -> Self {
        let state = ServerState { pushes: Some(Mutex::default()), ..ServerState::default() };
        let server = Self { address, state: Arc::new(state) };
        server.start(0);
        server
    }

    /// Ends the server and returns the recorded pushes in the order of their arrival.
    ///
    /// # Panics
    /// If a thread of the server has panicked.
    #[must_use]
    pub fn into_pushes(self) -> Vec<Vec<u8>> {
        let pushes = self.state.pushes.as_ref().map(|pushes| pushes.lock().expect("no panic"));
        pushes.map(|mut pushes| std::mem::take(&mut *pushes)).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.state.is_listening.swap(false, Ordering::Relaxed) {
            // Wakes the thread that accepts connections, until the port is free.
            while TcpStream::connect(self.address).is_ok() {}
        }
    }
}

impl ServerState {
    /// Responds to requests until the client closes the connection.
    fn serve(&self, stream: TcpStream, listing: &[u8]) {
        let mut stream = BufReader::new(stream);
        while stream.fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
            let request = read_request(&mut stream);
            let response = if is_query(&request) { listing } else { EMPTY_RESPONSE };
            if !request.starts_with(b"GET")
                && let Some(pushes) = &self.pushes
            {
                pushes.lock().expect("no panic").push(request);
            }
            if stream.get_mut().write_all(response).is_err() {
                return;
            }
        }
    }
}

/// Returns true if a request lists the groups. The shards of a ring may have one server, so the path may have a prefix.
fn is_query(request: &[u8]) -> bool {
    const PATH: &[u8] = b"/api/v1/metrics ";

    request.starts_with(b"GET") && request.windows(PATH.len()).any(|bytes| bytes == PATH)
}

const EMPTY_RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn response_with(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The families of a listed group, each with one value.
const FAMILIES: [(&str, &str); 7] = [
    ("batch_job_info", "1"),
    ("batch_job_last_run_outcome", "1"),
    ("batch_job_last_start_timestamp_seconds", "1.7e9"),
    ("batch_job_last_completion_timestamp_seconds", "1.7e9"),
    ("batch_job_last_success_timestamp_seconds", "1.7e9"),
    ("batch_job_last_run_success", "1"),
    ("push_time_seconds", "1.7e9"),
];

/// Returns a response of the query API, as a Pushgateway writes it.
fn listing_of(groups: usize) -> String {
    let mut text = r#"{"status":"success","data":["#.to_owned();
    for tenant in 0..groups {
        let labels = format!(r#"{{"instance":"","job":"task","tenant":"{tenant}"}}"#);
        let comma = if tenant == 0 { "" } else { "," };
        write!(text, r#"{comma}{{"labels":{labels},"last_push_successful":true"#)
            .expect(INFALLIBLE);
        for (name, value) in FAMILIES {
            write!(
                text,
                r#","{name}":{{"time_stamp":"2026-01-01T00:00:00Z","type":"GAUGE","help":"Help.","#
            )
            .expect(INFALLIBLE);
            // Only one family has the label `outcome`. The others do not need to be exact.
            let labels = format!(r#"{{"outcome":"success",{}"#, &labels[1..]);
            write!(text, r#""metrics":[{{"labels":{labels},"value":"{value}"}}]}}"#)
                .expect(INFALLIBLE);
        }
        text.push('}');
    }
    text + "]}"
}

const INFALLIBLE: &str = "writing to a string does not fail";
