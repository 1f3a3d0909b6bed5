//! What the sinks share that send requests over HTTP: renewed credentials, and the errors for responses.

use std::borrow::Cow;
use std::time::Duration;

use super::target::Target;
use crate::clock::Moment;
use crate::error::{Error, Kind};
use crate::http::{EndpointRules, Method, Request, RequestBody, Response, Server, retry_policy};
use crate::log::excerpt;

/// A server with one URL, to which a sink posts all its requests.
#[derive(Debug)]
pub(super) struct Endpoint {
    server: Server,
}

/// The body of a request and the headers that describe it.
#[derive(Clone, Debug)]
pub(super) struct Post {
    pub(super) content_type: &'static str,
    pub(super) content_encoding: Option<&'static str>,
    /// Further headers, with names in lowercase.
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// Parameters that are added to the query of the URL, such as `precision=ms`.
    pub(super) query: Option<&'static str>,
    pub(super) body: RequestBody,
}

impl Endpoint {
    /// Returns the endpoint of a target.
    ///
    /// # Errors
    /// `is_config` if the URL, a header or a TLS setting is invalid.
    pub(super) fn open(target: &Target, rules: EndpointRules) -> Result<Self, Error> {
        let server = Server::endpoint(target.url.as_str(), rules, target.transport.clone())?;
        Ok(Self { server })
    }

    /// Returns the URL without credentials.
    pub(super) fn url(&self) -> &str {
        self.server.redacted_url()
    }

    /// Builds the HTTP client before the first request needs it.
    pub(super) fn prepare(&self) {
        self.server.prepare();
    }

    /// Sends a request, and sends it again if the credentials were rejected and may have changed.
    ///
    /// # Errors
    /// If the server does not respond. A response with any status is `Ok`.
    pub(super) async fn post(&self, post: Post, timeout: Duration) -> Result<Response, Error> {
        let is_rejected = |result: &Result<Response, Error>| {
            result.as_ref().is_ok_and(|response| requires_credentials(response.status))
        };
        renewing_credentials(&self.server, timeout, is_rejected, |timeout| {
            let request = Request::new(Method::POST, "", timeout)
                .with_body(post.content_type, post.content_encoding, post.body.clone())
                .with_headers(post.headers)
                .with_query(post.query);
            self.server.send(request)
        })
        .await
    }
}

/// Calls `send`, and calls it again if the credentials were rejected and may have changed: the files that contain them
/// may have been replaced since they were read.
pub(super) async fn renewing_credentials<T, F: Future<Output = T>>(
    server: &Server,
    timeout: Duration,
    is_rejected: impl Fn(&T) -> bool,
    send: impl Fn(Duration) -> F,
) -> T {
    let deadline = Moment::now().after(timeout);
    let result = send(timeout).await;
    if is_rejected(&result) && server.reload_credentials() {
        return send(deadline.remaining()).await;
    }
    result
}

/// Returns true if other credentials may lead to another status.
pub(super) fn requires_credentials(status: u16) -> bool {
    matches!(status, 401 | 403 | 407)
}

/// Returns true if the response is a web page: a login page or a proxy may respond in place of the sink.
pub(super) fn is_web_page(response: &Response) -> bool {
    response.body.trim_start().starts_with('<')
}

/// Returns the error for a response that is not a success, of the kind that follows from its status. `what` is its
/// likely cause.
pub(super) fn refusal(response: &Response, what: &'static str) -> Error {
    let status = response.status;
    let kind = match status {
        _ if requires_credentials(status) => Kind::Credentials { status: Some(status) },
        300..=399 | 404 | 405 => Kind::Config,
        400 if expects_tls(&response.body) => Kind::Config,
        _ => Kind::Refused { status, retry: retry_policy(status) },
    };
    refusal_of_kind(kind, response, what)
}

/// Returns the error of a kind for a response that is not a success.
pub(super) fn refusal_of_kind(kind: Kind, response: &Response, what: &'static str) -> Error {
    let error = Error::new(kind, what).at("status", response.status).after(response.retry_after);
    let error = match &response.location {
        Some(location) => error.at("location", location),
        None => error,
    };
    match first_line(&response.body) {
        line if line.is_empty() => error,
        line => error.at("response", line),
    }
}

/// Returns the cause of a response that has the same one for all servers, and the remedy.
pub(super) fn general_cause(response: &Response) -> Option<(&'static str, &'static str)> {
    Some(match response.status {
        300..=399 => (
            "the URL redirects to another one",
            "set the target as the URL: a redirected push would arrive without its body",
        ),
        400 if expects_tls(&response.body) => {
            ("the server uses TLS on this port", "write https:// in the URL")
        }
        407 => (
            "the proxy requires credentials",
            "add them to HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, for example http://user:password@proxy:3128",
        ),
        429 => ("the server limits the rate of pushes", "push less often"),
        _ => return None,
    })
}

/// Returns true if the body is the response of a Go server or of nginx to plain HTTP on a TLS port.
fn expects_tls(body: &str) -> bool {
    ["HTTP request to an HTTPS server", "HTTP request was sent to HTTPS port"]
        .iter()
        .any(|text| body.contains(text))
}

/// Returns the first line of a response, shortened so that it does not flood a log.
fn first_line(body: &str) -> Cow<'_, str> {
    const MAX_CHARS: usize = 400;
    excerpt(body.trim().lines().next().unwrap_or_default(), MAX_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_is_cut_between_characters() {
        let long = "é".repeat(1_000);
        assert_eq!(first_line(&long).chars().count(), 401);
    }
}
