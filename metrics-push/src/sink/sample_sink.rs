//! `SampleSink`: a server that stores samples, and the protocol by which it receives them.

use std::fmt;
use std::time::Duration;

use tokio::sync::Mutex;

use super::answers::locate;
use super::interface::{Accepted, RecordSeries, Rejection, Semantics, SendFuture, Sink};
use super::outbox::{EncodedSamples, Outbox};
use super::post::{Endpoint, Post};
use super::sample_clock::SampleClock;
use super::sample_times::{ClockReading, RequestTimes};
use super::target::Target;
use crate::clock::Moment;
use crate::error::Error;
use crate::http::{EndpointRules, Response};
use crate::push_request::Payload;

/// Encodes requests with samples and reads the responses.
pub(super) trait SampleProtocol: fmt::Debug + Send + Sync {
    /// Makes one attempt to send the samples of a payload.
    ///
    /// # Errors
    /// If the server did not accept the samples.
    fn send(
        &self,
        server: &SampleServer,
        payload: &Payload<'_>,
        deadline: Moment,
    ) -> impl Future<Output = Result<Accepted, Rejection>> + Send;

    /// Returns the record of the series that were sent, if the protocol can end series.
    fn sent_groups(&self) -> Option<&dyn RecordSeries> {
        None
    }
}

/// A server and its clock.
#[derive(Debug)]
pub(super) struct SampleServer {
    endpoint: Endpoint,
    clock: SampleClock,
    /// Locked while the clock of the server is read, so that many requests at once read it once.
    reading: Mutex<()>,
    outbox: Outbox,
}

impl SampleServer {
    /// Returns the server of a target.
    ///
    /// # Errors
    /// `is_config` if the URL, a header or a TLS setting is invalid.
    pub(super) fn open(target: &Target, rules: EndpointRules) -> Result<Self, Error> {
        let endpoint = Endpoint::open(target, rules)?;
        let (clock, reading) = (SampleClock::default(), Mutex::default());
        Ok(Self { endpoint, clock, reading, outbox: Outbox::default() })
    }

    /// Returns the URL without credentials.
    pub(super) fn url(&self) -> &str {
        self.endpoint.url()
    }

    /// Returns the times of a payload's samples. `empty` is a request without samples, which is sent if the clock of the
    /// server has not been read recently.
    ///
    /// # Errors
    /// If the server does not respond to the empty request.
    pub(super) async fn times(
        &self,
        payload: &Payload<'_>,
        empty: Post,
        deadline: Moment,
    ) -> Result<RequestTimes, Rejection> {
        let reading = match self.clock.valid_reading() {
            Some(reading) => reading,
            None => self.read_clock(empty, deadline).await?,
        };
        Ok(self.clock.times(payload, reading))
    }

    async fn read_clock(&self, empty: Post, deadline: Moment) -> Result<ClockReading, Rejection> {
        let turn = tokio::time::timeout(deadline.remaining(), self.reading.lock()).await;
        match self.clock.valid_reading() {
            // Another request has read it.
            Some(reading) if turn.is_ok() => Ok(reading),
            // Without a turn, no time is left, and the request fails.
            _ => Ok(self.exchange(empty, deadline).await?.1),
        }
    }

    /// Sends samples, in one call with those of other requests that wait. `call` makes a call with the bytes of several
    /// messages, or of one.
    ///
    /// # Errors
    /// If the server did not accept the samples.
    pub(super) async fn send<F: Future<Output = Result<Accepted, Rejection>> + Send>(
        &self,
        samples: EncodedSamples,
        deadline: Moment,
        call: impl Fn(Vec<u8>) -> F + Sync,
    ) -> Result<Accepted, Rejection> {
        self.outbox.send(samples, deadline, call).await
    }

    /// Posts a request.
    ///
    /// # Errors
    /// If the server does not respond. A response with any status is `Ok`.
    pub(super) async fn post(&self, post: Post, deadline: Moment) -> Result<Response, Rejection> {
        Ok(self.exchange(post, deadline).await?.0)
    }

    async fn exchange(
        &self,
        post: Post,
        deadline: Moment,
    ) -> Result<(Response, ClockReading), Rejection> {
        let response = self.endpoint.post(post, deadline.remaining()).await;
        let response = response.map_err(Rejection::Failed)?;
        let reading = self.clock.read(&response, self.url());
        Ok((response, reading))
    }
}

/// The sink for one server.
#[derive(Debug)]
pub(super) struct SampleSink<P> {
    pub(super) server: SampleServer,
    pub(super) protocol: P,
}

impl<P: SampleProtocol> Sink for SampleSink<P> {
    fn semantics(&self) -> Semantics {
        Semantics::SAMPLES
    }

    fn prepare(&self) {
        self.server.endpoint.prepare();
    }

    fn restore(&self, state: &str) {
        self.server.clock.restore(state);
    }

    fn take_state(&self) -> Option<String> {
        self.server.clock.take_state()
    }

    fn send<'a>(&'a self, payload: &'a Payload<'a>, timeout: Duration) -> SendFuture<'a> {
        let deadline = Moment::now().after(timeout);
        Box::pin(async move {
            let SampleServer { clock, .. } = &self.server;
            let send = || self.protocol.send(&self.server, payload, deadline);
            let was_behind = clock.is_behind();
            let mut result = send().await;
            let is_late = matches!(result, Err(Rejection::TooOld(_) | Rejection::Superseded(_)));
            if is_late && !was_behind && clock.set_behind(payload, self.server.url()) {
                result = send().await;
            }
            locate(result, self.server.url(), payload.key())
        })
    }

    fn sent_groups(&self) -> Option<&dyn RecordSeries> {
        self.protocol.sent_groups()
    }
}

impl<P> fmt::Display for SampleSink<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.server.url())
    }
}
