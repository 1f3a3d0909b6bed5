//! Run (one execution): the handle the body uses, and the guard that reports the end, whichever way it comes.
//!
//! All state is the run's own, so that runs of one job may overlap, nest and recurse. Nothing here fails: what
//! cannot be delivered is told on stderr, and the job goes on.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::open::Open;
use super::outcome::Standing;
use super::{Job, Outcome, Verdict};
use crate::clock::Moment;
use crate::error::Error;
use crate::log;
use crate::metrics::{Counter, Gauge, Histogram, MetricFactory, Registry};

/// One execution of a [`Job`].
///
/// It ends with [`finish`](Self::finish); one that is dropped before is reported as a panic if the thread
/// has begun to unwind since the start, and as cancelled otherwise.
#[must_use = "a run that is dropped has ended"]
pub struct Run {
    pub(super) open: Arc<Open>,
    was_panicking: bool,
}

impl Run {
    pub(super) fn start(job: Job, grouping: &[(&str, &dyn fmt::Display)]) -> Self {
        Self { open: Open::start(job, grouping), was_panicking: std::thread::panicking() }
    }

    /// Counts records that were processed.
    pub fn add_processed(&self, records: u64) {
        self.open.count(|counts| counts.processed = counts.processed.saturating_add(records));
    }

    /// Counts records that could not be processed.
    pub fn add_failed(&self, records: u64) {
        self.open.count(|counts| counts.failed = counts.failed.saturating_add(records));
    }

    /// Counts records that were left out on purpose.
    pub fn add_skipped(&self, records: u64) {
        self.open.count(|counts| counts.skipped = counts.skipped.saturating_add(records));
    }

    /// Times a stage, until the returned guard is dropped. Times of stages with one name add up.
    ///
    /// ```
    /// # metrics_push::Job::new("doc").run(|run| -> Result<(), ()> {
    /// let extract = run.stage("extract");
    /// // read the input
    /// drop(extract);
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn stage(&self, name: impl Into<String>) -> Stage<'_> {
        Stage { open: &self.open, name: name.into(), started: Moment::now() }
    }

    /// Tells how much is done; a heartbeat pushes it.
    pub fn progress(&self, done: u64, total: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more digits")]
        let ratio = if done >= total { 1.0 } else { done as f64 / total as f64 };
        self.open.progress().ratio = Some(ratio);
    }

    /// Declares that there was nothing to do: a run that then ends well is reported as skipped.
    ///
    /// A skipped run counts neither as a success nor as a failure.
    pub fn skip(&self, reason: impl fmt::Display) {
        log::debug(format_args!("{} skips this run: {reason}", self.open.job.name()));
        self.open.is_skipped.store(true, Ordering::Relaxed);
    }

    /// The registry of this run alone: what it holds is pushed with it.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        self.open.registry.get_or_init(Registry::new)
    }

    /// A counter of this run.
    ///
    /// # Errors
    /// `is_metric`, if the name is invalid or belongs to another metric of this run.
    #[track_caller]
    pub fn counter(&self, name: &str, help: &str) -> Result<Counter, Error> {
        MetricFactory::with(self.registry()).counter(name, help)
    }

    /// A gauge of this run.
    ///
    /// # Errors
    /// `is_metric`, if the name is invalid or belongs to another metric of this run.
    #[track_caller]
    pub fn gauge(&self, name: &str, help: &str) -> Result<Gauge, Error> {
        MetricFactory::with(self.registry()).gauge(name, help)
    }

    /// A histogram of this run, with the default buckets.
    ///
    /// # Errors
    /// `is_metric`, if the name is invalid or belongs to another metric of this run.
    #[track_caller]
    pub fn histogram(&self, name: &str, help: &str) -> Result<Histogram, Error> {
        MetricFactory::with(self.registry()).histogram(name, help)
    }

    /// Ends the run.
    pub fn finish(self, outcome: Outcome) {
        self.open.end(outcome);
    }

    /// Ends the run as its body's result says; what a `main` returned may be left to the exit code.
    pub(crate) fn conclude(&self, verdict: Verdict) {
        if verdict.standing == Standing::Final || !self.open.leave_to_exit() {
            self.open.end(verdict.outcome);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let unwinds = std::thread::panicking() && !self.was_panicking;
        self.open.end(if unwinds { Outcome::Panic } else { Outcome::Cancelled });
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("job", &self.open.job.name())
            .field("address", &self.open.address)
            .finish_non_exhaustive()
    }
}

/// Times a stage of a run, until it is dropped.
#[must_use = "a stage lasts as long as its guard"]
pub struct Stage<'run> {
    open: &'run Open,
    name: String,
    started: Moment,
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        let took = Moment::now().since(self.started);
        *self.open.progress().stages.entry(std::mem::take(&mut self.name)).or_default() += took;
    }
}

impl fmt::Debug for Stage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Config;

    #[test]
    fn a_run_without_a_gateway_is_as_good_as_none() {
        let _scope = Config::default().scope().unwrap();
        let run = Job::new("quiet").heartbeat(Duration::from_secs(1)).start();
        run.add_processed(1);
        assert!(run.open.address.is_none());
        run.finish(Outcome::Success);
    }
}
