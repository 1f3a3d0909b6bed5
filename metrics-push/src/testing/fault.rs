//! Faults: the ways in which a gateway, or a proxy in front of it, can fail a request.
//!
//! A queued fault applies to a number of matching requests. A permanent fault applies to all matching requests until the
//! gateway is healed.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::http::{HttpResponse, Request};

/// A way in which a [`FakeGateway`](crate::testing::FakeGateway) or a [`FakeReceiver`](crate::testing::FakeReceiver) fails a
/// request. For a receiver, "push" stands for a request with samples.
///
/// Pass a fault to [`FakeGateway::fail_next`](crate::testing::FakeGateway::fail_next) to fail a number of requests, or to
/// [`FakeGateway::fault`](crate::testing::FakeGateway::fault) to fail all requests until the gateway is healed.
///
/// | constructor | the push is stored | the client gets |
/// | --- | --- | --- |
/// | [`status`](Self::status), [`redirect`](Self::redirect) | no | this status |
/// | [`close`](Self::close) | no | no response: the connection is closed |
/// | [`hang`](Self::hang) | no | no response: the connection stays open |
/// | [`endless`](Self::endless) | no | a response whose body does not end |
/// | [`stall`](Self::stall) | yes | the correct response, late |
/// | [`drip`](Self::drip) | yes | the correct response, slowly |
/// | [`cut_off`](Self::cut_off) | yes | the beginning of the correct response |
///
/// # Examples
///
/// ```
/// use metrics_push::testing::{FakeGateway, Fault};
///
/// let gateway = FakeGateway::start();
/// // The next two requests get a 503.
/// gateway.fail_next(2, Fault::status(503).header("Retry-After", "1"));
/// // The third is stored, but its response is lost.
/// gateway.fail_next(1, Fault::close().after_storing());
/// ```
#[derive(Clone)]
pub struct Fault {
    pub(super) effect: FaultEffect,
    pub(super) storing: Storing,
    condition: Option<Condition>,
}

type Condition = Arc<dyn Fn(&Request) -> bool + Send + Sync>;

/// What the client receives.
#[derive(Clone, Debug)]
pub(super) enum FaultEffect {
    Respond(HttpResponse),
    Close,
    CutOff(usize),
    Drip(Duration),
    Endless,
    Hang,
    Stall(Duration),
}

/// Whether the gateway handles the request in spite of the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storing {
    Yes,
    No,
}

impl Fault {
    /// Responds with this status and stores nothing.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::new(FaultEffect::Respond(HttpResponse::new(status)), Storing::No)
    }

    /// Responds with a redirect to `location` and stores nothing.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("Location", location)
    }

    /// Waits for `pause`, then stores the push and responds correctly.
    ///
    /// The push is stored even if the client has disconnected by then.
    #[must_use]
    pub fn stall(pause: Duration) -> Self {
        Self::new(FaultEffect::Stall(pause), Storing::Yes)
    }

    /// Stores nothing and never responds.
    ///
    /// The connection stays open until the gateway is healed or dropped.
    #[must_use]
    pub fn hang() -> Self {
        Self::new(FaultEffect::Hang, Storing::No)
    }

    /// Stores the push and sends the correct response one byte at a time, with a pause before each byte.
    #[must_use]
    pub fn drip(pause: Duration) -> Self {
        Self::new(FaultEffect::Drip(pause), Storing::Yes)
    }

    /// Stores the push and closes the connection after the first `bytes` bytes of the correct response.
    #[must_use]
    pub fn cut_off(bytes: usize) -> Self {
        Self::new(FaultEffect::CutOff(bytes), Storing::Yes)
    }

    /// Reads the request, stores nothing, and closes the connection without a response.
    #[must_use]
    pub fn close() -> Self {
        Self::new(FaultEffect::Close, Storing::No)
    }

    /// Stores nothing and responds with a 200 whose body does not end.
    ///
    /// The connection is closed when the client disconnects, or when the gateway is healed or dropped.
    #[must_use]
    pub fn endless() -> Self {
        Self::new(FaultEffect::Endless, Storing::No)
    }

    /// Adds a header to the response of [`status`](Self::status) or [`redirect`](Self::redirect).
    ///
    /// # Panics
    ///
    /// Panics if another constructor created the fault.
    #[must_use]
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.response().headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body of the response of [`status`](Self::status) or [`redirect`](Self::redirect).
    ///
    /// # Panics
    ///
    /// Panics if another constructor created the fault.
    #[must_use]
    #[track_caller]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.response().body = body.into();
        self
    }

    /// Stores the push before the fault occurs, so that only the response is wrong.
    #[must_use]
    pub const fn after_storing(mut self) -> Self {
        self.storing = Storing::Yes;
        self
    }

    /// Limits the fault to requests for which `condition` returns true.
    ///
    /// Other requests are handled correctly and are not counted by
    /// [`fail_next`](crate::testing::FakeGateway::fail_next).
    #[must_use]
    pub fn when(mut self, condition: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        self.condition = Some(Arc::new(condition));
        self
    }

    const fn new(effect: FaultEffect, storing: Storing) -> Self {
        Self { effect, storing, condition: None }
    }

    #[track_caller]
    fn response(&mut self) -> &mut HttpResponse {
        match &mut self.effect {
            FaultEffect::Respond(response) => response,
            effect => panic!(
                "a header or body is not supported on {effect:?}; use Fault::status or Fault::redirect"
            ),
        }
    }

    fn applies_to(&self, request: &Request) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition(request))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("effect", &self.effect)
            .field("storing", &self.storing)
            .finish_non_exhaustive()
    }
}

/// The faults of future requests.
#[derive(Debug, Default)]
pub(super) struct FaultQueue {
    next: VecDeque<(usize, Fault)>,
    permanent: Option<Fault>,
}

impl FaultQueue {
    pub(super) fn add_next(&mut self, times: usize, fault: Fault) {
        self.next.push_back((times, fault));
    }

    pub(super) fn set_permanent(&mut self, fault: Fault) {
        self.permanent = Some(fault);
    }

    /// Returns the fault of this request, and counts it as used.
    pub(super) fn take(&mut self, request: &Request) -> Option<Fault> {
        self.next.retain(|(times, _)| *times > 0);
        let queued = self.next.iter_mut().find(|(_, fault)| fault.applies_to(request));
        if let Some((times, fault)) = queued {
            *times -= 1;
            return Some(fault.clone());
        }
        self.permanent.clone().filter(|fault| fault.applies_to(request))
    }
}
