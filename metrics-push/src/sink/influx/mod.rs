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
use super::compression::{CompressedBody, Compression};
use super::interface::{Accepted, Rejection, Semantics, SendFuture, Sink};
use super::post::{Endpoint, Post};
use super::sample_clock::SampleClock;
use super::target::Target;
use crate::clock::Moment;
use crate::error::Error;
use crate::http::{EndpointRules, Response};
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
    clock: SampleClock,
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
        let compression = target.encoding.compression();
        Ok(Arc::new(Self { endpoint, compression, clock: SampleClock::default() }))
    }

    async fn send_lines(
        &self,
        payload: &Payload<'_>,
        timeout: Duration,
    ) -> Result<Accepted, Rejection> {
        if payload.verb() == Verb::Delete {
            return Ok(Accepted::Queued);
        }
        let deadline = Moment::now().after(timeout);
        let url = self.endpoint.url();
        let times = self.clock.times(payload, url, self.post(Vec::new(), deadline)).await?;
        let lines = line::encode(payload.key(), payload.families(), times.time);
        if lines.is_empty() {
            return Ok(Accepted::Queued);
        }
        let response = self.post(lines.into_bytes(), deadline).await?;
        self.clock.read(&response, url);
        answer(&response, ANSWERS, "InfluxDB")
    }

    async fn post(&self, lines: Vec<u8>, deadline: Moment) -> Result<Response, Rejection> {
        let CompressedBody { content_encoding, bytes } = self.compression.apply(lines);
        let post = Post {
            content_type: "text/plain; charset=utf-8",
            content_encoding,
            headers: &[],
            query: Some(PRECISION),
            body: &bytes,
        };
        self.endpoint.post(post, deadline.remaining()).await.map_err(Rejection::Failed)
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
        Semantics::SAMPLES
    }

    fn prepare(&self) {
        self.endpoint.prepare();
    }

    fn restore(&self, state: &str) {
        self.clock.restore(state);
    }

    fn take_state(&self) -> Option<String> {
        self.clock.take_state()
    }

    fn send<'a>(&'a self, payload: &'a Payload<'a>, timeout: Duration) -> SendFuture<'a> {
        Box::pin(async move {
            let result = self.send_lines(payload, timeout).await;
            locate(result, self.endpoint.url(), payload.key())
        })
    }
}

impl fmt::Display for Influx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.endpoint.url())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::RawUrl;

    fn opened(url: &str) -> Result<String, Error> {
        Influx::open(&Target::with_defaults(RawUrl::new(url))).map(|sink| sink.to_string())
    }

    #[test]
    fn path_of_a_bare_host_follows_the_query() {
        for (url, name) in [
            ("influx+http://tsdb:8086?db=batch", "influx+http://tsdb:8086/write?db=batch"),
            (
                "influx+https://tsdb?org=team&bucket=batch",
                "influx+https://tsdb/api/v2/write?org=team&bucket=batch",
            ),
            ("influx+http://tsdb:8428/insert/write", "influx+http://tsdb:8428/insert/write"),
        ] {
            assert_eq!(opened(url).unwrap(), name);
        }
    }

    #[test]
    fn precision_in_the_url_is_an_error() {
        let error = opened("influx+http://tsdb?db=batch&precision=ns").unwrap_err();
        assert!(error.is_config() && error.to_string().contains("precision"), "{error}");
    }

    #[test]
    fn credentials_in_the_query_are_an_error_that_does_not_contain_them() {
        for parameter in ["u", "p", "token"] {
            let url = format!("influx+http://tsdb?db=batch&{parameter}=hunter2");
            let error = format!("{:?}", opened(&url).unwrap_err());
            assert!(error.contains("METRICS_PUSH_TOKEN") && !error.contains("hunter2"), "{error}");
        }
    }
}
