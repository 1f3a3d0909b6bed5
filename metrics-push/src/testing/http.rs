//! HTTP/1.1 on one connection: reads requests, writes responses, and knows nothing of metrics.
//!
//! Bodies come with a length or in chunks, heads and bodies are bounded, and a request that is no
//! HTTP gets the answer the real gateway gives.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// The longest request line with headers; more is answered with a 431.
const MAX_HEAD: usize = 64 * 1024;

/// The longest body; more is answered with a 413. The real gateway has no such limit.
pub(super) const MAX_BODY: usize = 64 * 1024 * 1024;

const MAX_HEADERS: usize = 128;

/// A request as it arrived.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// The method, in upper case as it was sent.
    pub method: String,
    /// The request target as it was sent: still percent-encoded, with the query if there was one.
    pub path: String,
    /// The headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without any chunk marks.
    pub body: Vec<u8>,
    /// When all of it had arrived.
    pub received: Instant,
    /// The number of its connection: requests with the same number came over the same one.
    pub connection: u64,
}

impl Request {
    /// The first header of that name, which is given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body as text, with replacement characters for what is not UTF-8.
    #[must_use]
    pub fn text(&self) -> String {
        super::go_format::lossy(&self.body)
    }

    fn says(&self, header: &str, token: &str) -> bool {
        self.header(header).is_some_and(|value| {
            value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token))
        })
    }
}

/// A response, not yet framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Response {
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

    /// A line of text, as the real gateway reports what went wrong.
    pub(super) fn error(status: u16, text: &str) -> Self {
        Self::new(status)
            .header("Content-Type", "text/plain; charset=utf-8")
            .header("X-Content-Type-Options", "nosniff")
            .body(format!("{text}\n"))
    }

    /// The bytes to send.
    pub(super) fn frame(&self, to: Framing) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if to.keep_alive == KeepAlive::No {
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
        if to.body == BodyWanted::Yes && self.status != 204 && self.status != 304 {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// What a request says about the form of its response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framing {
    pub(super) keep_alive: KeepAlive,
    pub(super) body: BodyWanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeepAlive {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyWanted {
    Yes,
    No,
}

/// Why no request could be read.
pub(super) enum Broken {
    /// The peer went away, or the gateway is closing.
    Gone,
    /// This is to be answered, and then the connection is of no more use.
    Refused(Response),
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// One connection.
pub(super) struct Wire {
    stream: TcpStream,
    number: u64,
    /// What has been read and not yet used.
    pending: Vec<u8>,
}

impl Wire {
    pub(super) const fn new(stream: TcpStream, number: u64) -> Self {
        Self { stream, number, pending: Vec::new() }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads the next request and how it wants to be answered.
    pub(super) fn read(&mut self) -> Result<(Request, Framing), Broken> {
        let (mut request, is_old) = self.read_head()?;
        if !is_old && request.header("host").is_none() {
            return Err(refused(400, "400 Bad Request: missing required Host header"));
        }
        if !is_old && request.says("expect", "100-continue") {
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        request.body = self.read_body(&request)?;
        request.received = Instant::now();
        let stays = !request.says("connection", "close")
            && (!is_old || request.says("connection", "keep-alive"));
        let keep_alive = if stays { KeepAlive::Yes } else { KeepAlive::No };
        let body = if request.method == "HEAD" { BodyWanted::No } else { BodyWanted::Yes };
        Ok((request, Framing { keep_alive, body }))
    }

    /// Reads the head; the second value is whether it is HTTP/1.0.
    fn read_head(&mut self) -> Result<(Request, bool), Broken> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut head = httparse::Request::new(&mut headers);
            match head.parse(&self.pending) {
                Ok(httparse::Status::Complete(length)) => {
                    let is_old = head.version == Some(0);
                    let request = to_request(&head, self.number);
                    self.pending.drain(..length);
                    return Ok((request, is_old));
                }
                Ok(httparse::Status::Partial) if self.pending.len() > MAX_HEAD => {
                    return Err(refused(431, "431 Request Header Fields Too Large"));
                }
                Ok(httparse::Status::Partial) => self.fill()?,
                Err(httparse::Error::TooManyHeaders) => {
                    return Err(refused(431, "431 Request Header Fields Too Large"));
                }
                Err(_) => return Err(refused(400, "400 Bad Request")),
            }
        }
    }

    fn read_body(&mut self, request: &Request) -> Result<Vec<u8>, Broken> {
        if let Some(encoding) = request.header("transfer-encoding") {
            if encoding.eq_ignore_ascii_case("chunked") {
                return self.read_chunks();
            }
            return Err(refused(501, "Unsupported transfer encoding"));
        }
        let mut lengths = request.headers.iter().filter(|(name, _)| name == "content-length");
        let Some((_, length)) = lengths.next() else {
            return Ok(Vec::new());
        };
        if lengths.any(|(_, other)| other != length) {
            return Err(refused(400, "400 Bad Request"));
        }
        match length.parse() {
            Ok(length) if length <= MAX_BODY => self.take(length),
            Ok(_) => Err(refused(413, "413 Request Entity Too Large")),
            Err(_) => Err(refused(400, "400 Bad Request")),
        }
    }

    fn read_chunks(&mut self) -> Result<Vec<u8>, Broken> {
        let mut body = Vec::new();
        loop {
            let line = self.take_line()?;
            let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
            let digits = std::str::from_utf8(digits).unwrap_or_default().trim();
            let length =
                usize::from_str_radix(digits, 16).map_err(|_| refused(400, "400 Bad Request"))?;
            if length == 0 {
                // Trailers, which nobody reads, and the empty line after them.
                while !self.take_line()?.is_empty() {}
                return Ok(body);
            }
            if length > MAX_BODY - body.len() {
                return Err(refused(413, "413 Request Entity Too Large"));
            }
            body.extend(self.take(length)?);
            if !self.take_line()?.is_empty() {
                return Err(refused(400, "400 Bad Request"));
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, Broken> {
        while self.pending.len() < length {
            self.fill()?;
        }
        Ok(self.pending.drain(..length).collect())
    }

    fn take_line(&mut self) -> Result<Vec<u8>, Broken> {
        loop {
            if let Some(end) = self.pending.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.pending[..end].to_vec();
                self.pending.drain(..end + 2);
                return Ok(line);
            }
            if self.pending.len() > MAX_HEAD {
                return Err(refused(400, "400 Bad Request"));
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), Broken> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer)? {
            0 => Err(Broken::Gone),
            length => {
                self.pending.extend_from_slice(&buffer[..length]);
                Ok(())
            }
        }
    }
}

fn to_request(head: &httparse::Request<'_, '_>, connection: u64) -> Request {
    let header = |header: &httparse::Header<'_>| {
        (header.name.to_ascii_lowercase(), super::go_format::lossy(header.value))
    };
    Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: head.path.unwrap_or_default().to_owned(),
        headers: head.headers.iter().map(header).collect(),
        body: Vec::new(),
        received: Instant::now(),
        connection,
    }
}

/// The answer of a Go server to what it can't read as HTTP.
fn refused(status: u16, text: &str) -> Broken {
    let response = Response::new(status).header("Content-Type", "text/plain; charset=utf-8");
    Broken::Refused(response.body(text))
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
