//! `Measure`: a measurement of one call, and the guards that report its outcome if the body does not return.
//!
//! A body that does not return has panicked. `thread::panicking` cannot show this, because a destructor may call an
//! annotated function while the thread unwinds. Only [`Guard`] uses `thread::panicking`, because a guard is dropped
//! both if the body returns and if it panics.

use std::borrow::Borrow;
use std::fmt::Debug;
use std::mem::ManuallyDrop;
use std::thread;

use super::counted::CountedCall;
use super::run::PreparedRun;
use super::timed::{PreparedTime, TimedCall};
use crate::job::{Outcome, Run, Verdict};
use crate::log::EnteredRunSpan;

/// A measurement that ends with an outcome: a counted call, a timed call or a run.
pub trait Measure {
    /// Leaves the span of the measurement when dropped.
    type Span;

    /// Enters the span of the measurement on this thread.
    fn enter_span(&self) -> Self::Span;

    /// Describes the failure with which the measurement ends next.
    #[inline]
    fn set_error<E: Debug>(&self, _: &E) {}

    /// Ends the measurement.
    fn finish(self, verdict: Verdict);
}

/// A measurement that is prepared when a function is called and starts when its future is first polled.
pub trait Prepare {
    /// The started measurement.
    type Call: Measure;

    /// Starts the measurement.
    fn enter(self) -> Self::Call;
}

/// A run, or a reference to one.
impl<R: Borrow<Run>> Measure for R {
    type Span = EnteredRunSpan;

    #[inline]
    fn enter_span(&self) -> EnteredRunSpan {
        self.borrow().enter_span()
    }

    #[inline]
    fn set_error<E: Debug>(&self, error: &E) {
        self.borrow().record_error(error);
    }

    #[inline]
    fn finish(self, verdict: Verdict) {
        self.borrow().conclude(verdict);
    }
}

impl Measure for CountedCall {
    type Span = ();

    #[inline]
    fn enter_span(&self) {}

    #[inline]
    fn finish(self, verdict: Verdict) {
        Self::finish(self, verdict.outcome);
    }
}

impl Measure for TimedCall {
    type Span = ();

    #[inline]
    fn enter_span(&self) {}

    #[inline]
    fn finish(self, verdict: Verdict) {
        Self::finish(self, verdict.outcome);
    }
}

impl Prepare for CountedCall {
    type Call = Self;

    #[inline]
    fn enter(self) -> Self {
        self
    }
}

impl Prepare for PreparedTime {
    type Call = TimedCall;

    #[inline]
    fn enter(self) -> TimedCall {
        Self::enter(self)
    }
}

impl Prepare for PreparedRun {
    type Call = Run;

    #[inline]
    fn enter(self) -> Run {
        self.start()
    }
}

/// Returns a guard for a function that never returns. Dropping the guard reports a panic.
#[inline]
pub fn armed<C: Measure>(call: C) -> Armed<C> {
    Armed(Some(call))
}

/// Returns a guard that ends the call when it is dropped, for bodies that cannot be wrapped in a closure.
#[inline]
pub fn guard<C: Measure>(call: C) -> Guard<C> {
    let span = call.enter_span();
    Guard { armed: armed(call), entered_panicking: thread::panicking(), _span: span }
}

/// Starts a prepared measurement.
#[inline]
pub fn enter<P: Prepare>(prepared: P) -> P::Call {
    prepared.enter()
}

/// A call whose body is running. Dropping it reports a panic.
#[must_use = "dropping it reports a panic"]
pub struct Armed<C: Measure>(pub(super) Option<C>);

impl<C: Measure> Armed<C> {
    #[inline]
    pub(super) fn finish(self, verdict: Verdict) {
        if let Some(call) = self.disarm() {
            call.finish(verdict);
        }
    }

    #[inline]
    pub(super) fn set_error<E: Debug>(&self, error: &E) {
        if let Some(call) = &self.0 {
            call.set_error(error);
        }
    }

    #[inline]
    fn disarm(self) -> Option<C> {
        // Skips `drop`, which would report a panic.
        ManuallyDrop::new(self).0.take()
    }
}

// Inlined to keep the guard in a register: a call to the destructor would need its address.
impl<C: Measure> Drop for Armed<C> {
    #[inline]
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            finish_early(call, Outcome::Panic);
        }
    }
}

/// Ends a call whose body did not return.
#[cold]
#[inline(never)]
pub(super) fn finish_early<C: Measure>(call: C, outcome: Outcome) {
    call.finish(outcome.into());
}

/// Ends a call when it is dropped: with a panic if the thread started to unwind during the call, otherwise with
/// success. A call that starts while the thread is already unwinding ends with success.
#[must_use = "dropping it ends the call"]
pub struct Guard<C: Measure> {
    armed: Armed<C>,
    entered_panicking: bool,
    _span: C::Span,
}

impl<C: Measure> Drop for Guard<C> {
    #[inline]
    fn drop(&mut self) {
        let has_panicked = !self.entered_panicking && thread::panicking();
        // If the call has panicked, dropping `armed` reports the panic.
        if !has_panicked && let Some(call) = self.armed.0.take() {
            call.finish(Outcome::Success.into());
        }
    }
}
