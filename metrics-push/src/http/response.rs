//! `Response`: the parts of an HTTP response that sinks use.

use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, LOCATION};

use super::client_error::{convert, is_proxy_refusal, timed_out};
use super::redaction::Secrets;
use super::request::{BodyReader, MAX_RESPONSE_SIZE};
use super::retry_after::{date, retry_after};
use super::tracked_body::BodyBytes;
use super::url::redacted_target;
use crate::clock::Moment;
use crate::error::Error;

#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The target of a redirect, without credentials and query.
    pub(crate) location: Option<String>,
    /// The time for which the server asks clients to wait before the next request.
    pub(crate) retry_after: Option<Duration>,
    /// As text. Bytes that are not UTF-8 are replaced.
    pub(crate) body: String,
    /// The body of a success.
    pub(crate) bytes: Vec<u8>,
    pub(crate) headers: ResponseHeaders,
}

/// The headers of a response. `Debug` output does not contain them.
#[derive(Default)]
pub(crate) struct ResponseHeaders(HeaderMap);

impl ResponseHeaders {
    /// Returns the value of a header; `None` if it is missing or not a text.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    /// Returns the time of the server's clock.
    pub(crate) fn date(&self) -> Option<SystemTime> {
        date(&self.0)
    }
}

impl fmt::Debug for ResponseHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Response {
    /// Returns a response with status 407 if a proxy requires credentials for a tunnel, which the client reports as an
    /// error.
    pub(super) fn from_proxy(error: &reqwest::Error) -> Option<Self> {
        let response = Self { status: 407, ..Self::default() };
        is_proxy_refusal(error).then_some(response)
    }

    /// Reads the body, up to `max_size` bytes, until the deadline. Passes that of a success to `reader` if there is one.
    /// Removes the secrets of the request from a response that is not a success, because messages contain it.
    ///
    /// # Errors
    /// `is_unreachable` or `is_timeout` if a successful response is incomplete.
    pub(super) async fn read(
        mut response: reqwest::Response,
        reader: Option<BodyReader<'_>>,
        max_size: usize,
        deadline: Moment,
        secrets: &Secrets,
    ) -> Result<Self, Error> {
        let status = response.status().as_u16();
        let is_success = response.status().is_success();
        let headers = std::mem::take(response.headers_mut());
        let location = headers
            .get(LOCATION)
            .map(|value| redacted_target(&String::from_utf8_lossy(value.as_bytes())))
            .map(|location| secrets.redact(location));
        let retry_after = retry_after(&headers, Moment::now().wall());
        let mut reader = reader.filter(|_| is_success);
        let max_size = if reader.is_some() { max_size } else { max_size.min(MAX_RESPONSE_SIZE) };
        let (mut body, mut size) = (Vec::new(), 0);
        while size < max_size {
            match next_part(&mut response, deadline).await {
                Ok(Some(chunk)) => {
                    let part = &chunk[..chunk.len().min(max_size - size)];
                    size += part.len();
                    let Some(read) = &mut reader else {
                        body.extend_from_slice(part);
                        continue;
                    };
                    if read(part).is_break() {
                        break;
                    }
                }
                Ok(None) => break,
                // The status determines the error. The body only adds details to its message.
                Err(_) if !is_success => break,
                Err(error) => return Err(error),
            }
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        let (body, bytes) =
            if is_success { (text, body) } else { (secrets.redact(text), Vec::new()) };
        Ok(Self { status, location, retry_after, body, bytes, headers: ResponseHeaders(headers) })
    }
}

/// Returns the next part of the body. The deadline is checked before each part, because a server that sends without end
/// always has another one.
async fn next_part(
    response: &mut reqwest::Response,
    deadline: Moment,
) -> Result<Option<BodyBytes>, Error> {
    let left = deadline.remaining();
    if left.is_zero() {
        return Err(timed_out());
    }
    let part = tokio::time::timeout(left, response.chunk()).await;
    part.map_err(|_| timed_out())?.map_err(|error| convert(&error))
}
