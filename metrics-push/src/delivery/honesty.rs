//! Honesty: what a delivery tells of itself in the parcel it carries: its attempts, the breaker it passed, and
//! what waits on disk.

use super::BreakerState;
use crate::clock::unix_seconds;
use crate::metrics::Snapshot;
use crate::parcel::{Families, encode};
use crate::spool::Census;

/// The families of an attempt, this one included.
pub(super) fn families(
    attempts: u32,
    breaker: Option<BreakerState>,
    census: Option<Census>,
) -> Families {
    let mut snapshot = Snapshot::default();
    snapshot.gauge(
        "batch_job_push_attempts",
        "How many attempts the last push took.",
        &[(&[], f64::from(attempts))],
    );
    if let Some(state) = breaker {
        snapshot.gauge(
            "batch_job_push_breaker_open",
            "Whether this gateway was being left alone, because it had not answered, when the job last pushed.",
            &[(&[], f64::from(state != BreakerState::Closed))],
        );
    }
    if let Some(census) = census {
        spool(&mut snapshot, census);
    }
    encode(&snapshot)
}

fn spool(snapshot: &mut Snapshot, census: Census) {
    snapshot.gauge(
        "batch_job_spool_parcels",
        "Parcels that waited on the job's disk when it last pushed.",
        &[(&[], f64::from(census.parcels))],
    );
    snapshot.gauge(
        "batch_job_spool_dropped",
        "Parcels that the job's disk had no room for, or kept too long, since its state directory was made.",
        &[(&[], f64::from(census.dropped))],
    );
    if let Some(oldest) = census.oldest {
        snapshot.gauge(
            "batch_job_spool_oldest_timestamp_seconds",
            "Since when the oldest of these parcels has been waiting.",
            &[(&[], unix_seconds(oldest))],
        );
    }
}
