//! Runs the body of an annotated function. [`Ended`] reports the outcome if the body returns, otherwise a guard does.

use std::fmt;
use std::mem::{ManuallyDrop, forget};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::ended::Ended;
use super::measure::{Armed, Measure, Prepare, armed, finish_early};
use crate::job::Outcome;

/// Runs a body. If it does not return, the outcome is a panic.
#[inline]
pub fn call<C: Measure, R>(call: C, body: impl FnOnce() -> R) -> Ended<C, R> {
    let span = call.enter_span();
    let armed = armed(call);
    let result = body();
    drop(span);
    Ended::new(result, armed)
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

/// Measures the future that `body` returns. The measurement starts when the future is first polled, and `judge` ends it.
#[inline]
pub fn call_future<P: Prepare, F: Future, J: FnOnce(Ended<P::Call, F::Output>) -> F::Output>(
    prepared: P,
    body: impl FnOnce() -> F,
    judge: J,
) -> Judged<P, F, J> {
    let measured = Measured { future: body(), call: PendingCall(None) };
    Judged { measured, prepared: Some(prepared), judge: Some(judge) }
}

/// [`call_future`] for functions that return a boxed future.
#[inline]
pub fn call_boxed<P: Prepare, F: Future, J: FnOnce(Ended<P::Call, F::Output>) -> F::Output>(
    prepared: P,
    body: impl FnOnce() -> F,
    judge: J,
) -> Pin<Box<Judged<P, F, J>>> {
    Box::pin(call_future(prepared, body, judge))
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

impl<C: Measure, F: Future> Future for Measured<C, F> {
    type Output = Ended<C, F::Output>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let span = this.call.0.as_ref().map(|call| call.enter_span());
        let polling = Polling(&mut *this.call);
        let poll = this.future.poll(context);
        forget(polling);
        drop(span);
        // The inner future decides what happens if it is polled again after completion.
        poll.map(|result| Ended::new(result, Armed(this.call.take())))
    }
}

impl<P: Prepare, F: Future, J: FnOnce(Ended<P::Call, F::Output>) -> F::Output> Future
    for Judged<P, F, J>
{
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let Some(prepared) = this.prepared.take() {
            *this.measured.as_mut().project().call = PendingCall::new(prepared.enter());
        }
        this.measured.poll(context).map(|mut ended| match this.judge.take() {
            Some(judge) => judge(ended),
            None => ended.finish_as(Outcome::Success.into()),
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
