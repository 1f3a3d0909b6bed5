//! Every way to make a call, and what is promised of ours.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::by_hand::{self, bare, bare_async};
use crate::ours;
use crate::peers::{self, METERED};

/// A way to make a call: its name, and a loop of so many of them.
pub(crate) type Row = (&'static str, fn(u64));

/// Polls a future that is ready at once.
// Always inlined: else the compiler makes a call of some rows and none of others.
#[inline(always)]
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing in it waits"),
    }
}

macro_rules! rows {
    ($($name:literal => $call:expr,)*) => {
        &[$(($name, |calls| for number in 0..calls { let _ = black_box($call(black_box(number))); })),*]
    };
}

/// Both a counter and a histogram, where nothing else is said; by hand with the `prometheus` crate.
pub(crate) const ROWS: &[Row] = rows! {
    "bare" => bare,
    "by hand: counter" => by_hand::counter,
    "by hand: both" => by_hand::both,
    "counted" => ours::counter,
    "timed" => ours::time,
    "both" => ours::both,
    "limit: counter" => by_hand::least_counter,
    "limit: both" => by_hand::least_both,
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
    // As long on two threads as on one, or they do not run side by side.
    "arithmetic" => by_hand::arithmetic,
};

/// What is promised in time.
pub(crate) struct Promise {
    pub(crate) row: &'static str,
    pub(crate) basis: &'static str,
    /// The row that does the least there is to do.
    pub(crate) limit: Option<&'static str>,
    /// Ratios for one thread and for two.
    pub(crate) at_most: [f64; 2],
}

const fn promise(
    row: &'static str,
    basis: &'static str,
    limit: Option<&'static str>,
    at_most: [f64; 2],
) -> Promise {
    Promise { row, basis, limit, at_most }
}

const LEAST_COUNTER: Option<&str> = Some("limit: counter");
const LEAST_BOTH: Option<&str> = Some("limit: both");

/// Where the processor's counter can be used.
pub(crate) const WITH_COUNTER: &[Promise] = &[
    promise("counted", "by hand: counter", LEAST_COUNTER, [0.35, 0.10]),
    promise("timed", "by hand: both", LEAST_BOTH, [0.40, 0.11]),
    promise("both", "by hand: both", LEAST_BOTH, [0.40, 0.11]),
    promise("label: counted", "label: by hand: counter", None, [0.5, 0.5]),
    promise("label: both", "label: by hand: both", None, [0.5, 0.5]),
    promise("async: counted", "async: by hand: counter", LEAST_COUNTER, [0.35, 0.10]),
    promise("async: timed", "async: by hand: both", LEAST_BOTH, [0.40, 0.11]),
    promise("async: both", "async: by hand: both", LEAST_BOTH, [0.40, 0.11]),
];

const TWO_INSTANTS: Option<&str> = Some("two Instant::now");

/// Where there is but the system's clock.
pub(crate) const WITHOUT_COUNTER: &[Promise] = &[
    promise("timed", "by hand: both", TWO_INSTANTS, [0.72, 0.20]),
    promise("both", "by hand: both", TWO_INSTANTS, [0.72, 0.20]),
    promise("async: timed", "async: by hand: both", TWO_INSTANTS, [0.72, 0.20]),
    promise("async: both", "async: by hand: both", TWO_INSTANTS, [0.72, 0.20]),
];

/// What is promised in instructions, beyond those of the bare call.
pub(crate) const INSTRUCTIONS: [(&str, u64); 4] =
    [("timed", 80), ("both", 80), ("async: timed", 80), ("async: both", 80)];

pub(crate) fn position(name: &str) -> usize {
    ROWS.iter().position(|(row, _)| *row == name).unwrap()
}
