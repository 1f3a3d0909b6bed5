//! Every number of the retry policy, with its reason.

use std::time::Duration;

/// The longest attempt. An attempt gets half of the remaining budget, so that another one can follow, but a gateway
/// that has not answered after this time most likely never will.
pub(super) const MAX_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// The shortest attempt, unless less time is left. Half of a small remainder is too little for an answer.
pub(super) const MIN_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);

/// The upper bound of the first backoff: enough for a connection that a restart closed.
pub(super) const INITIAL_BACKOFF: Duration = Duration::from_millis(200);

/// The upper bound of all later backoffs, so that a gateway that restarts within the budget is found in time.
pub(super) const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// The fraction of the budget that is reserved for the disk, as a divisor.
pub(super) const SETTLE_TIME_DIVISOR: u32 = 10;

/// The most time that is reserved for the disk: syncing a file and its folder takes tens of milliseconds.
pub(super) const MAX_SETTLE_TIME: Duration = Duration::from_millis(500);

/// The fraction of an attempt that a query about retained timestamps may take, as a divisor: the outcome comes first.
pub(super) const QUERY_TIME_DIVISOR: u32 = 4;

/// How far the clocks of a gateway and this machine may differ.
pub(super) const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);

/// How many deliveries in a row find the gateway unreachable before the circuit breaker opens: the first may be an
/// accident, and the second the same one.
pub(crate) const FAILURES_TO_OPEN: u32 = 3;

/// The interval between probes while the circuit breaker is open: short compared with the time a person needs to react.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(15);

/// How many undelivered outcomes are logged in full per interval: enough to see what they have in common, few enough
/// for one screen.
pub(super) const MAX_FULL_LINES: u32 = 5;

/// How often the outcomes that were not logged in full are summarised.
pub(super) const SUMMARY_INTERVAL: Duration = Duration::from_secs(10);

/// How many requests are in flight per route: enough to hide the latency of a slow gateway, too few to flood it.
pub(crate) const MAX_IN_FLIGHT: usize = 16;

/// How long a best-effort request waits for the outcome that supersedes it. A job that dies within this time without a
/// trace has hardly started.
pub(crate) const START_LINGER: Duration = Duration::from_millis(2);

/// How long delivering spooled requests of other groups may take once a sink is reachable. What is left stays on disk.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How much longer than its own time-out a caller waits for a receipt: the dispatcher enforces the time-out, and its
/// receipt carries the reason.
pub(crate) const RECEIPT_GRACE: Duration = Duration::from_millis(500);

/// How many groups the batch buffer holds, and again the dispatcher's queue: a scheduler has thousands of groups, a
/// label with a new value per run creates millions.
pub(crate) const MAX_GROUPS: usize = 16_384;
