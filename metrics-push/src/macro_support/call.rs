//! How the body of an annotated function runs, and how its end becomes an outcome, exactly one per call.
//!
//! All state is the call's own. Whether a body panicked is told by its not having returned, never by the state
//! of the thread: a function may well do its work while the thread unwinds for another reason.

use std::fmt;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::counted::{CountedCall, PreparedCount};
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

impl Prepare for PreparedCount {
    type Call = CountedCall;

    #[inline]
    fn enter(self) -> CountedCall {
        Self::enter(self)
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
    let armed = Armed(Some(call));
    let result = body();
    Ended { result, armed }
}

/// Runs an `async` body that has been entered already.
#[inline]
pub fn call_async<C: Measure, F: Future>(call: C, body: F) -> Measured<Entered<C>, F> {
    measured(Entered(call), body)
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
    Judged { measured: measured(prepared, body()), judge: Some(judge) }
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

fn measured<P: Prepare, F: Future>(prepared: P, future: F) -> Measured<P, F> {
    Measured { future, stage: Stage(Progress::Ready(prepared)) }
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

/// A call that has begun before its future.
pub struct Entered<C>(C);

impl<C: Measure> Prepare for Entered<C> {
    type Call = C;

    #[inline]
    fn enter(self) -> C {
        self.0
    }
}

/// A call whose body is running: one that is left without a result has panicked.
struct Armed<C: Measure>(Option<C>);

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

pin_project! {
    /// A future and the measure of its run: from the first poll, so that one that is never polled leaves no trace.
    pub struct Measured<P: Prepare, F> {
        #[pin]
        future: F,
        stage: Stage<P>,
    }
}

pin_project! {
    /// A measured future whose result is judged where nobody awaits it.
    pub struct Judged<P: Prepare, F, J> {
        #[pin]
        measured: Measured<P, F>,
        judge: Option<J>,
    }
}

/// How far a measured future has come. One that is dropped on the way was cancelled.
struct Stage<P: Prepare>(Progress<P>);

enum Progress<P: Prepare> {
    Ready(P),
    Open(P::Call),
    Over,
}

impl<P: Prepare> Stage<P> {
    /// The call of a poll that begins.
    #[inline]
    fn enter(&mut self) -> Armed<P::Call> {
        Armed(match std::mem::replace(&mut self.0, Progress::Over) {
            Progress::Ready(prepared) => Some(prepared.enter()),
            Progress::Open(call) => Some(call),
            Progress::Over => None,
        })
    }

    /// The poll ended, and the future goes on.
    #[inline]
    fn leave(&mut self, armed: Armed<P::Call>) {
        if let Some(call) = armed.disarm() {
            self.0 = Progress::Open(call);
        }
    }
}

impl<P: Prepare> Drop for Stage<P> {
    fn drop(&mut self) {
        if let Progress::Open(call) = std::mem::replace(&mut self.0, Progress::Over) {
            call.finish(Outcome::Cancelled.into());
        }
    }
}

impl<P: Prepare, F: Future> Future for Measured<P, F> {
    type Output = Ended<P::Call, F::Output>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let armed = this.stage.enter();
        // A future that is polled after its end speaks for itself.
        match this.future.poll(context) {
            Poll::Pending => {
                this.stage.leave(armed);
                Poll::Pending
            }
            Poll::Ready(result) => Poll::Ready(Ended { result, armed }),
        }
    }
}

impl<P: Prepare, F: Future, J: FnOnce(&F::Output) -> Verdict> Future for Judged<P, F, J> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.measured.poll(context).map(|ended| {
            let judge = this.judge.take();
            let verdict = judge.map_or(Outcome::Success.into(), |judge| judge(ended.result()));
            ended.finish(verdict)
        })
    }
}

impl<P: Prepare, F> fmt::Debug for Measured<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured").finish_non_exhaustive()
    }
}

impl<P: Prepare, F, J> fmt::Debug for Judged<P, F, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judged").finish_non_exhaustive()
    }
}
