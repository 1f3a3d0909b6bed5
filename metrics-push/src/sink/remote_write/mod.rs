//! `RemoteWrite`: sends samples to a receiver of Prometheus remote write.
//!
//! Prometheus, Mimir, Grafana Cloud, VictoriaMetrics, Thanos and InfluxDB 1 are such receivers. They store samples, not
//! groups. A push and an add send their values as samples of one time; a push and a delete end series that they do not
//! have.

mod answers;
mod encoding;
#[cfg(test)]
mod protocol;
mod sample_times;
mod snappy;
mod stale_series;
mod time_series;
mod version_1;
mod version_2;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use super::answers::{answer, locate};
use super::interface::{
    Accepted, Model, OnFailure, OnRepeat, Rejection, Semantics, SendFuture, Sink,
};
use super::post::{Endpoint, Post};
use super::remote_write_version::RemoteWriteVersion;
use super::series::counting_since;
use super::target::Target;
use crate::clock::Moment;
use crate::error::{Error, Kind};
use crate::http::{EndpointRules, Response};
use crate::log;
use crate::push_request::Payload;
use crate::sync::Mutex;
use answers::ANSWERS;
use encoding::{RequestTimes, encode};
use sample_times::{ClockReading, MAX_SAMPLE_AGE, RequestIdentity, SampleTimer};
use stale_series::{SentGroups, borrowed};
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

/// The client of one receiver.
#[derive(Debug)]
pub(crate) struct RemoteWrite {
    endpoint: Endpoint,
    /// Version 2.0 is configured, and the receiver has not shown that it does not support it.
    sends_version_2: AtomicBool,
    clock: Mutex<Option<ClockReading>>,
    /// The reading in the state directory.
    stored_clock: Mutex<Option<ClockReading>>,
    timer: Mutex<SampleTimer>,
    sent: Mutex<SentGroups>,
}

impl RemoteWrite {
    /// Returns the sink for a target with the scheme `remote-write+http` or `remote-write+https`.
    ///
    /// # Errors
    /// `is_config` if the URL, a header or a TLS setting is invalid.
    pub(super) fn open(target: &Target) -> Result<Arc<dyn Sink>, Error> {
        Ok(Arc::new(Self {
            endpoint: Endpoint::open(target, RULES)?,
            sends_version_2: AtomicBool::new(target.remote_write == RemoteWriteVersion::V2),
            clock: Mutex::default(),
            stored_clock: Mutex::default(),
            timer: Mutex::default(),
            sent: Mutex::default(),
        }))
    }

    async fn write(&self, payload: &Payload<'_>, timeout: Duration) -> Result<Accepted, Rejection> {
        let deadline = Moment::now().after(timeout);
        let (verb, key) = (payload.verb(), payload.key());
        let families = payload.families().map(|(name, text)| {
            SeriesFamily::read(key, name, text).ok_or_else(|| unreadable(name))
        });
        let mut families = families.collect::<Result<Vec<_>, _>>()?;
        let ended = self.sent.lock().ended_by(verb, key, &families);
        if families.is_empty() && ended.is_empty() {
            return Ok(Accepted::Queued);
        }
        let time = self.sample_time(payload, deadline).await?;
        let times = RequestTimes { time, start: counting_since(payload) };
        families.push(SeriesFamily::stale_markers(ended.iter().map(borrowed)));
        let accepted = self.send_series(&families, times, deadline).await?;
        families.pop();
        self.sent.lock().record(verb, key, &families);
        Ok(accepted)
    }

    /// Returns the time of a payload's samples.
    async fn sample_time(&self, payload: &Payload<'_>, deadline: Moment) -> Result<u64, Rejection> {
        let clock = self.clock_reading(deadline).await?;
        let now = Moment::now().unix_millis();
        let age = now.saturating_sub(payload.created_at());
        if Duration::from_millis(age) > MAX_SAMPLE_AGE {
            let error = Error::new(Kind::Metric, "the samples are older than receivers accept");
            return Err(Rejection::TooOld(error));
        }
        let request = RequestIdentity::new(payload);
        Ok(self.timer.lock().time(payload.key(), request, clock, now))
    }

    /// Returns a valid reading of the receiver's clock. Sends an empty request if there is none.
    async fn clock_reading(&self, deadline: Moment) -> Result<ClockReading, Rejection> {
        let now = Moment::now().unix_millis();
        let reading = self.clock.lock().filter(|reading| reading.is_valid(now));
        if let Some(reading) = reading {
            return Ok(reading);
        }
        let response = self.post(self.version(), &[], deadline).await?;
        Ok(self.read_clock(&response))
    }

    /// Compares the clock of this machine with that of a response.
    fn read_clock(&self, response: &Response) -> ClockReading {
        let date = response.headers.date().and_then(|date| date.duration_since(UNIX_EPOCH).ok());
        let receiver = date.and_then(|date| u64::try_from(date.as_millis()).ok());
        let reading = ClockReading::new(Moment::now().unix_millis(), receiver);
        let previous = self.clock.lock().replace(reading);
        let is_new = previous.and_then(ClockReading::wrong_by).is_none();
        if let (Some(ahead), true) = (reading.wrong_by(), is_new) {
            log::warn(format_args!(
                "the clock of this machine is {} s ahead of that of {}: samples have the time of the receiver; \
                 set the clock of this machine, for example with NTP",
                ahead.as_secs(),
                self.endpoint.url()
            ));
        }
        reading
    }

    /// Sends series, in several requests if there are many. Falls back to version 1.0 if the receiver does not support 2.0.
    async fn send_series(
        &self,
        families: &[SeriesFamily<'_>],
        times: RequestTimes,
        deadline: Moment,
    ) -> Result<Accepted, Rejection> {
        let version = self.version();
        for message in encode(version, families, times) {
            let response = self.post(version, &message, deadline).await?;
            self.read_clock(&response);
            if version == RemoteWriteVersion::V2 && !has_version_2(&response) {
                self.switch_to_version_1();
                return Box::pin(self.send_series(families, times, deadline)).await;
            }
            answer(&response, ANSWERS, "a receiver of remote write")?;
        }
        Ok(Accepted::Queued)
    }

    async fn post(
        &self,
        version: RemoteWriteVersion,
        message: &[u8],
        deadline: Moment,
    ) -> Result<Response, Rejection> {
        let (content_type, headers): (_, &[_]) = match version {
            RemoteWriteVersion::V1 => ("application/x-protobuf", &[(VERSION_HEADER, "0.1.0")]),
            RemoteWriteVersion::V2 => (
                "application/x-protobuf;proto=io.prometheus.write.v2.Request",
                &[(VERSION_HEADER, "2.0.0")],
            ),
        };
        let body = snappy::compress(message).map_err(Rejection::InvalidMetrics)?;
        let content_encoding = Some("snappy");
        let post = Post { content_type, content_encoding, headers, query: None, body: &body };
        self.endpoint.post(post, deadline.remaining()).await.map_err(Rejection::Failed)
    }

    fn version(&self) -> RemoteWriteVersion {
        if self.sends_version_2.load(Ordering::Relaxed) {
            RemoteWriteVersion::V2
        } else {
            RemoteWriteVersion::V1
        }
    }

    fn switch_to_version_1(&self) {
        if self.sends_version_2.swap(false, Ordering::Relaxed) {
            log::warn(format_args!(
                "{} does not support remote write 2.0, so this process sends version 1.0 from now on; unset \
                 METRICS_PUSH_REMOTE_WRITE",
                self.endpoint.url()
            ));
        }
    }
}

/// Returns false if the receiver does not support version 2.0. A receiver of version 1.0 may read a message of version 2.0
/// as an empty one and report a success.
fn has_version_2(response: &Response) -> bool {
    match response.status {
        200..=299 => response.headers.get(WRITTEN_HEADER).is_some(),
        status => status != 415,
    }
}

fn unreadable(name: &str) -> Rejection {
    let error = Error::new(Kind::Metric, "the metric is not in the text format");
    Rejection::InvalidMetrics(error.at("metric", name))
}

impl Sink for RemoteWrite {
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

    fn restore(&self, state: &str) {
        let reading = ClockReading::parse(state);
        *self.stored_clock.lock() = reading;
        *self.clock.lock() = reading;
    }

    fn take_state(&self) -> Option<String> {
        let reading = (*self.clock.lock())?;
        let mut stored = self.stored_clock.lock();
        if stored.is_some_and(|stored| !reading.must_replace(stored)) {
            return None;
        }
        *stored = Some(reading);
        Some(reading.to_string())
    }

    fn send<'a>(&'a self, payload: &'a Payload<'a>, timeout: Duration) -> SendFuture<'a> {
        Box::pin(async move {
            let result = self.write(payload, timeout).await;
            locate(result, self.endpoint.url(), payload.key())
        })
    }
}

impl fmt::Display for RemoteWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.endpoint.url())
    }
}
