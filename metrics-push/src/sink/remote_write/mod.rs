//! `RemoteWrite`: sends samples to a receiver of Prometheus remote write.
//!
//! Prometheus, Mimir, Grafana Cloud, VictoriaMetrics, Thanos and InfluxDB 1 are such receivers. They store samples, not
//! groups. A push and an add send their values as samples of one time; a push and a delete end series that they do not
//! have.

mod answers;
mod encoding;
mod message;
#[cfg(test)]
mod protocol;
mod snappy;
mod stale_series;
mod time_series;
mod version_1;
mod version_2;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::answers::answer;
use super::interface::{Accepted, RecordSeries, Rejection, Sink};
use super::outbox::Outbox;
use super::post::Post;
use super::remote_write_version::RemoteWriteVersion;
use super::sample_clock::check_age;
use super::sample_sink::{SampleProtocol, SampleServer, SampleSink};
use super::sample_times::RequestTimes;
use super::target::Target;
use crate::clock::Moment;
use crate::error::Error;
use crate::http::{EndpointRules, Response};
use crate::log;
use crate::push_request::Payload;
use answers::ANSWERS;
use encoding::{encode, unreadable};
use stale_series::SentGroups;
use time_series::SeriesFamily;

const RULES: EndpointRules = EndpointRules {
    prefix: "remote-write+",
    default_path: |_| "/api/v1/write",
    reserved_headers: &[VERSION_HEADER, "user-agent"],
    token_scheme: "Bearer",
};

const VERSION_HEADER: &str = "x-prometheus-remote-write-version";

/// The header in which a receiver of version 2.0 reports how many samples it has stored.
const WRITTEN_HEADER: &str = "x-prometheus-remote-write-samples-written";

/// The state of the protocol for one receiver.
#[derive(Debug)]
struct RemoteWrite {
    /// Version 2.0 is configured, and the receiver has not shown that it does not support it.
    sends_version_2: AtomicBool,
    /// The messages of version 2.0, which cannot be in one call with others.
    version_2_outbox: Outbox,
    sent: SentGroups,
}

/// Returns the sink for a target with the scheme `remote-write+http` or `remote-write+https`.
///
/// # Errors
/// `is_config` if the URL, a header or a TLS setting is invalid.
pub(super) fn open(target: &Target) -> Result<Arc<dyn Sink>, Error> {
    let server = SampleServer::open(target, RULES)?;
    let sends_version_2 = AtomicBool::new(target.remote_write == RemoteWriteVersion::V2);
    let (version_2_outbox, sent) = (Outbox::default(), SentGroups::default());
    let protocol = RemoteWrite { sends_version_2, version_2_outbox, sent };
    Ok(Arc::new(SampleSink { server, protocol }))
}

impl SampleProtocol for RemoteWrite {
    async fn send(
        &self,
        server: &SampleServer,
        payload: &Payload<'_>,
        deadline: Moment,
    ) -> Result<Accepted, Rejection> {
        let (verb, key) = (payload.verb(), payload.key());
        let families = payload.families().map(|(name, text)| {
            let family = SeriesFamily::read(key, name, text).ok_or_else(|| unreadable(name))?;
            Ok(match payload.total_before(name) {
                Some(total) => family.with_total_before(key, total),
                None => family,
            })
        });
        let mut families = families.collect::<Result<Vec<_>, Rejection>>()?;
        let series = self.sent.ending_series(key, &families);
        let ended = self.sent.ended_by(verb, key, &series);
        if families.is_empty() && ended.is_empty() {
            return Ok(Accepted::Queued);
        }
        check_age(payload)?;
        let empty = compressed(&[])?;
        let times = server.times(payload, post(self.version(), empty), deadline).await?;
        families.push(SeriesFamily::stale_markers(key, ended.iter().map(String::as_str)));
        let accepted = self.send_series(server, &families, times, deadline).await?;
        self.sent.record(verb, key, series);
        Ok(accepted)
    }

    fn sent_groups(&self) -> Option<&dyn RecordSeries> {
        Some(&self.sent)
    }
}

impl RemoteWrite {
    /// Sends series, in several requests if there are many. Falls back to version 1.0 if the receiver does not support 2.0.
    async fn send_series(
        &self,
        server: &SampleServer,
        families: &[SeriesFamily<'_>],
        times: RequestTimes,
        deadline: Moment,
    ) -> Result<Accepted, Rejection> {
        let version = self.version();
        for samples in encode(version, families, times) {
            let samples = samples?;
            if version == RemoteWriteVersion::V1 {
                server
                    .send(samples, deadline, |bytes| send_version_1(server, bytes, deadline))
                    .await?;
                continue;
            }
            let call = |bytes| self.send_version_2(server, bytes, deadline);
            let answer = self.version_2_outbox.send(samples, deadline, call).await;
            if answer.is_err() && self.version() != version {
                return Box::pin(self.send_series(server, families, times, deadline)).await;
            }
            answer?;
        }
        Ok(Accepted::Queued)
    }

    /// Sends several messages of version 2.0. If the receiver does not support it, all of them must be sent again.
    async fn send_version_2(
        &self,
        server: &SampleServer,
        messages: Vec<u8>,
        deadline: Moment,
    ) -> Result<Accepted, Rejection> {
        // They are always valid.
        let message = version_2::merged(&messages).unwrap_or(messages);
        let body = compressed(&message)?;
        let response = server.post(post(RemoteWriteVersion::V2, body), deadline).await?;
        if has_version_2(&response) {
            return read(&response);
        }
        Err(Rejection::Failed(self.switch_to_version_1(server.url())))
    }

    fn version(&self) -> RemoteWriteVersion {
        if self.sends_version_2.load(Ordering::Relaxed) {
            RemoteWriteVersion::V2
        } else {
            RemoteWriteVersion::V1
        }
    }

    /// Sends version 1.0 from now on. Returns the reason.
    fn switch_to_version_1(&self, url: &str) -> Error {
        let error = Error::config("the receiver does not support remote write 2.0")
            .at("url", url)
            .remedy("unset METRICS_PUSH_REMOTE_WRITE");
        if self.sends_version_2.swap(false, Ordering::Relaxed) {
            log::warn(format_args!("{error:?}; this process sends version 1.0"));
        }
        error
    }
}

async fn send_version_1(
    server: &SampleServer,
    message: Vec<u8>,
    deadline: Moment,
) -> Result<Accepted, Rejection> {
    let body = compressed(&message)?;
    read(&server.post(post(RemoteWriteVersion::V1, body), deadline).await?)
}

fn read(response: &Response) -> Result<Accepted, Rejection> {
    answer(response, ANSWERS, "a receiver of remote write")
}

fn compressed(message: &[u8]) -> Result<Vec<u8>, Rejection> {
    snappy::compress(message).map_err(Rejection::InvalidMetrics)
}

fn post(version: RemoteWriteVersion, body: Vec<u8>) -> Post {
    let (content_type, headers): (_, &[_]) = match version {
        RemoteWriteVersion::V1 => ("application/x-protobuf", &[(VERSION_HEADER, "0.1.0")]),
        RemoteWriteVersion::V2 => (
            "application/x-protobuf;proto=io.prometheus.write.v2.Request",
            &[(VERSION_HEADER, "2.0.0")],
        ),
    };
    Post { content_type, content_encoding: Some("snappy"), headers, query: None, body: body.into() }
}

/// Returns false if the receiver does not support version 2.0. A receiver of version 1.0 may read a message of version 2.0
/// as an empty one and report a success.
fn has_version_2(response: &Response) -> bool {
    match response.status {
        200..=299 => response.headers.get(WRITTEN_HEADER).is_some(),
        status => status != 415,
    }
}
