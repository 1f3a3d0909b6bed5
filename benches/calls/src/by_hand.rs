//! The bare function, measurements written by hand with the `prometheus` crate, and the lower bounds of measuring.

use std::cell::Cell;
use std::fmt;
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant;

use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, register_histogram, register_histogram_vec,
    register_int_counter, register_int_counter_vec,
};

pub(crate) type Output = Result<u64, fmt::Error>;

/// Returns a label value that is known only at the call.
#[inline]
pub(crate) fn service(number: u64) -> &'static str {
    const SERVICES: [&str; 4] = ["catalogue", "checkout", "payment", "search"];
    SERVICES[(number % 4) as usize]
}

#[inline(never)]
pub(crate) fn bare(number: u64) -> Output {
    Ok(black_box(number) + 1)
}

#[inline]
pub(crate) async fn bare_async(number: u64) -> Output {
    bare(number)
}

static CALLS_TOTAL: LazyLock<IntCounter> =
    LazyLock::new(|| register_int_counter!("calls_total", "Calls.").unwrap());
static SECONDS: LazyLock<Histogram> =
    LazyLock::new(|| register_histogram!("seconds", "Duration of calls.").unwrap());
static LABELLED_CALLS_TOTAL: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("labelled_calls_total", "Calls.", &["service"]).unwrap()
});
static LABELLED_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    register_histogram_vec!("labelled_seconds", "Duration of calls.", &["service"]).unwrap()
});

#[inline]
pub(crate) fn counter(number: u64) -> Output {
    let output = bare(number);
    CALLS_TOTAL.inc();
    output
}

#[inline]
pub(crate) fn both(number: u64) -> Output {
    let start = Instant::now();
    let output = bare(number);
    SECONDS.observe(start.elapsed().as_secs_f64());
    CALLS_TOTAL.inc();
    output
}

#[inline]
pub(crate) fn counter_by_label(number: u64) -> Output {
    let output = bare(number);
    LABELLED_CALLS_TOTAL.with_label_values(&[service(number)]).inc();
    output
}

#[inline]
pub(crate) fn both_by_label(number: u64) -> Output {
    let start = Instant::now();
    let output = bare(number);
    LABELLED_SECONDS.with_label_values(&[service(number)]).observe(start.elapsed().as_secs_f64());
    LABELLED_CALLS_TOTAL.with_label_values(&[service(number)]).inc();
    output
}

#[inline]
pub(crate) async fn counter_async(number: u64) -> Output {
    let output = bare_async(number).await;
    CALLS_TOTAL.inc();
    output
}

#[inline]
pub(crate) async fn both_async(number: u64) -> Output {
    let start = Instant::now();
    let output = bare_async(number).await;
    SECONDS.observe(start.elapsed().as_secs_f64());
    CALLS_TOTAL.inc();
    output
}

thread_local! {
    static THREAD_CALLS: Cell<u64> = const { Cell::new(0) };
    static THREAD_TICKS: Cell<u64> = const { Cell::new(0) };
}

static CLOCK: LazyLock<quanta::Clock> = LazyLock::new(quanta::Clock::new);

/// Lower bound of a counter: a thread-local integer, which cannot be gathered.
#[inline]
pub(crate) fn min_counter(number: u64) -> Output {
    let output = bare(number);
    THREAD_CALLS.set(THREAD_CALLS.get() + 1);
    output
}

/// Lower bound of a counter and a histogram: two reads of the processor counter and two thread-local integers.
#[inline]
pub(crate) fn min_both(number: u64) -> Output {
    let start = CLOCK.raw();
    let output = bare(number);
    THREAD_TICKS.set(THREAD_TICKS.get() + (CLOCK.raw() - start));
    THREAD_CALLS.set(THREAD_CALLS.get() + 1);
    output
}

/// Lower bound of timing with the system clock.
#[inline]
pub(crate) fn two_instants(_: u64) -> u64 {
    Instant::now().elapsed().as_nanos() as u64
}

/// Arithmetic in registers, without shared memory. Its times show whether the threads run in parallel.
#[inline]
pub(crate) fn arithmetic(number: u64) -> u64 {
    const STEPS: u32 = 100;
    // Each step depends on the previous one, so the compiler and the processor cannot skip or overlap steps.
    (0..STEPS).fold(number, |state, _| black_box(state).wrapping_mul(0x5851_f42d_4c95_7f2d))
}
