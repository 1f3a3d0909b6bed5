//! `Influx`: sends samples to InfluxDB, and to servers that accept its line protocol.
//!
//! A push and an add send the same lines, and a delete sends nothing: InfluxDB has no groups. Both verbs leave older points
//! in place.

mod answers;
mod line;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::answers::{answer, locate};
use super::compression::Compression;
use super::interface::{
    Accepted, Model, OnFailure, OnRepeat, Rejection, Semantics, SendFuture, Sink,
};
use super::post::{Endpoint, Post};
use super::target::Target;
use crate::error::Error;
use crate::http::EndpointRules;
use crate::push_request::{Payload, Verb};
use answers::ANSWERS;

const RULES: EndpointRules =
    EndpointRules { prefix: "influx+", default_path, reserved_headers: &[], token_scheme: "Token" };

/// The parameter for the unit of times, which are in milliseconds.
const PRECISION: &str = "precision=ms";

#[derive(Debug)]
pub(crate) struct Influx {
    endpoint: Endpoint,
    compression: Compression,
}

impl Influx {
    /// Returns the sink for a target with the scheme `influx+http` or `influx+https`.
    ///
    /// # Errors
    /// `is_config` if the URL, a header or a TLS setting is invalid.
    pub(super) fn open(target: &Target) -> Result<Arc<dyn Sink>, Error> {
        let endpoint = Endpoint::open(target, RULES)?;
        if has_parameter(endpoint.url(), "precision") {
            return Err(Error::config(
                "invalid URL: the parameter \"precision\" is set by every push",
            )
            .at("url", endpoint.url())
            .remedy("remove it from the URL"));
        }
        Ok(Arc::new(Self { endpoint, compression: target.encoding.compression() }))
    }

    async fn send_lines(
        &self,
        payload: &Payload<'_>,
        timeout: Duration,
    ) -> Result<Accepted, Rejection> {
        let lines = match payload.verb() {
            Verb::Push | Verb::Add => {
                line::encode(payload.key(), payload.families(), payload.created_at())
            }
            Verb::Delete => String::new(),
        };
        if lines.is_empty() {
            return Ok(Accepted::Queued);
        }
        let body = self.compression.apply(lines.into_bytes());
        let post = Post {
            content_type: "text/plain; charset=utf-8",
            content_encoding: body.content_encoding,
            headers: &[],
            query: Some(PRECISION),
            body: &body.bytes,
        };
        let failed = |error: Error| Rejection::Failed(error.at("group", payload.key()));
        let response = self.endpoint.post(post, timeout).await.map_err(failed)?;
        locate(answer(&response, ANSWERS, "InfluxDB"), self.endpoint.url(), payload.key())
    }
}

/// Returns the path of a URL that has none: that of InfluxDB 2 and 3 if it names a bucket, else that of InfluxDB 1.
fn default_path(query: &str) -> &'static str {
    if has_parameter(query, "bucket") { "/api/v2/write" } else { "/write" }
}

/// Returns true if a URL or its query has this parameter.
fn has_parameter(url: &str, name: &str) -> bool {
    url.split(['?', '&']).any(|part| part.split('=').next() == Some(name))
}

impl Sink for Influx {
    fn semantics(&self) -> Semantics {
        Semantics {
            model: Model::Samples,
            on_repeat: OnRepeat::Idempotent,
            on_failure: OnFailure::Spools,
        }
    }

    fn prepare(&self) {
        self.endpoint.prepare();
    }

    fn send<'a>(&'a self, payload: &'a Payload<'a>, timeout: Duration) -> SendFuture<'a> {
        Box::pin(self.send_lines(payload, timeout))
    }
}

impl fmt::Display for Influx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.endpoint.url())
    }
}
