//! The bare function, what one writes by hand with the `prometheus` crate, and the least that measuring can take.

use std::cell::Cell;
use std::fmt;
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant;

use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, register_histogram, register_histogram_vec,
    register_int_counter, register_int_counter_vec,
};

pub(crate) type Answer = Result<u64, fmt::Error>;

/// Values of labels that are known only at the call.
#[inline]
pub(crate) fn service(number: u64) -> &'static str {
    const SERVICES: [&str; 4] = ["catalogue", "checkout", "payment", "search"];
    SERVICES[(number % 4) as usize]
}

#[inline(never)]
pub(crate) fn bare(number: u64) -> Answer {
    Ok(black_box(number) + 1)
}

#[inline]
pub(crate) async fn bare_async(number: u64) -> Answer {
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
pub(crate) fn counter(number: u64) -> Answer {
    let answer = bare(number);
    CALLS_TOTAL.inc();
    answer
}

#[inline]
pub(crate) fn both(number: u64) -> Answer {
    let start = Instant::now();
    let answer = bare(number);
    SECONDS.observe(start.elapsed().as_secs_f64());
    CALLS_TOTAL.inc();
    answer
}

#[inline]
pub(crate) fn counter_by_label(number: u64) -> Answer {
    let answer = bare(number);
    LABELLED_CALLS_TOTAL.with_label_values(&[service(number)]).inc();
    answer
}

#[inline]
pub(crate) fn both_by_label(number: u64) -> Answer {
    let start = Instant::now();
    let answer = bare(number);
    LABELLED_SECONDS.with_label_values(&[service(number)]).observe(start.elapsed().as_secs_f64());
    LABELLED_CALLS_TOTAL.with_label_values(&[service(number)]).inc();
    answer
}

#[inline]
pub(crate) async fn counter_async(number: u64) -> Answer {
    let answer = bare_async(number).await;
    CALLS_TOTAL.inc();
    answer
}

#[inline]
pub(crate) async fn both_async(number: u64) -> Answer {
    let start = Instant::now();
    let answer = bare_async(number).await;
    SECONDS.observe(start.elapsed().as_secs_f64());
    CALLS_TOTAL.inc();
    answer
}

thread_local! {
    static OWN_CALLS: Cell<u64> = const { Cell::new(0) };
    static OWN_COUNTS: Cell<u64> = const { Cell::new(0) };
}

static COUNTER: LazyLock<quanta::Clock> = LazyLock::new(quanta::Clock::new);

/// A number of the thread's own, which nobody could gather.
#[inline]
pub(crate) fn least_counter(number: u64) -> Answer {
    let answer = bare(number);
    OWN_CALLS.set(OWN_CALLS.get() + 1);
    answer
}

/// Two readings of the processor's counter, and two such numbers.
#[inline]
pub(crate) fn least_both(number: u64) -> Answer {
    let start = COUNTER.raw();
    let answer = bare(number);
    OWN_COUNTS.set(OWN_COUNTS.get() + (COUNTER.raw() - start));
    OWN_CALLS.set(OWN_CALLS.get() + 1);
    answer
}

/// What timing by the system's clock takes at least.
#[inline]
pub(crate) fn two_instants(_: u64) -> u64 {
    Instant::now().elapsed().as_nanos() as u64
}

/// Arithmetic in registers, which threads can't share anything of: whether they do run side by side.
#[inline]
pub(crate) fn arithmetic(number: u64) -> u64 {
    const STEPS: u32 = 100;
    // Each step needs the one before it, and only all of them together have an end.
    (0..STEPS).fold(number, |state, _| black_box(state).wrapping_mul(0x5851_f42d_4c95_7f2d))
}
