//! The families that a history adds to the requests about its group.

use super::history_state::{LastTimes, Streak};
use crate::metrics::Snapshot;
use crate::push_request::{
    FAILING_SINCE, Families, LAST_ABANDONED, LAST_FAILURE, LAST_SKIPPED, LAST_SUCCESS, insert_gauge,
};

type ReadTime = fn(LastTimes) -> Option<f64>;

/// The timestamps that outlive the pushes of a group, with their help and where the history has them.
const LAST_TIMES: [(&str, &str, ReadTime); 4] = [
    (LAST_SUCCESS, "Time when a run last succeeded.", |last| last.success),
    (LAST_FAILURE, "Time when a run last failed.", |last| last.failure),
    (LAST_ABANDONED, "Time when a run of a dead process was last found.", |last| last.abandoned),
    (LAST_SKIPPED, "Time when a run was last skipped.", |last| last.skipped),
];

/// Adds one of the [`LAST_TIMES`], in Unix seconds.
pub(crate) fn add_last_time(snapshot: &mut Snapshot, name: &str, at: f64) {
    let of_name = LAST_TIMES.iter().find(|(known, ..)| *known == name);
    let help = of_name.map_or("", |(_, help, _)| help);
    snapshot.gauge(name, help, &[(&[], at)]);
}

/// Returns the families of all known times that are not in the future: these were recorded while a clock was wrong.
pub(super) fn last_time_families(last: LastTimes, now: f64) -> Families {
    let mut families = Families::new();
    for (name, help, read) in LAST_TIMES {
        if let Some(at) = read(last).filter(|at| *at <= now) {
            insert_gauge(&mut families, name, help, at);
        }
    }
    families
}

/// Returns the families about runs in a row.
pub(super) fn streak_families(streak: Streak) -> Families {
    let mut families = Families::new();
    let mut add = |name, help, value| insert_gauge(&mut families, name, help, value);
    #[expect(clippy::cast_precision_loss, reason = "a gauge is an f64")]
    let (failures, successes) = (streak.failures as f64, streak.successes as f64);
    add(
        "batch_job_consecutive_failures",
        "Number of runs that have failed since the last success.",
        failures,
    );
    add(
        "batch_job_consecutive_successes",
        "Number of runs that have succeeded since the last failure.",
        successes,
    );
    if let Some(since) = streak.failing_since {
        add(
            FAILING_SINCE,
            "Time when the first run started that has failed since the last success.",
            since,
        );
    }
    families
}
