//! `RunHistory`: what became of the last runs of a group, as callers read it.

use std::time::SystemTime;

use super::history_state::{HistoryState, LastTimes, Streak};
use super::record::GroupRecord;
use crate::finished_run::{FinishedRun, instant};
use crate::labels::GroupingKey;

/// What became of the last runs of a group, as this machine has recorded it.
///
/// [`history`](crate::history()) returns it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunHistory {
    key: GroupingKey,
    last: LastTimes,
    streak: Streak,
    runs: Vec<FinishedRun>,
}

impl RunHistory {
    /// Returns the history of a record, without the runs that are too old. `now` is in Unix seconds.
    pub(super) fn new(mut record: GroupRecord, now: f64) -> Self {
        record.remove_old_runs(now);
        let runs = record.runs().collect();
        let HistoryState { key, last, streak, .. } = record.state;
        Self { key, last, streak, runs }
    }

    /// Returns the grouping key.
    #[must_use]
    pub fn key(&self) -> &GroupingKey {
        &self.key
    }

    /// Returns the last runs, oldest first.
    #[must_use]
    pub fn runs(&self) -> &[FinishedRun] {
        &self.runs
    }

    /// Returns when a run last succeeded.
    #[must_use]
    pub fn last_success(&self) -> Option<SystemTime> {
        self.last.success.map(instant)
    }

    /// Returns when a run last failed.
    #[must_use]
    pub fn last_failure(&self) -> Option<SystemTime> {
        self.last.failure.map(instant)
    }

    /// Returns when a run of a dead process was last found.
    #[must_use]
    pub fn last_abandoned(&self) -> Option<SystemTime> {
        self.last.abandoned.map(instant)
    }

    /// Returns when a run was last skipped.
    #[must_use]
    pub fn last_skipped(&self) -> Option<SystemTime> {
        self.last.skipped.map(instant)
    }

    /// Returns the number of runs that have failed since the last success. Skipped runs do not count.
    #[must_use]
    pub fn consecutive_failures(&self) -> u64 {
        self.streak.failures
    }

    /// Returns the number of runs that have succeeded since the last failure. Skipped runs do not count.
    #[must_use]
    pub fn consecutive_successes(&self) -> u64 {
        self.streak.successes
    }

    /// Returns when the first of the [consecutive failures](Self::consecutive_failures) started.
    #[must_use]
    pub fn failing_since(&self) -> Option<SystemTime> {
        self.streak.failing_since.map(instant)
    }
}
