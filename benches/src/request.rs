//! Reads raw HTTP requests.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;

/// Reads one request with a `Content-Length`, head and body.
///
/// # Panics
/// If the connection ends before the request is complete.
#[must_use]
pub fn read_request(stream: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut request = Vec::new();
    let mut length = 0;
    loop {
        let line_start = request.len();
        assert_ne!(
            stream.read_until(b'\n', &mut request).expect("the connection is open"),
            0,
            "incomplete request"
        );
        let line = String::from_utf8_lossy(&request[line_start..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("the length is a number");
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let head = request.len();
    request.resize(head + length, 0);
    stream.read_exact(&mut request[head..]).expect("the body is complete");
    request
}
