//! `Request`: one HTTP request, its timeout, and the size limit of its response.

use std::ops::ControlFlow;
use std::time::Duration;

use reqwest::Method;

use super::tracked_body::RequestBody;

/// Maximum response size in bytes. A gateway responds with one line; another server may send an endless response.
pub(crate) const MAX_RESPONSE_SIZE: usize = 64 * 1024;
/// Maximum response size of the query API in bytes. A response contains everything that the gateway stores. It is read in
/// parts.
pub(crate) const MAX_LISTING_SIZE: usize = 512 * 1024 * 1024;

/// Receives the body of a successful response in parts. `Break` ends the reading.
pub(crate) type BodyReader<'a> = &'a mut (dyn FnMut(&[u8]) -> ControlFlow<()> + Send);

pub(crate) struct Request<'a> {
    pub(super) method: Method,
    /// Percent-encoded, starting with a slash. It is appended to the path of the server's URL.
    pub(super) path: &'a str,
    pub(super) content_type: Option<&'static str>,
    pub(super) content_encoding: Option<&'static str>,
    /// Further headers, with names in lowercase.
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// Added to the query of the server's URL.
    pub(super) query: Option<&'static str>,
    pub(super) body: RequestBody,
    pub(super) max_response_size: usize,
    /// `None`: the response contains the body.
    pub(super) reader: Option<BodyReader<'a>>,
    pub(super) timeout: Duration,
}

impl<'a> Request<'a> {
    /// Returns a request with an empty body. The timeout includes connecting and reading the response.
    pub(crate) fn new(method: Method, path: &'a str, timeout: Duration) -> Self {
        Self {
            method,
            path,
            content_type: None,
            content_encoding: None,
            headers: &[],
            query: None,
            body: RequestBody::default(),
            max_response_size: MAX_RESPONSE_SIZE,
            reader: None,
            timeout,
        }
    }

    pub(crate) fn with_body(
        self,
        content_type: &'static str,
        content_encoding: Option<&'static str>,
        body: impl Into<RequestBody>,
    ) -> Self {
        let body = body.into();
        Self { content_type: Some(content_type), content_encoding, body, ..self }
    }

    pub(crate) fn with_headers(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }

    /// Adds parameters, such as `precision=ms`, to the query of the server's URL.
    pub(crate) fn with_query(self, query: Option<&'static str>) -> Self {
        Self { query, ..self }
    }

    /// Passes up to `max_response_size` bytes of a successful response to `reader`. The response then has no body.
    pub(crate) fn with_reader(self, max_response_size: usize, reader: BodyReader<'a>) -> Self {
        Self { max_response_size, reader: Some(reader), ..self }
    }
}
