//! A server that accepts every push at a low and constant cost, so that only the cost of the client grows.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use metrics_push_benches::pushgateway::free_address;
use metrics_push_benches::request::read_request;

/// A port on which a server can listen. It ends with this process.
pub(crate) struct Server {
    address: SocketAddr,
}

impl Server {
    /// Selects a free port. Connections are refused until the server starts.
    pub(crate) fn bind() -> Self {
        Self { address: free_address() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Listens in the background. The query API lists this number of groups, whatever was pushed.
    pub(crate) fn start(&self, groups: usize) {
        let listener = TcpListener::bind(self.address).expect("the port is free");
        let listing: Arc<[u8]> = response_with(&listing_of(groups)).into_bytes().into();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let listing = Arc::clone(&listing);
                thread::spawn(move || serve(stream, &listing));
            }
        });
    }
}

/// Responds to requests until the client closes the connection.
fn serve(stream: TcpStream, listing: &[u8]) {
    let mut stream = BufReader::new(stream);
    while stream.fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
        let request = read_request(&mut stream);
        // A ring of several shards has one server, so the path may have a prefix.
        let is_query = request.starts_with(b"GET")
            && request.windows(LISTING_PATH.len()).any(|bytes| bytes == LISTING_PATH);
        let response: &[u8] =
            if is_query { listing } else { b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" };
        if stream.get_mut().write_all(response).is_err() {
            return;
        }
    }
}

const LISTING_PATH: &[u8] = b"/api/v1/metrics ";

fn response_with(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The families of a listed group, each with one value.
const FAMILIES: [(&str, &str); 6] = [
    ("batch_job_info", "1"),
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
                r#","{name}":{{"time_stamp":"2026-01-01T00:00:00Z","type":"GAUGE","help":"Help.",
                "metrics":[{{"labels":{labels},"value":"{value}"}}]}}"#
            )
            .expect(INFALLIBLE);
        }
        text.push('}');
    }
    text + "]}"
}

const INFALLIBLE: &str = "writing to a string does not fail";
