//! The attributes on every kind of function: the result is that of the bare function, and the one right outcome
//! is recorded.

#![allow(
    clippy::boxed_local,
    clippy::duplicate_underscore_argument,
    clippy::needless_question_mark,
    clippy::never_loop,
    clippy::non_minimal_cfg,
    clippy::redundant_closure_call,
    clippy::semicolon_if_nothing_returned,
    clippy::toplevel_ref_arg,
    reason = "cases are about the code that people write, good or not"
)]

mod arguments;
mod asynchronous;
mod futures;
mod generics;
mod impls;
mod judged;
mod names;
mod outcomes;
mod qualifiers;
mod returns;
mod runs;

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use prometheus::proto::{LabelPair, Metric};

/// What was recorded for a function of the calling module: `"success 2, error 1"`, without outcomes that are zero.
macro_rules! calls {
    ($function:literal) => {
        crate::attributes::recorded("function_calls_total", module_path!(), $function)
    };
}

/// How often a function of the calling module was timed.
macro_rules! timings {
    ($function:literal) => {
        crate::attributes::recorded("function_duration_seconds", module_path!(), $function)
    };
}

use {calls, timings};

/// The values of one function's series, by outcome where there is one.
fn recorded(metric: &str, module: &str, function: &str) -> String {
    let series = series(metric, &[("module", module), ("function", function)]);
    assert!(!series.is_empty(), "{metric} has no series for {function} in {module}");
    let mut found: Vec<_> = series
        .iter()
        .map(|series| (label(series, "outcome").unwrap_or("calls").to_owned(), value(series)))
        .filter(|(_, value)| *value != 0.0)
        .map(|(outcome, value)| format!("{outcome} {value}"))
        .collect();
    found.sort();
    found.join(", ")
}

/// The series of a metric in the default registry that have these labels.
fn series(metric: &str, labels: &[(&str, &str)]) -> Vec<Metric> {
    let families = prometheus::gather();
    let families = families.iter().filter(|family| family.name() == metric);
    families
        .flat_map(prometheus::proto::MetricFamily::get_metric)
        .filter(|series| labels.iter().all(|(name, value)| label(series, name) == Some(*value)))
        .cloned()
        .collect()
}

fn label<'a>(series: &'a Metric, name: &str) -> Option<&'a str> {
    series.get_label().iter().find(|pair| pair.name() == name).map(LabelPair::value)
}

#[expect(clippy::cast_precision_loss, reason = "tests count to a dozen")]
fn value(series: &Metric) -> f64 {
    // Of the three kinds, those that a series is not of are zero.
    let observations = series.get_histogram().get_sample_count() as f64;
    series.get_counter().get_value() + series.get_gauge().get_value() + observations
}

/// Drives a future that never waits for anything.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = poll(future.as_mut()) {
            return result;
        }
    }
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Gives way once.
async fn pause() {
    let mut is_over = false;
    std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut is_over, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Runs `body` to its panic, and gives the panic's message.
fn panic_of<R>(body: impl FnOnce() -> R) -> String {
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
    match panicked.err().expect("it panics").downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => (*payload.downcast::<&str>().expect("the message is text")).to_owned(),
    }
}
