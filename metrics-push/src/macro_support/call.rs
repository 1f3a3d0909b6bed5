//! How the body of an annotated function runs, and how its end becomes an outcome, exactly one per call.
//!
//! All state is the call's own. Whether a body panicked is told by its not having returned, not by the state of the
//! thread: a function may well do its work while the thread unwinds for another reason. Only a [`Guard`], which can't
//! see a body return, has to ask the thread.

use std::fmt;
use std::mem::{ManuallyDrop, forget};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use pin_project_lite::pin_project;

use super::counted::CountedCall;
use super::start::PreparedRun;
use super::timed::{PreparedTime, TimedCall};
use crate::job::{Outcome, Run, Verdict};

/// What is measured from its start to its outcome: a counted or timed call, a run.
pub trait Measure {
    /// Takes the outcome.
    fn finish(self, verdict: Verdict);
}

/// What is looked up when a function is called, and starts when its future does.
pub trait Prepare {
    /// What starts.
    type Call: Measure;

    /// Starts it.
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

/// Runs a body. One that doesn't return has panicked.
#[inline]
pub fn call<C: Measure, R>(call: C, body: impl FnOnce() -> R) -> Ended<C, R> {
    let armed = armed(call);
    let result = body();
    Ended { result, armed }
}

/// Has a local of a function that never returns end the call: with a panic, whatever else the thread is unwinding for.
#[inline]
pub fn armed<C: Measure>(call: C) -> Armed<C> {
    Armed(Some(call))
}

/// Has a local of the function end the call, where nothing may stand between the function and its caller.
#[inline]
pub fn guard<C: Measure>(call: C) -> Guard<C> {
    Guard { armed: armed(call), entered_panicking: thread::panicking() }
}

/// Runs an `async` body.
#[inline]
pub fn call_async<C: Measure, F: Future>(call: C, body: F) -> Measured<C, F> {
    Measured { future: body, call: Open::new(call) }
}

/// Runs an `async` body whose type says that it has no end.
///
/// # Panics
/// If it ends all the same, which no safe code can bring about.
#[inline]
pub async fn call_forever<C: Measure, F: Future>(call: C, body: F) -> ! {
    let _never = call_async(call, body).await;
    unreachable!("the body's type says that it has no end")
}

/// Names the type that an `async` body returns, where it is never called.
#[must_use]
pub fn never<R>() -> R {
    unreachable!("this only names a type")
}

/// Measures the future that `body` makes, from its first poll.
#[inline]
pub fn call_future<P: Prepare, F: Future, J: FnOnce(&F::Output) -> Verdict>(
    prepared: P,
    body: impl FnOnce() -> F,
    judge: J,
) -> Judged<P, F, J> {
    let measured = Measured { future: body(), call: Open(None) };
    Judged { measured, prepared: Some(prepared), judge: Some(judge) }
}

/// The same for functions whose declared type is a box.
#[inline]
pub fn call_boxed<P: Prepare, F: Future, J: FnOnce(&F::Output) -> Verdict>(
    prepared: P,
    body: impl FnOnce() -> F,
    judge: J,
) -> Pin<Box<Judged<P, F, J>>> {
    Box::pin(call_future(prepared, body, judge))
}

/// A call whose body has returned, and whose outcome is still to be told.
///
/// Expansions do that in the open: a closure for it would cost more to compile than all the rest.
#[must_use = "without an outcome it is taken for a panic"]
pub struct Ended<C: Measure, R> {
    // Dropped first: it may be what panics.
    result: R,
    armed: Armed<C>,
}

impl<C: Measure, R> Ended<C, R> {
    /// What the body returned.
    #[inline]
    pub const fn result(&self) -> &R {
        &self.result
    }

    /// Takes the outcome, and gives the result back.
    #[inline]
    pub fn finish(self, verdict: Verdict) -> R {
        self.armed.finish(verdict);
        self.result
    }
}

/// A call whose body is running: one that is left without a result has panicked.
#[must_use = "dropping it tells of a panic"]
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
        // Nothing is left to drop.
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

/// A call that ends when this is dropped: with a panic if the thread began to unwind since it started, with a success
/// otherwise. A call that begins in a destructor while unwinding has not panicked itself.
#[must_use = "dropping it ends the call"]
pub struct Guard<C: Measure> {
    armed: Armed<C>,
    entered_panicking: bool,
}

impl<C: Measure> Drop for Guard<C> {
    #[inline]
    fn drop(&mut self) {
        let has_panicked = !self.entered_panicking && thread::panicking();
        // Otherwise what is armed tells of a panic.
        if !has_panicked && let Some(call) = self.armed.0.take() {
            call.finish(Outcome::Success.into());
        }
    }
}

pin_project! {
    /// The future of a call that has begun.
    pub struct Measured<C: Measure, F> {
        #[pin]
        future: F,
        call: Open<C>,
    }
}

pin_project! {
    /// A measured future whose result is judged where nobody awaits it: from the first poll, so that one that is
    /// never polled leaves no trace.
    pub struct Judged<P: Prepare, F, J> {
        #[pin]
        measured: Measured<P::Call, F>,
        prepared: Option<P>,
        judge: Option<J>,
    }
}

/// The call of a future. One that is dropped on the way was cancelled.
///
/// The call has no drop of its own here: what is left to do after the end has to be as small as a comparison, or
/// the compiler keeps the whole future in memory for it.
struct Open<C: Measure>(Option<ManuallyDrop<C>>);

impl<C: Measure> Open<C> {
    #[inline]
    const fn new(call: C) -> Self {
        Self(Some(ManuallyDrop::new(call)))
    }

    #[inline]
    fn take(&mut self) -> Option<C> {
        self.0.take().map(ManuallyDrop::into_inner)
    }
}

impl<C: Measure> Drop for Open<C> {
    #[inline]
    fn drop(&mut self) {
        if let Some(call) = self.take() {
            finish_early(call, Outcome::Cancelled);
        }
    }
}

/// A poll under way: one that doesn't return has panicked.
///
/// It leaves the call where it is: moving it at each poll would cost more than counting.
struct Polling<'a, C: Measure>(&'a mut Open<C>);

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
        // A future that is polled after its end speaks for itself.
        poll.map(|result| Ended { result, armed: Armed(this.call.take()) })
    }
}

impl<P: Prepare, F: Future, J: FnOnce(&F::Output) -> Verdict> Future for Judged<P, F, J> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let Some(prepared) = this.prepared.take() {
            *this.measured.as_mut().project().call = Open::new(prepared.enter());
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
