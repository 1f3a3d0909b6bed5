//! Tests the attributes on functions of every kind: the result equals that of the bare function, and exactly one outcome
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
    reason = "the cases cover all code that users write"
)]

mod arguments;
mod asynchronous;
mod futures;
mod generics;
mod hostile;
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

/// Returns the recorded calls of a function in the calling module, for example `"error 1, success 2"`. Zeros are
/// omitted.
macro_rules! calls {
    ($function:literal) => {
        crate::attributes::recorded("function_calls_total", module_path!(), $function)
    };
}

/// Returns the number of timed calls of a function in the calling module, for example `"calls 2"`.
macro_rules! timings {
    ($function:literal) => {
        crate::attributes::recorded("function_duration_seconds", module_path!(), $function)
    };
}

use {calls, timings};

/// Returns the values of the series of a function, by outcome if the metric has that label.
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

/// Returns the series of a metric in the default registry that have these labels.
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

#[expect(clippy::cast_precision_loss, reason = "the values are small")]
fn value(series: &Metric) -> f64 {
    // A series has one type. The values of the other types are zero.
    let observations = series.get_histogram().get_sample_count() as f64;
    series.get_counter().get_value() + series.get_gauge().get_value() + observations
}

/// Polls a future in a loop until it completes.
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

/// Returns `Pending` from the first poll.
async fn pause() {
    let mut was_polled = false;
    std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut was_polled, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Runs `body`, which must panic, and returns the panic message.
fn panic_of<R>(body: impl FnOnce() -> R) -> String {
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
    match panicked.err().expect("a panic").downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => (*payload.downcast::<&str>().expect("the message is text")).to_owned(),
    }
}
