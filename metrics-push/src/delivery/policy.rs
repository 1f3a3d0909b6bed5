//! The numbers of the retry policy, each with its reason.

use std::time::Duration;

/// The longest attempt. An attempt gets half of the remaining time, so that another one can follow. A gateway that has
/// not answered after this time most likely will not.
pub(super) const MAX_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// The shortest attempt, unless less time is left. Half of a short remaining time is too short for a response.
pub(super) const MIN_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);

/// The upper bound of the first backoff: long enough if a restart of the gateway has only closed the connection.
pub(super) const INITIAL_BACKOFF: Duration = Duration::from_millis(200);

/// The upper bound of all later backoffs, so that a gateway that restarts within the timeout is found in time.
pub(super) const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// How long attempts continue after a request is stored on disk, because the sink refuses connections or has no address.
/// Nothing is lost if they end, and a job waits for them.
pub(super) const STORED_TIMEOUT: Duration = Duration::from_secs(1);

/// The timeout of the only attempt that a job waits for while the sink is known to be down. A sink that works again but
/// takes longer is found by the completion of a task, by `recover`, or by a process that starts after the record of the
/// outage has expired.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// The number of attempts to deliver a request that is only on disk: enough for a short failure.
pub(super) const MAX_REPLAY_ATTEMPTS: u32 = 3;

/// How long a stored request stays on disk after these attempts, although the sink accepts other requests: long enough that
/// thousands of them cause little load, short compared with the time a person needs to react.
pub(super) const REPLAY_INTERVAL: Duration = Duration::from_secs(15);

/// How long an attempt may continue after a signal has ended the wait for it, if the request can be stored on disk: long
/// enough for a response that is on its way.
pub(super) const STORABLE_GRACE: Duration = Duration::from_millis(250);

/// The same if the request would be lost.
pub(super) const LAST_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// The fraction of the timeout that is reserved for the disk, as a divisor.
pub(super) const SETTLE_TIME_DIVISOR: u32 = 10;

/// The most time that is reserved for the disk: syncing a file and its folder takes tens of milliseconds.
pub(super) const MAX_SETTLE_TIME: Duration = Duration::from_millis(500);

/// The fraction of an attempt that a query about lost timestamps may take, as a divisor: the outcome comes first.
pub(super) const QUERY_TIME_DIVISOR: u32 = 4;

/// How many requests with newer totals follow an accepted one while other processes record runs of its group. One is enough
/// for two processes that end at the same time. The limit bounds the requests of many processes that do.
pub(crate) const MAX_NEWER_REQUESTS: u32 = 3;

/// How long a delivery waits before it confirms an outcome that an earlier request may have replaced. By then, a gateway
/// that responds again has applied the requests that it received while it hung.
pub(super) const CONFIRM_DELAY: Duration = Duration::from_millis(500);

/// How long a delivery waits for the responses to earlier requests before it confirms an outcome that they may replace: a
/// busy gateway that responds again processes the requests that it received while it hung. If a response is still missing,
/// the outcome stays on disk, and the next run confirms it.
pub(super) const MAX_LATE_WAIT: Duration = Duration::from_secs(3);

/// How far the clocks of a gateway and this machine may differ.
pub(super) const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);

/// How many deliveries in a row find the gateway unreachable before the circuit breaker opens. Two failures may have
/// the same short cause, such as a restart.
pub(crate) const FAILURES_TO_OPEN: u32 = 3;

/// The interval between probes while the circuit breaker is open: short compared with the time a person needs to react.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(15);

/// How many undelivered outcomes are logged in full per interval: enough to find a common cause, few enough for one
/// screen.
pub(super) const MAX_FULL_LINES: u32 = 5;

/// How often the outcomes that were not logged in full are summarised.
pub(super) const SUMMARY_INTERVAL: Duration = Duration::from_secs(10);

/// The maximum number of requests in flight per route: enough to hide the latency of a distant gateway, too few to flood it.
pub(crate) const MAX_IN_FLIGHT: usize = 16;

/// How many requests are in flight before the first response: few enough for a gateway that needs a second for each.
pub(crate) const INITIAL_IN_FLIGHT: usize = 4;

/// The shortest response time that can reduce the number of requests in flight: much shorter than an attempt, so that the
/// other requests in flight still end.
pub(super) const SLOW_RESPONSE: Duration = Duration::from_secs(1);

/// How many requests are in flight to a sink that stores samples, which takes many requests in one call.
pub(crate) const MAX_SAMPLES_IN_FLIGHT: usize = 256;

/// The fraction of the timeout that a start or a heartbeat may take, as a divisor, so that the completion has time left
/// even if the gateway hangs.
pub(crate) const INTERIM_TIME_DIVISOR: u32 = 3;

/// How long a best-effort request waits for the completion that supersedes it. If the process dies within this time,
/// the start of the run is not pushed.
pub(crate) const START_LINGER: Duration = Duration::from_millis(2);

/// How long delivering spooled requests of other groups may take once a sink is reachable. The others stay on disk.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a process waits for its sinks before it logs that it waits.
pub(crate) const WAIT_NOTICE_TIMEOUT: Duration = Duration::from_secs(2);

/// How often the dispatcher's thread continues after a panic of its loop. A panic that occurs each time must not occupy a
/// core.
pub(crate) const MAX_RESTARTS: usize = 3;

/// How much longer than the timeout a caller waits for a receipt. The dispatcher enforces the timeout, and its receipt
/// contains the reason.
pub(crate) const RECEIPT_GRACE: Duration = Duration::from_millis(500);

/// The maximum number of groups in the batch buffer. The buffer also submits nothing while the dispatcher has this many
/// pending groups. A scheduler has thousands of groups; a label with a new value per run creates millions.
pub(crate) const MAX_GROUPS: usize = 16_384;

/// The maximum size of the metrics in the batch buffer, in bytes: enough for as many groups with the metrics of a run, and
/// small compared to the memory of a scheduler with so many.
pub(crate) const MAX_BUFFERED_SIZE: usize = 64 * 1024 * 1024;
