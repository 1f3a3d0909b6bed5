//! Faults by script: what a gateway, or whatever stands in front of it, can do to a push.
//!
//! A fault applies to the next requests that fit, or to all of them until the gateway is healed.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::http::{Request, Response};

/// Something that goes wrong with a request.
///
/// Give it to [`FakeGateway::fail_next`](super::FakeGateway::fail_next) or [`FakeGateway::fault`](super::FakeGateway::fault).
///
/// ```
/// use metrics_push::testing::{FakeGateway, Fault};
///
/// let gateway = FakeGateway::start();
/// gateway.fail_next(2, Fault::status(503).header("Retry-After", "1"));
/// gateway.fail_next(1, Fault::close().after_storing());
/// ```
#[derive(Clone)]
pub struct Fault {
    pub(super) effect: Effect,
    pub(super) storing: Storing,
    applies: Option<Condition>,
}

type Condition = Arc<dyn Fn(&Request) -> bool + Send + Sync>;

/// What the client gets to see.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    Answer(Response),
    Close,
    CutOff(usize),
    Drip(Duration),
    Endless,
    Hang,
    Stall(Duration),
}

/// Whether the request has its effect on the gateway nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storing {
    Yes,
    No,
}

impl Fault {
    /// Answers with this status and nothing stored.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let response = Response::new(status);
        Self::new(Effect::Answer(response), Storing::No)
    }

    /// Answers with a redirect and nothing stored.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("Location", location)
    }

    /// Waits, then does what was asked and answers properly, even if nobody waits any more.
    #[must_use]
    pub fn stall(pause: Duration) -> Self {
        Self::new(Effect::Stall(pause), Storing::Yes)
    }

    /// Stores nothing and never answers; the connection closes when the gateway is healed or dropped.
    #[must_use]
    pub fn hang() -> Self {
        Self::new(Effect::Hang, Storing::No)
    }

    /// Does what was asked, and answers byte by byte with a pause before each.
    #[must_use]
    pub fn drip(pause: Duration) -> Self {
        Self::new(Effect::Drip(pause), Storing::Yes)
    }

    /// Does what was asked, and closes the connection after that many bytes of the answer.
    #[must_use]
    pub fn cut_off(bytes: usize) -> Self {
        Self::new(Effect::CutOff(bytes), Storing::Yes)
    }

    /// Reads the request, stores nothing, and closes the connection without an answer.
    #[must_use]
    pub fn close() -> Self {
        Self::new(Effect::Close, Storing::No)
    }

    /// Stores nothing, and answers with a 200 whose body never ends.
    #[must_use]
    pub fn endless() -> Self {
        Self::new(Effect::Endless, Storing::No)
    }

    /// The same with one more header on a [`status`](Self::status) or [`redirect`](Self::redirect).
    ///
    /// # Panics
    /// If the fault answers with no status of its own.
    #[must_use]
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.response().headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a body on a [`status`](Self::status) or [`redirect`](Self::redirect).
    ///
    /// # Panics
    /// If the fault answers with no status of its own.
    #[must_use]
    #[track_caller]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.response().body = body.into();
        self
    }

    /// The same, but the gateway has done what was asked: only the answer is wrong.
    #[must_use]
    pub const fn after_storing(mut self) -> Self {
        self.storing = Storing::Yes;
        self
    }

    /// The same for the requests that fit; others are answered properly and do not count.
    #[must_use]
    pub fn when(mut self, fits: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        self.applies = Some(Arc::new(fits));
        self
    }

    const fn new(effect: Effect, storing: Storing) -> Self {
        Self { effect, storing, applies: None }
    }

    #[track_caller]
    fn response(&mut self) -> &mut Response {
        match &mut self.effect {
            Effect::Answer(response) => response,
            effect => panic!("{effect:?} has no answer of its own to change"),
        }
    }

    fn fits(&self, request: &Request) -> bool {
        self.applies.as_ref().is_none_or(|fits| fits(request))
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

/// The faults to come.
#[derive(Debug, Default)]
pub(super) struct Script {
    next: VecDeque<(usize, Fault)>,
    lasting: Option<Fault>,
}

impl Script {
    pub(super) fn add_next(&mut self, times: usize, fault: Fault) {
        self.next.push_back((times, fault));
    }

    pub(super) fn set_lasting(&mut self, fault: Fault) {
        self.lasting = Some(fault);
    }

    /// The fault for this request, which uses it up.
    pub(super) fn take(&mut self, request: &Request) -> Option<Fault> {
        self.next.retain(|(times, _)| *times > 0);
        if let Some((times, fault)) = self.next.iter_mut().find(|(_, fault)| fault.fits(request)) {
            *times -= 1;
            return Some(fault.clone());
        }
        self.lasting.clone().filter(|fault| fault.fits(request))
    }
}
