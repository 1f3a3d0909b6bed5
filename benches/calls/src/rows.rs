//! The rows of the tables, and the targets for our rows.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::by_hand::{self, bare, bare_async};
use crate::ours;
use crate::peers::{self, METERED};

/// A row: its name, and a function that makes the given number of calls.
pub(crate) type Row = (&'static str, fn(u64));

/// Polls a future that is ready at once.
// Always inlined: otherwise the compiler inlines it in some rows only.
#[inline(always)]
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the future does not wait"),
    }
}

macro_rules! rows {
    ($($name:literal => $call:expr,)*) => {
        &[$(($name, |calls| for number in 0..calls { let _ = black_box($call(black_box(number))); })),*]
    };
}

/// All rows. Unless its name says otherwise, a row measures with a counter and a histogram; `by hand` rows use the
/// `prometheus` crate.
pub(crate) const ROWS: &[Row] = rows! {
    "bare" => bare,
    "by hand: counter" => by_hand::counter,
    "by hand: both" => by_hand::both,
    "counted" => ours::counter,
    "timed" => ours::time,
    "both" => ours::both,
    "limit: counter" => by_hand::min_counter,
    "limit: both" => by_hand::min_both,
    "metered" => |number| METERED.both(number),
    "prometheus-client" => peers::client,
    "prometric" => peers::prometric,
    "autometrics" => peers::auto,
    "metrics-helper-macros" => peers::helper,
    "metrics" => peers::facade,
    "label: by hand: counter" => by_hand::counter_by_label,
    "label: by hand: both" => by_hand::both_by_label,
    "label: counted" => ours::counter_by_label,
    "label: both" => ours::both_by_label,
    "label: prometheus-client" => peers::client_by_label,
    "label: prometric" => peers::prometric_by_label,
    "label: metrics-helper-macros" => peers::helper_by_label,
    "label: metrics" => peers::facade_by_label,
    "async: bare" => |number| ready(bare_async(number)),
    "async: by hand: counter" => |number| ready(by_hand::counter_async(number)),
    "async: by hand: both" => |number| ready(by_hand::both_async(number)),
    "async: counted" => |number| ready(ours::counter_async(number)),
    "async: timed" => |number| ready(ours::time_async(number)),
    "async: both" => |number| ready(ours::both_async(number)),
    "async: both, label" => |number| ready(ours::both_by_label_async(number)),
    "async: metered" => |number| ready(METERED.both_async(number)),
    "async: autometrics" => |number| ready(peers::auto_async(number)),
    "async: metrics-helper-macros" => |number| ready(peers::helper_async(number)),
    "two Instant::now" => by_hand::two_instants,
    // Takes the same time on two threads as on one if the threads run in parallel.
    "arithmetic" => by_hand::arithmetic,
};

/// A target: the maximum ratio of the times of two rows.
pub(crate) struct Target {
    pub(crate) row: &'static str,
    pub(crate) basis: &'static str,
    /// The row that measures the lower bound.
    pub(crate) limit: Option<&'static str>,
    /// The maximum ratios for one thread and for two.
    pub(crate) max: [f64; 2],
}

const fn target(
    row: &'static str,
    basis: &'static str,
    limit: Option<&'static str>,
    max: [f64; 2],
) -> Target {
    Target { row, basis, limit, max }
}

const MIN_COUNTER: Option<&str> = Some("limit: counter");
const MIN_BOTH: Option<&str> = Some("limit: both");

/// Targets on machines with a usable processor counter.
pub(crate) const WITH_COUNTER: &[Target] = &[
    target("counted", "by hand: counter", MIN_COUNTER, [0.35, 0.10]),
    target("timed", "by hand: both", MIN_BOTH, [0.40, 0.11]),
    target("both", "by hand: both", MIN_BOTH, [0.40, 0.11]),
    target("label: counted", "label: by hand: counter", None, [0.5, 0.5]),
    target("label: both", "label: by hand: both", None, [0.5, 0.5]),
    target("async: counted", "async: by hand: counter", MIN_COUNTER, [0.35, 0.10]),
    target("async: timed", "async: by hand: both", MIN_BOTH, [0.40, 0.11]),
    target("async: both", "async: by hand: both", MIN_BOTH, [0.40, 0.11]),
];

/// The maximum time of `counted` beyond the bare call on one thread, in nanoseconds.
pub(crate) const COUNTED_NANOS: f64 = 0.6;

/// Targets for the time beyond the bare call: the row, the row that it is compared with, and the maximum ratio.
pub(crate) const BEYOND_BARE: &[(&str, &str, f64)] = &[
    ("timed", "limit: both", 1.1),
    ("both", "limit: both", 1.1),
    ("async: timed", "limit: both", 1.1),
    ("async: both", "limit: both", 1.1),
    ("label: counted", "label: by hand: counter", 0.25),
    ("label: both", "label: by hand: both", 0.25),
    ("async: both, label", "label: by hand: both", 0.25),
];

const TWO_INSTANTS: Option<&str> = Some("two Instant::now");

/// Targets with the system clock.
pub(crate) const WITHOUT_COUNTER: &[Target] = &[
    target("timed", "by hand: both", TWO_INSTANTS, [0.72, 0.20]),
    target("both", "by hand: both", TWO_INSTANTS, [0.72, 0.20]),
    target("async: timed", "async: by hand: both", TWO_INSTANTS, [0.72, 0.20]),
    target("async: both", "async: by hand: both", TWO_INSTANTS, [0.72, 0.20]),
];

/// The maximum number of instructions above those of the bare call.
pub(crate) const INSTRUCTIONS: [(&str, u64); 4] =
    [("timed", 50), ("both", 70), ("async: timed", 50), ("async: both", 70)];

/// Returns the name of the row that makes the same calls without measuring them.
pub(crate) fn bare_row(name: &str) -> &'static str {
    if name.starts_with("async") { "async: bare" } else { "bare" }
}

/// Returns the index of a row.
pub(crate) fn position(name: &str) -> usize {
    ROWS.iter().position(|(row, _)| *row == name).unwrap()
}
