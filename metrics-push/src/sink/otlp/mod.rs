//! `Otlp`: sends samples to a receiver of OTLP over HTTP, such as the OpenTelemetry Collector.
//!
//! A push and an add send the same data points, and a delete sends nothing: a receiver has no groups. Both verbs leave older
//! data points in place.

mod answers;
mod message;
mod response_message;

use std::sync::Arc;

use super::compression::{CompressedBody, Compression};
use super::interface::{Accepted, Rejection, Sink};
use super::post::Post;
use super::sample_clock::check_age;
use super::sample_sink::{SampleProtocol, SampleServer, SampleSink};
use super::target::Target;
use crate::clock::Moment;
use crate::error::Error;
use crate::http::EndpointRules;
use crate::push_request::{Payload, Verb};

pub(super) use message::encode;

const RULES: EndpointRules = EndpointRules {
    prefix: "otlp+",
    default_path: |_| "/v1/metrics",
    reserved_headers: &[],
    token_scheme: "Bearer",
};

#[derive(Debug)]
struct Otlp {
    compression: Compression,
}

/// Returns the sink for a target with the scheme `otlp+http` or `otlp+https`.
///
/// # Errors
/// `is_config` if the URL, a header or a TLS setting is invalid.
pub(super) fn open(target: &Target) -> Result<Arc<dyn Sink>, Error> {
    let server = SampleServer::open(target, RULES)?;
    let protocol = Otlp { compression: target.encoding.compression() };
    Ok(Arc::new(SampleSink { server, protocol }))
}

impl SampleProtocol for Otlp {
    async fn send(
        &self,
        server: &SampleServer,
        payload: &Payload<'_>,
        deadline: Moment,
    ) -> Result<Accepted, Rejection> {
        if payload.verb() == Verb::Delete || payload.families().next().is_none() {
            return Ok(Accepted::Queued);
        }
        check_age(payload)?;
        let times = server.times(payload, post(CompressedBody::default()), deadline).await?;
        let call = |bytes| async {
            let body = self.compression.apply(bytes);
            answers::read(server.post(post(body), deadline).await?)
        };
        let mut accepted = Accepted::Queued;
        for samples in encode(payload, times) {
            let answer = server.send(samples, deadline, call).await?;
            if let Accepted::Partially(_) = answer {
                accepted = answer;
            }
        }
        Ok(accepted)
    }
}

fn post(body: CompressedBody) -> Post {
    Post {
        content_type: answers::MEDIA_TYPE,
        content_encoding: body.content_encoding,
        headers: &[],
        query: None,
        body: body.bytes.into(),
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
            let sink = open(&Target::with_defaults(RawUrl::new(url))).unwrap();
            assert_eq!(sink.to_string(), name);
        }
    }
}
