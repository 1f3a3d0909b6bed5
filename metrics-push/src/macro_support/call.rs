//! Runs the body of an annotated function and reports exactly one outcome per call.
//!
//! A body that does not return has panicked. `thread::panicking` cannot show this, because a destructor may call an
//! annotated function while the thread unwinds. Only [`Guard`] uses `thread::panicking`, because a guard is dropped
//! both if the body returns and if it panics.

use std::fmt;
use std::mem::{ManuallyDrop, forget};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use pin_project_lite::pin_project;

use super::counted::CountedCall;
use super::run::PreparedRun;
use super::timed::{PreparedTime, TimedCall};
use crate::job::{Outcome, Run, Verdict};

/// A measurement that ends with an outcome: a counted call, a timed call or a run.
pub trait Measure {
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

impl Measure for &Run {
    #[inline]
    fn finish(self, verdict: Verdict) {
        self.conclude(verdict);
    }
}

impl Measure for Run {
    #[inline]
    fn finish(self, verdict: Verdict) {
        self.conclude(verdict);
    }
}

impl Measure for CountedCall {
    #[inline]
    fn finish(self, verdict: Verdict) {
        Self::finish(self, verdict.outcome);
    }
}

impl Measure for TimedCall {
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

/// Runs a body. If it does not return, the outcome is a panic.
#[inline]
pub fn call<C: Measure, R>(call: C, body: impl FnOnce() -> R) -> Ended<C, R> {
    let armed = armed(call);
    let result = body();
    Ended { result, armed }
}

/// Returns a guard for a function that never returns. Dropping the guard reports a panic.
#[inline]
pub fn armed<C: Measure>(call: C) -> Armed<C> {
    Armed(Some(call))
}

/// Returns a guard that ends the call when it is dropped, for bodies that cannot be wrapped in a closure.
#[inline]
pub fn guard<C: Measure>(call: C) -> Guard<C> {
    Guard { armed: armed(call), entered_panicking: thread::panicking() }
}

/// Starts a prepared measurement.
#[inline]
pub fn enter<P: Prepare>(prepared: P) -> P::Call {
    prepared.enter()
}

/// Runs an `async` body.
#[inline]
pub fn call_async<C: Measure, F: Future>(call: C, body: F) -> Measured<C, F> {
    Measured { future: body, call: PendingCall::new(call) }
}

/// Runs an `async` body of type `!`.
///
/// # Panics
/// If the body returns, which is impossible in safe code.
#[inline]
pub async fn call_forever<C: Measure, F: Future>(call: C, body: F) -> ! {
    let _never = call_async(call, body).await;
    unreachable!("a body of type `!` returned")
}

/// Takes a value. Expansions use it in unreachable code, so that a closure owns the value instead of borrowing it.
pub fn capture<T>(_: T) -> ! {
    unreachable!("only the capture of this call is used")
}

/// Has the type `R`. Expansions use it in unreachable code to infer the return type of an `async` body.
#[must_use]
pub fn never<R>() -> R {
    unreachable!("only the type of this call is used")
}

/// Measures the future that `body` returns. The measurement starts when the future is first polled.
#[inline]
pub fn call_future<P: Prepare, F: Future, J: FnOnce(&F::Output) -> Verdict>(
    prepared: P,
    body: impl FnOnce() -> F,
    judge: J,
) -> Judged<P, F, J> {
    let measured = Measured { future: body(), call: PendingCall(None) };
    Judged { measured, prepared: Some(prepared), judge: Some(judge) }
}

/// [`call_future`] for functions that return a boxed future.
#[inline]
pub fn call_boxed<P: Prepare, F: Future, J: FnOnce(&F::Output) -> Verdict>(
    prepared: P,
    body: impl FnOnce() -> F,
    judge: J,
) -> Pin<Box<Judged<P, F, J>>> {
    Box::pin(call_future(prepared, body, judge))
}

/// A call whose body has returned and whose outcome has not been reported.
///
/// Expansions judge the result and call [`finish`](Self::finish) inline, because a closure would cost more compile time
/// than the rest of the expansion.
#[must_use = "a call without an outcome is reported as a panic"]
pub struct Ended<C: Measure, R> {
    // Dropped before `armed`, so that a panic in its destructor is reported.
    result: R,
    armed: Armed<C>,
}

impl<C: Measure, R> Ended<C, R> {
    /// Returns the result of the body.
    #[inline]
    pub const fn result(&self) -> &R {
        &self.result
    }

    /// Reports the outcome and returns the result of the body.
    #[inline]
    pub fn finish(self, verdict: Verdict) -> R {
        self.armed.finish(verdict);
        self.result
    }
}

/// A call whose body is running. Dropping it reports a panic.
#[must_use = "dropping it reports a panic"]
pub struct Armed<C: Measure>(Option<C>);

impl<C: Measure> Armed<C> {
    #[inline]
    fn finish(self, verdict: Verdict) {
        if let Some(call) = self.disarm() {
            call.finish(verdict);
        }
    }

    #[inline]
    fn disarm(self) -> Option<C> {
        // Skips `drop`, which would report a panic.
        ManuallyDrop::new(self).0.take()
    }
}

impl<C: Measure> Drop for Armed<C> {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call.finish(Outcome::Panic.into());
        }
    }
}

/// Ends a call when it is dropped: with a panic if the thread started to unwind during the call, otherwise with
/// success. A call that starts while the thread is already unwinding ends with success.
#[must_use = "dropping it ends the call"]
pub struct Guard<C: Measure> {
    armed: Armed<C>,
    entered_panicking: bool,
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

pin_project! {
    /// A future, and the call that ends when the future completes or is dropped.
    pub struct Measured<C: Measure, F> {
        #[pin]
        future: F,
        call: PendingCall<C>,
    }
}

pin_project! {
    /// A future that starts its call at the first poll and judges its own result. If it is never polled, nothing is
    /// recorded.
    pub struct Judged<P: Prepare, F, J> {
        #[pin]
        measured: Measured<P::Call, F>,
        prepared: Option<P>,
        judge: Option<J>,
    }
}

/// The call of a future that has not completed, if the call has started. Dropping it reports a cancellation.
///
/// `ManuallyDrop` reduces the drop glue after completion to one comparison. With larger drop glue, the compiler keeps
/// the memory of the whole future reserved for it.
struct PendingCall<C: Measure>(Option<ManuallyDrop<C>>);

impl<C: Measure> PendingCall<C> {
    #[inline]
    const fn new(call: C) -> Self {
        Self(Some(ManuallyDrop::new(call)))
    }

    #[inline]
    fn take(&mut self) -> Option<C> {
        self.0.take().map(ManuallyDrop::into_inner)
    }
}

impl<C: Measure> Drop for PendingCall<C> {
    #[inline]
    fn drop(&mut self) {
        if let Some(call) = self.take() {
            finish_early(call, Outcome::Cancelled);
        }
    }
}

/// Guards one poll of a future. If the poll does not return, the outcome is a panic.
///
/// It borrows the call, because moving the call at every poll would cost more than counting it.
struct Polling<'a, C: Measure>(&'a mut PendingCall<C>);

impl<C: Measure> Drop for Polling<'_, C> {
    #[inline]
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            finish_early(call, Outcome::Panic);
        }
    }
}

#[cold]
#[inline(never)]
fn finish_early<C: Measure>(call: C, outcome: Outcome) {
    call.finish(outcome.into());
}

impl<C: Measure, F: Future> Future for Measured<C, F> {
    type Output = Ended<C, F::Output>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polling = Polling(&mut *this.call);
        let poll = this.future.poll(context);
        forget(polling);
        // The inner future decides what happens if it is polled again after completion.
        poll.map(|result| Ended { result, armed: Armed(this.call.take()) })
    }
}

impl<P: Prepare, F: Future, J: FnOnce(&F::Output) -> Verdict> Future for Judged<P, F, J> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let Some(prepared) = this.prepared.take() {
            *this.measured.as_mut().project().call = PendingCall::new(prepared.enter());
        }
        this.measured.poll(context).map(|ended| {
            let judge = this.judge.take();
            let verdict = judge.map_or(Outcome::Success.into(), |judge| judge(ended.result()));
            ended.finish(verdict)
        })
    }
}

impl<C: Measure, F> fmt::Debug for Measured<C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured").finish_non_exhaustive()
    }
}

impl<P: Prepare, F, J> fmt::Debug for Judged<P, F, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judged").finish_non_exhaustive()
    }
}
