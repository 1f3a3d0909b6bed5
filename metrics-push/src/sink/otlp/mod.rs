//! `Otlp`: sends samples to a receiver of OTLP over HTTP, such as the OpenTelemetry Collector.
//!
//! A push and an add send the same data points, and a delete sends nothing: a receiver has no groups. Both verbs leave older
//! data points in place.

mod answers;
mod message;
mod response_message;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::answers::locate;
use super::compression::{CompressedBody, Compression};
use super::interface::{Accepted, Rejection, Semantics, SendFuture, Sink};
use super::post::{Endpoint, Post};
use super::sample_clock::{SampleClock, check_age};
use super::target::Target;
use crate::clock::Moment;
use crate::error::Error;
use crate::http::{EndpointRules, Response};
use crate::push_request::{Payload, Verb};

const RULES: EndpointRules = EndpointRules {
    prefix: "otlp+",
    default_path: |_| "/v1/metrics",
    reserved_headers: &[],
    token_scheme: "Bearer",
};

#[derive(Debug)]
pub(crate) struct Otlp {
    endpoint: Endpoint,
    compression: Compression,
    clock: SampleClock,
}

impl Otlp {
    /// Returns the sink for a target with the scheme `otlp+http` or `otlp+https`.
    ///
    /// # Errors
    /// `is_config` if the URL, a header or a TLS setting is invalid.
    pub(super) fn open(target: &Target) -> Result<Arc<dyn Sink>, Error> {
        let endpoint = Endpoint::open(target, RULES)?;
        let compression = target.encoding.compression();
        Ok(Arc::new(Self { endpoint, compression, clock: SampleClock::default() }))
    }

    async fn export(
        &self,
        payload: &Payload<'_>,
        timeout: Duration,
    ) -> Result<Accepted, Rejection> {
        if payload.verb() == Verb::Delete || payload.families().next().is_none() {
            return Ok(Accepted::Queued);
        }
        check_age(payload)?;
        let deadline = Moment::now().after(timeout);
        let url = self.endpoint.url();
        let times = self.clock.times(payload, url, self.post(Vec::new(), deadline)).await?;
        let message = message::encode(payload.key(), payload.families(), times);
        let response = self.post(message, deadline).await?;
        self.clock.read(&response, url);
        answers::read(response)
    }

    async fn post(&self, message: Vec<u8>, deadline: Moment) -> Result<Response, Rejection> {
        let CompressedBody { content_encoding, bytes } = self.compression.apply(message);
        let post = Post {
            content_type: answers::MEDIA_TYPE,
            content_encoding,
            headers: &[],
            query: None,
            body: &bytes,
        };
        self.endpoint.post(post, deadline.remaining()).await.map_err(Rejection::Failed)
    }
}

impl Sink for Otlp {
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
            let result = self.export(payload, timeout).await;
            locate(result, self.endpoint.url(), payload.key())
        })
    }
}

impl fmt::Display for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.endpoint.url())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::RawUrl;

    #[test]
    fn bare_host_gets_the_path_of_the_protocol() {
        for (url, name) in [
            ("otlp+http://collector:4318", "otlp+http://collector:4318/v1/metrics"),
            ("otlp+https://mimir/otlp/v1/metrics", "otlp+https://mimir/otlp/v1/metrics"),
        ] {
            let sink = Otlp::open(&Target::with_defaults(RawUrl::new(url))).unwrap();
            assert_eq!(sink.to_string(), name);
        }
    }
}
