//! `Influx`: sends samples to InfluxDB, and to servers that accept its line protocol.
//!
//! A push and an add send the same lines, and a delete sends nothing: InfluxDB has no groups. Both verbs leave older points
//! in place.

mod answers;
mod line;

use std::sync::Arc;

use super::answers::answer;
use super::compression::{CompressedBody, Compression};
use super::interface::{Accepted, Rejection, Sink};
use super::outbox::EncodedSamples;
use super::post::Post;
use super::sample_sink::{SampleProtocol, SampleServer, SampleSink};
use super::target::Target;
use crate::clock::Moment;
use crate::error::Error;
use crate::http::EndpointRules;
use crate::push_request::{Payload, Verb};
use answers::ANSWERS;
pub(super) use line::encode;

const RULES: EndpointRules =
    EndpointRules { prefix: "influx+", default_path, reserved_headers: &[], token_scheme: "Token" };

/// The parameter for the unit of times, which are in milliseconds.
const PRECISION: &str = "precision=ms";

#[derive(Debug)]
struct Influx {
    compression: Compression,
}

/// Returns the sink for a target with the scheme `influx+http` or `influx+https`.
///
/// # Errors
/// `is_config` if the URL, a header or a TLS setting is invalid.
pub(super) fn open(target: &Target) -> Result<Arc<dyn Sink>, Error> {
    let server = SampleServer::open(target, RULES)?;
    if has_parameter(server.url(), "precision") {
        return Err(Error::config("invalid URL: the parameter \"precision\" is set by every push")
            .at("url", server.url())
            .remedy("remove it from the URL"));
    }
    let protocol = Influx { compression: target.encoding.compression() };
    Ok(Arc::new(SampleSink { server, protocol }))
}

impl SampleProtocol for Influx {
    async fn send(
        &self,
        server: &SampleServer,
        payload: &Payload<'_>,
        deadline: Moment,
    ) -> Result<Accepted, Rejection> {
        if payload.verb() == Verb::Delete {
            return Ok(Accepted::Queued);
        }
        let times = server.times(payload, post(CompressedBody::default()), deadline).await?;
        let mut lines = String::new();
        if let Some(before) = times.before_run() {
            let totals = payload
                .families()
                .filter_map(|(name, _)| Some((name, payload.total_before(name)?.text.as_str())));
            lines = encode(payload.key(), totals, before);
        }
        lines += &encode(payload.key(), payload.families(), times.time);
        if lines.is_empty() {
            return Ok(Accepted::Queued);
        }
        let series = lines.lines().count();
        let samples = EncodedSamples { bytes: lines.into_bytes(), series };
        let call = |bytes| async {
            let body = self.compression.apply(bytes);
            let response = server.post(post(body), deadline).await?;
            answer(&response, ANSWERS, "InfluxDB")
        };
        server.send(samples, deadline, call).await
    }
}

fn post(body: CompressedBody) -> Post {
    Post {
        content_type: "text/plain; charset=utf-8",
        content_encoding: body.content_encoding,
        headers: &[],
        query: Some(PRECISION),
        body: body.bytes.into(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::RawUrl;

    fn opened(url: &str) -> Result<String, Error> {
        open(&Target::with_defaults(RawUrl::new(url))).map(|sink| sink.to_string())
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
