//! The metrics that the library pushes about its own deliveries, together with an outcome.

use super::breaker::BreakerState;
use crate::clock::unix_seconds;
use crate::push_request::{Families, insert_gauge};
use crate::spool::SpoolStats;

/// Returns the families for attempt number `attempts`.
pub(super) fn families(
    attempts: u32,
    breaker: Option<BreakerState>,
    spool: Option<SpoolStats>,
) -> Families {
    let mut families = Families::new();
    let mut add = |name, help, value| insert_gauge(&mut families, name, help, value);
    add("batch_job_push_attempts", "Number of attempts of the last push.", f64::from(attempts));
    if let Some(state) = breaker {
        add(
            "batch_job_push_breaker_open",
            "Whether the circuit breaker of this gateway was open when the job last pushed.",
            f64::from(state != BreakerState::Closed),
        );
    }
    if let Some(stats) = spool {
        add(
            "batch_job_spool_pending",
            "Number of undelivered requests on the job's disk when it last pushed.",
            f64::from(stats.requests),
        );
        add(
            "batch_job_spool_dropped",
            "Number of undelivered requests dropped from the state directory since it was created, because it was full or they were too old.",
            f64::from(stats.dropped),
        );
        if let Some(oldest) = stats.oldest {
            add(
                "batch_job_spool_oldest_timestamp_seconds",
                "Time when the oldest undelivered request on the job's disk was stored.",
                unix_seconds(oldest),
            );
        }
    }
    families
}
