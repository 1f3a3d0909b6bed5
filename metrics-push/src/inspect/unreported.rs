//! `UnreportedRun`: a run of a dead process in the state directory.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Kind};
use crate::job::{OrphanedRun, Outcome, orphaned_runs};
use crate::labels::GroupingKey;
use crate::pipeline::Pipeline;

/// A run of a dead process that is on no gateway and in no [`SpooledRequest`](crate::SpooledRequest).
///
/// Another process may report the run while a value of this type exists.
pub struct UnreportedRun {
    run: OrphanedRun,
    is_configured: bool,
}

/// Returns the runs in the state directory whose process has died before their outcome was delivered, oldest first.
///
/// The next run that [is configured](UnreportedRun::is_configured) for all gateways of such a run reports it.
/// [`recover`](crate::recover()) reports it on demand.
///
/// ```
/// for run in metrics_push::unreported_runs() {
///     match run.outcome() {
///         Some(outcome) => println!("{}: {outcome}", run.key()),
///         None => println!("{}: its process died during the run", run.key()),
///     }
/// }
/// ```
#[must_use]
pub fn unreported_runs() -> Vec<UnreportedRun> {
    let pipeline = Pipeline::current();
    let runs = orphaned_runs(&pipeline.state_dir).into_iter().map(|run| {
        let is_configured = run.sinks().iter().all(|sink| pipeline.present_url(sink).is_some());
        UnreportedRun { run, is_configured }
    });
    let mut runs: Vec<_> = runs.collect();
    runs.sort_by(|a, b| a.run.started_at().total_cmp(&b.run.started_at()));
    runs
}

impl UnreportedRun {
    /// Returns the URLs of its gateways, without credentials.
    #[must_use]
    pub fn urls(&self) -> &[String] {
        self.run.sinks()
    }

    /// Returns true if all its gateways are configured, so that the next run reports it.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.is_configured
    }

    /// Returns the grouping key.
    #[must_use]
    pub fn key(&self) -> &GroupingKey {
        self.run.key()
    }

    /// Returns when the run started.
    #[must_use]
    pub fn started_at(&self) -> SystemTime {
        let since_epoch = Duration::try_from_secs_f64(self.run.started_at()).unwrap_or_default();
        UNIX_EPOCH.checked_add(since_epoch).unwrap_or(UNIX_EPOCH)
    }

    /// Returns how the run ended; `None` if its process died during the run, so that it is reported as
    /// [abandoned](Outcome::Abandoned).
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.run.outcome()
    }

    /// Removes the run from the disk. Its outcome is lost.
    ///
    /// # Errors
    /// If the journal of the run cannot be changed.
    pub fn discard(self) -> Result<(), Error> {
        self.run.discard().map_err(cannot_change)
    }

    pub(super) fn replace_url(&self, from: &str, to: &str) -> Result<(), Error> {
        self.run.replace_sink(from, to).map_err(cannot_change)
    }
}

fn cannot_change(error: std::io::Error) -> Error {
    Error::new(Kind::Config, "cannot change the journal").caused_by(error)
}

impl fmt::Debug for UnreportedRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnreportedRun")
            .field("urls", &self.urls())
            .field("key", self.key())
            .field("started_at", &self.started_at())
            .field("outcome", &self.outcome())
            .finish_non_exhaustive()
    }
}
