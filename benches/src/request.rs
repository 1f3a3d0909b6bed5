//! Requests, byte for byte, as a server gets them.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;

/// Reads one request whose body has a length.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn read_request(stream: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut request = Vec::new();
    let mut length = 0;
    loop {
        let begin = request.len();
        assert_ne!(stream.read_until(b'\n', &mut request).expect("a request"), 0, "one more");
        let line = String::from_utf8_lossy(&request[begin..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let head = request.len();
    request.resize(head + length, 0);
    stream.read_exact(&mut request[head..]).expect("a body");
    request
}
