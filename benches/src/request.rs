//! Reads raw HTTP requests, and sends simple ones.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

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

/// Sends a GET request and returns the body of the response; empty if there is none.
///
/// # Panics
/// If the server does not respond.
#[must_use]
pub fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the server accepts connections");
    write!(stream, "GET {path} HTTP/1.0\r\nConnection: close\r\n\r\n")
        .expect("the server reads the request");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("the server responds");
    response.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}
