//! `PrometheusApi`: evaluates expressions on a server with Prometheus' query API.
//!
//! It changes nothing on the server. The caller parses the response.

use std::ops::ControlFlow;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::post::{
    general_cause, is_web_page, refusal, renewing_credentials, requires_credentials,
};
use super::target::Target;
use crate::error::Error;
use crate::http::{MAX_LISTING_SIZE, Method, Request, Response, Server};

const PATH: &str = "/api/v1/query";
const FORM: &str = "application/x-www-form-urlencoded";

#[derive(Debug)]
pub(crate) struct PrometheusApi {
    server: Server,
}

impl PrometheusApi {
    /// Returns the API below the URL of a target.
    ///
    /// # Errors
    /// `is_config` if the URL, a header or a TLS setting is invalid.
    pub(crate) fn connect(target: &Target) -> Result<Self, Error> {
        let server = Server::new(target.url.as_str(), target.transport.clone())?;
        Ok(Self { server })
    }

    /// Returns the URL without credentials.
    pub(crate) fn url(&self) -> &str {
        self.server.redacted_url()
    }

    /// Evaluates an expression at this moment, and returns the response: a JSON document.
    ///
    /// # Errors
    /// If the server does not respond, or rejects the expression or the credentials.
    pub(crate) async fn query(
        &self,
        expression: &str,
        timeout: Duration,
    ) -> Result<Vec<u8>, Error> {
        let is_rejected = |result: &Result<(Response, Vec<u8>), Error>| {
            result.as_ref().is_ok_and(|(response, _)| requires_credentials(response.status))
        };
        let send = |timeout| self.send(expression, timeout);
        let (response, body) =
            renewing_credentials(&self.server, timeout, is_rejected, send).await?;
        match response.status {
            200..=299 => Ok(body),
            _ => Err(rejection(&response).at("url", self.url())),
        }
    }

    async fn send(
        &self,
        expression: &str,
        timeout: Duration,
    ) -> Result<(Response, Vec<u8>), Error> {
        // A form, because an expression in the URL could exceed the limit of a proxy.
        let form = format!("query={}", utf8_percent_encode(expression, NON_ALPHANUMERIC));
        let mut body = Vec::new();
        let mut read = |part: &[u8]| {
            body.extend_from_slice(part);
            ControlFlow::Continue(())
        };
        let request = Request::new(Method::POST, PATH, timeout)
            .with_body(FORM, None, form.into_bytes())
            .with_reader(MAX_LISTING_SIZE, &mut read);
        let response = self.server.send(request).await?;
        Ok((response, body))
    }
}

/// Returns the error for a response that is not a success.
fn rejection(response: &Response) -> Error {
    let (what, remedy) = match (general_cause(response), response.status) {
        (Some((what, remedy)), _) => (what, remedy),
        (None, 401) => (
            "the query API requires valid credentials",
            "set METRICS_PUSH_USERNAME and METRICS_PUSH_PASSWORD, or METRICS_PUSH_TOKEN",
        ),
        (None, 403) => {
            ("the credentials do not permit queries", "use a user or a token that may read metrics")
        }
        (None, 404 | 405) => (
            "no query API of Prometheus responds at this URL",
            "check the port (9090 by default) and the path before /api/v1/query",
        ),
        (None, _) if is_web_page(response) => {
            ("the response is a web page and not from a query API", "check the URL")
        }
        (None, _) => ("the query API rejected the query", "see the response"),
    };
    refusal(response, what).remedy(remedy)
}
