//! `Request`: one HTTP request, its timeout, and the size limit of its response.

use std::time::Duration;

use reqwest::Method;

/// Maximum response size in bytes. A gateway responds with one line; another server may send an endless response.
pub(crate) const MAX_RESPONSE_SIZE: usize = 64 * 1024;
/// Maximum response size of the query API in bytes. A response contains everything that the gateway stores.
pub(crate) const MAX_LISTING_SIZE: usize = 256 * 1024 * 1024;

pub(crate) struct Request<'a> {
    pub(super) method: Method,
    /// Percent-encoded, starting with a slash. It is appended to the path of the server's URL.
    pub(super) path: &'a str,
    pub(super) content_type: Option<&'static str>,
    pub(super) content_encoding: Option<&'static str>,
    pub(super) body: Vec<u8>,
    pub(super) max_response_size: usize,
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
            body: Vec::new(),
            max_response_size: MAX_RESPONSE_SIZE,
            timeout,
        }
    }

    pub(crate) fn with_body(
        self,
        content_type: &'static str,
        content_encoding: Option<&'static str>,
        body: Vec<u8>,
    ) -> Self {
        Self { content_type: Some(content_type), content_encoding, body, ..self }
    }

    pub(crate) fn with_max_response_size(self, max_response_size: usize) -> Self {
        Self { max_response_size, ..self }
    }
}
