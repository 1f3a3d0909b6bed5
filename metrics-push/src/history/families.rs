//! The families that a history adds to the requests about its group.

use super::record::{LastTimes, Streak};
use crate::metrics::Snapshot;
use crate::push_request::{
    Families, LAST_ABANDONED, LAST_FAILURE, LAST_SKIPPED, LAST_SUCCESS, encode,
};

/// The timestamps that outlive the pushes of a group, with their help.
const LAST_TIMES: [(&str, &str); 4] = [
    (LAST_SUCCESS, "Time when a run last succeeded."),
    (LAST_FAILURE, "Time when a run last failed."),
    (LAST_ABANDONED, "Time when a run of a dead process was last found."),
    (LAST_SKIPPED, "Time when a run was last skipped."),
];

/// Adds one of the [`LAST_TIMES`], in Unix seconds.
pub(crate) fn add_last_time(snapshot: &mut Snapshot, name: &str, at: f64) {
    let help = LAST_TIMES.iter().find(|(known, _)| *known == name).map_or("", |(_, help)| help);
    snapshot.gauge(name, help, &[(&[], at)]);
}

/// Returns the families of all known times that are not in the future: these were recorded while a clock was wrong.
pub(super) fn last_time_families(last: LastTimes, now: f64) -> Families {
    let mut snapshot = Snapshot::default();
    for (name, at) in [
        (LAST_SUCCESS, last.success),
        (LAST_FAILURE, last.failure),
        (LAST_ABANDONED, last.abandoned),
        (LAST_SKIPPED, last.skipped),
    ] {
        if let Some(at) = at.filter(|at| *at <= now) {
            add_last_time(&mut snapshot, name, at);
        }
    }
    encode(&snapshot)
}

/// Returns the families about runs in a row.
pub(super) fn streak_families(streak: Streak) -> Families {
    let mut snapshot = Snapshot::default();
    #[expect(clippy::cast_precision_loss, reason = "a gauge is an f64")]
    let (failures, successes) = (streak.failures as f64, streak.successes as f64);
    snapshot.gauge(
        "batch_job_consecutive_failures",
        "Number of runs that have failed since the last success.",
        &[(&[], failures)],
    );
    snapshot.gauge(
        "batch_job_consecutive_successes",
        "Number of runs that have succeeded since the last failure.",
        &[(&[], successes)],
    );
    if let Some(since) = streak.failing_since {
        snapshot.gauge(
            "batch_job_failing_since_timestamp_seconds",
            "Time when the first run started that has failed since the last success.",
            &[(&[], since)],
        );
    }
    encode(&snapshot)
}
