//! HTTP/1.1 on one connection: [`HttpStream`] reads requests and writes responses. The connection is a TCP stream, or bytes
//! in memory.
//!
//! Bodies have a `Content-Length` or are chunked. The sizes of heads and bodies are limited. A request that is not valid
//! HTTP gets the same response as from the real gateway. This file must not depend on metrics or routes.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use super::go_format::lossy;

/// The maximum size of a request line with its headers; a larger one gets a 431.
const MAX_HEAD: usize = 64 * 1024;

/// The maximum size of a body; a larger one gets a 413. The real gateway has no such limit.
pub(super) const MAX_BODY: usize = 64 * 1024 * 1024;

const MAX_HEADERS: usize = 128;

/// A request that a [`FakeGateway`](crate::testing::FakeGateway) received.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// The method as it was sent, for example `PUT`.
    pub method: String,
    /// The request target as it was sent: percent-encoded, with the query string if there is one.
    pub path: String,
    /// The headers in the order in which they were sent, with their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body. A chunked body is decoded, a compressed one is not.
    pub body: Vec<u8>,
    /// When the whole request had been read.
    pub received: Instant,
    /// The number of the connection. Requests with the same number were sent over the same connection.
    pub connection: u64,
}

impl Request {
    /// Returns the value of the first header with this name, which must be in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as text. Bytes that are not valid UTF-8 become replacement characters.
    #[must_use]
    pub fn text(&self) -> String {
        lossy(&self.body)
    }

    fn has_token(&self, header: &str, token: &str) -> bool {
        self.header(header).is_some_and(|value| {
            value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token))
        })
    }
}

/// A response before it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HttpResponse {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl HttpResponse {
    pub(super) const fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// An error message as one line of text, as the real gateway sends it.
    pub(super) fn error(status: u16, text: &str) -> Self {
        Self::new(status)
            .header("Content-Type", "text/plain; charset=utf-8")
            .header("X-Content-Type-Options", "nosniff")
            .body(format!("{text}\n"))
    }

    /// Returns the bytes to send.
    pub(super) fn encode(&self, framing: Framing) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if framing.keep_alive == KeepAlive::No {
            head.push_str("Connection: close\r\n");
        }
        let has_length = self.headers.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case("content-length")
                || name.eq_ignore_ascii_case("transfer-encoding")
        });
        if !has_length && self.status >= 200 && self.status != 204 {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(b"\r\n");
        if framing.body == ResponseBody::Sent && self.status != 204 && self.status != 304 {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// How a response must be encoded, as the request demands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framing {
    pub(super) keep_alive: KeepAlive,
    pub(super) body: ResponseBody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeepAlive {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseBody {
    Sent,
    Omitted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HttpVersion {
    Http10,
    Http11,
}

/// Why a request could not be read.
pub(super) enum ReadError {
    /// The client or the gateway closed the connection.
    Disconnected,
    /// The request is invalid: the connection must send this response and close.
    Rejected(HttpResponse),
}

impl From<io::Error> for ReadError {
    fn from(_: io::Error) -> Self {
        Self::Disconnected
    }
}

/// The HTTP side of one connection.
pub(super) struct HttpStream<S = TcpStream> {
    stream: S,
    number: u64,
    /// Bytes that are read from the socket and not yet parsed.
    pending: Vec<u8>,
}

impl<S: Read + Write> HttpStream<S> {
    pub(super) const fn new(stream: S, number: u64) -> Self {
        Self { stream, number, pending: Vec::new() }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads the next request, and how its response must be encoded.
    pub(super) fn read(&mut self) -> Result<(Request, Framing), ReadError> {
        let (mut request, version) = self.read_head()?;
        let is_current = version == HttpVersion::Http11;
        if is_current && request.header("host").is_none() {
            return Err(rejected(400, "400 Bad Request: missing required Host header"));
        }
        if is_current && request.has_token("expect", "100-continue") {
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        request.body = self.read_body(&request)?;
        request.received = Instant::now();
        let is_kept_alive = !request.has_token("connection", "close")
            && (is_current || request.has_token("connection", "keep-alive"));
        let keep_alive = if is_kept_alive { KeepAlive::Yes } else { KeepAlive::No };
        let body =
            if request.method == "HEAD" { ResponseBody::Omitted } else { ResponseBody::Sent };
        Ok((request, Framing { keep_alive, body }))
    }

    fn read_head(&mut self) -> Result<(Request, HttpVersion), ReadError> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut head = httparse::Request::new(&mut headers);
            match head.parse(&self.pending) {
                Ok(httparse::Status::Complete(length)) => {
                    let version = match head.version {
                        Some(0) => HttpVersion::Http10,
                        _ => HttpVersion::Http11,
                    };
                    let request = to_request(&head, self.number);
                    self.pending.drain(..length);
                    return Ok((request, version));
                }
                Ok(httparse::Status::Partial) if self.pending.len() > MAX_HEAD => {
                    return Err(rejected(431, "431 Request Header Fields Too Large"));
                }
                Ok(httparse::Status::Partial) => self.fill()?,
                Err(httparse::Error::TooManyHeaders) => {
                    return Err(rejected(431, "431 Request Header Fields Too Large"));
                }
                Err(_) => return Err(rejected(400, "400 Bad Request")),
            }
        }
    }

    fn read_body(&mut self, request: &Request) -> Result<Vec<u8>, ReadError> {
        if let Some(encoding) = request.header("transfer-encoding") {
            if encoding.eq_ignore_ascii_case("chunked") {
                return self.read_chunks();
            }
            return Err(rejected(501, "Unsupported transfer encoding"));
        }
        let mut lengths = request.headers.iter().filter(|(name, _)| name == "content-length");
        let Some((_, length)) = lengths.next() else {
            return Ok(Vec::new());
        };
        if lengths.any(|(_, other)| other != length) {
            return Err(rejected(400, "400 Bad Request"));
        }
        match length.parse() {
            Ok(length) if length <= MAX_BODY => self.take(length),
            Ok(_) => Err(rejected(413, "413 Request Entity Too Large")),
            Err(_) => Err(rejected(400, "400 Bad Request")),
        }
    }

    fn read_chunks(&mut self) -> Result<Vec<u8>, ReadError> {
        let mut body = Vec::new();
        loop {
            let line = self.take_line()?;
            let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
            let digits = std::str::from_utf8(digits).unwrap_or_default().trim();
            let length =
                usize::from_str_radix(digits, 16).map_err(|_| rejected(400, "400 Bad Request"))?;
            if length == 0 {
                // Skip the trailers and the empty line after them.
                while !self.take_line()?.is_empty() {}
                return Ok(body);
            }
            if length > MAX_BODY - body.len() {
                return Err(rejected(413, "413 Request Entity Too Large"));
            }
            body.extend(self.take(length)?);
            if !self.take_line()?.is_empty() {
                return Err(rejected(400, "400 Bad Request"));
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, ReadError> {
        while self.pending.len() < length {
            self.fill()?;
        }
        Ok(self.pending.drain(..length).collect())
    }

    fn take_line(&mut self) -> Result<Vec<u8>, ReadError> {
        loop {
            if let Some(end) = self.pending.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.pending[..end].to_vec();
                self.pending.drain(..end + 2);
                return Ok(line);
            }
            if self.pending.len() > MAX_HEAD {
                return Err(rejected(400, "400 Bad Request"));
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), ReadError> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer)? {
            0 => Err(ReadError::Disconnected),
            length => {
                self.pending.extend_from_slice(&buffer[..length]);
                Ok(())
            }
        }
    }
}

fn to_request(head: &httparse::Request<'_, '_>, connection: u64) -> Request {
    let header =
        |header: &httparse::Header<'_>| (header.name.to_ascii_lowercase(), lossy(header.value));
    Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: head.path.unwrap_or_default().to_owned(),
        headers: head.headers.iter().map(header).collect(),
        body: Vec::new(),
        received: Instant::now(),
        connection,
    }
}

/// The response of a Go server to a request that is not valid HTTP.
fn rejected(status: u16, text: &str) -> ReadError {
    let response = HttpResponse::new(status).header("Content-Type", "text/plain; charset=utf-8");
    ReadError::Rejected(response.body(text))
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
