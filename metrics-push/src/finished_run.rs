//! `FinishedRun`: how a run ended. A request reports it, and the history stores it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::line_fields::{LineBuilder, LineFields};
use crate::outcome::Outcome;

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

impl RecordCounts {
    /// Returns the numbers as one value of a field in a file.
    pub(crate) fn to_text(self) -> String {
        let Self { processed, failed, skipped } = self;
        format!("{processed} {failed} {skipped}")
    }

    /// Reads what [`to_text`](Self::to_text) has returned.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Self { processed: next()?, failed: next()?, skipped: next()? })
    }
}

/// The stage to which the failure of a run belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FailedStage {
    pub(crate) name: String,
    /// The stage ended before the run, so the run failed in it or after it.
    pub(crate) has_ended: bool,
}

impl FailedStage {
    /// Adds the stage to a line.
    pub(crate) fn write(&self, line: &mut LineBuilder) {
        line.field(if self.has_ended { "last_stage" } else { "failed_stage" }, &self.name);
    }

    /// Reads what [`write`](Self::write) has added.
    pub(crate) fn read(fields: &LineFields<'_>) -> Option<Self> {
        let stage = |field, has_ended| {
            fields.text(field).map(|name| Self { name: name.to_owned(), has_ended })
        };
        stage("failed_stage", false).or_else(|| stage("last_stage", true))
    }
}

/// One run of a [`RunHistory`](crate::RunHistory).
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
    /// `None` until it is known that it is not 1.
    pub(crate) attempts: Option<u32>,
    pub(crate) failed_stage: Option<FailedStage>,
    pub(crate) reason: Option<String>,
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

    /// Returns the number of attempts that its process has made to deliver its outcome.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts.unwrap_or(1)
    }

    /// Returns the stage in which the run failed: the innermost one that was open at its end, or the innermost one that a
    /// panic ended. The name has at most 128 bytes. `None` if the run has not failed, if it failed outside of a stage, if
    /// it may have failed after its [last stage](Self::last_stage), or if its process died without a report.
    #[must_use]
    pub fn failed_stage(&self) -> Option<&str> {
        self.stage_if(false)
    }

    /// Returns the stage that ended last, if the run failed without a panic while no stage was open. The run failed in this
    /// stage or after it: an error that is returned with `?` ends its stage before the run. The name has at most 128 bytes.
    #[must_use]
    pub fn last_stage(&self) -> Option<&str> {
        self.stage_if(true)
    }

    fn stage_if(&self, has_ended: bool) -> Option<&str> {
        let stage = self.failed_stage.as_ref().filter(|stage| stage.has_ended == has_ended)?;
        Some(&stage.name)
    }

    /// Returns why the run failed: the message and place of a panic, the text of an error, or the last lines of a
    /// command. Control characters are escaped.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

/// Returns the instant of a timestamp in Unix seconds. An invalid one becomes the epoch.
pub(crate) fn instant(unix_seconds: f64) -> SystemTime {
    UNIX_EPOCH + Duration::try_from_secs_f64(unix_seconds).unwrap_or_default()
}
