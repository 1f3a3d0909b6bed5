//! `RunHistory` and `FinishedRun`: what became of the last runs of a group, as callers read it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::labels::GroupingKey;
use crate::outcome::Outcome;

/// What became of the last runs of a group, as this machine has recorded it.
///
/// [`history`](crate::history()) returns it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunHistory {
    pub(crate) key: GroupingKey,
    pub(crate) last: LastTimes,
    pub(crate) streak: Streak,
    pub(crate) runs: Vec<FinishedRun>,
}

/// When a run last ended with each kind of outcome, in Unix seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LastTimes {
    pub(crate) success: Option<f64>,
    pub(crate) failure: Option<f64>,
    pub(crate) abandoned: Option<f64>,
    pub(crate) skipped: Option<f64>,
}

/// How many runs in a row have succeeded or failed. Skipped runs do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Streak {
    pub(crate) failures: u64,
    pub(crate) successes: u64,
    /// When the first failed run of the streak started, in Unix seconds.
    pub(crate) failing_since: Option<f64>,
}

/// Numbers of records of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordCounts {
    /// The records that were processed.
    pub processed: u64,
    /// The records that could not be processed.
    pub failed: u64,
    /// The records that were left out on purpose.
    pub skipped: u64,
}

/// One run of a [`RunHistory`].
#[derive(Clone, Debug, PartialEq)]
pub struct FinishedRun {
    pub(crate) id: String,
    /// Unix seconds.
    pub(crate) started_at: f64,
    /// Unix seconds.
    pub(crate) ended_at: f64,
    pub(crate) duration: Option<Duration>,
    pub(crate) outcome: Outcome,
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) records: Option<RecordCounts>,
    pub(crate) stages: Vec<(String, Duration)>,
    pub(crate) attempts: u32,
    pub(crate) reason: Option<String>,
}

impl RunHistory {
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

impl FinishedRun {
    /// Returns the id of the run, which [`RunHandle::id`](crate::RunHandle::id) returned during the run.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns when the run started.
    #[must_use]
    pub fn started_at(&self) -> SystemTime {
        instant(self.started_at)
    }

    /// Returns when the run ended, or when it was found if its process died without a report.
    #[must_use]
    pub fn ended_at(&self) -> SystemTime {
        instant(self.ended_at)
    }

    /// Returns how long the run took; `None` if its process died without a report.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.duration
    }

    /// Returns how the run ended.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns the exit code of its process, if it is known.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        self.exit_code
    }

    /// Returns the number of the signal that ended its process.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        self.signal
    }

    /// Returns the numbers of its records; `None` if it has counted none.
    #[must_use]
    pub fn records(&self) -> Option<RecordCounts> {
        self.records
    }

    /// Returns the stages of the run with their durations, ordered by name.
    #[must_use]
    pub fn stages(&self) -> &[(String, Duration)] {
        &self.stages
    }

    /// Returns the number of attempts to deliver its outcome.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns why the run failed: the message and place of a panic, the text of an error, or the last lines of a
    /// command. Control characters are escaped.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

/// Returns the instant of a timestamp in Unix seconds. An invalid one becomes the epoch.
fn instant(unix_seconds: f64) -> SystemTime {
    UNIX_EPOCH + Duration::try_from_secs_f64(unix_seconds).unwrap_or_default()
}
