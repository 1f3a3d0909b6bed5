//! `Run`: one execution of a job. It is the handle that the body uses and the guard that reports the completion.
//!
//! All state belongs to the run, so that runs of one job may overlap, nest and recurse. Reporting a run never fails: if
//! its metrics cannot be delivered, a line is logged, and the job continues.

use std::fmt;
use std::sync::Arc;

use super::active_run::ActiveRun;
use super::outcome::{Outcome, Standing, Verdict};
use super::shutdown::finish_all;
use super::spec::JobSpec;
use super::start;
use crate::clock::Moment;
use crate::error::Error;
use crate::label_text::render;
use crate::log;
use crate::metrics::{Counter, Gauge, Histogram, MetricFactory, Registry};

/// One execution of a [`Job`](crate::Job).
///
/// It ends with [`finish`](Self::finish). A run that is dropped before that is reported as a panic if its thread has
/// started to unwind since the start, and as cancelled otherwise.
#[must_use = "a run ends when it is dropped"]
pub struct Run {
    pub(super) active: Arc<ActiveRun>,
    was_panicking: bool,
}

impl Run {
    pub(super) fn start(spec: JobSpec, grouping: &[(&str, &dyn fmt::Display)]) -> Self {
        let active = start::start_run(spec, grouping, finish_all);
        Self { active, was_panicking: std::thread::panicking() }
    }

    /// Adds to the number of processed records.
    pub fn add_processed(&self, records: u64) {
        self.active.count(|counts| counts.processed = counts.processed.saturating_add(records));
    }

    /// Adds to the number of records that could not be processed.
    pub fn add_failed(&self, records: u64) {
        self.active.count(|counts| counts.failed = counts.failed.saturating_add(records));
    }

    /// Adds to the number of records that were left out on purpose.
    pub fn add_skipped(&self, records: u64) {
        self.active.count(|counts| counts.skipped = counts.skipped.saturating_add(records));
    }

    /// Times a stage until the returned guard is dropped. The times of stages with the same name add up.
    ///
    /// ```
    /// # metrics_push::Job::new("doc").run(|run| -> Result<(), ()> {
    /// let extract = run.stage("extract");
    /// // read the input
    /// drop(extract);
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn stage(&self, name: impl Into<String>) -> Stage<'_> {
        Stage { active: &self.active, name: name.into(), started: Moment::now() }
    }

    /// Sets the progress, which the next heartbeat pushes.
    pub fn progress(&self, done: u64, total: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more digits")]
        let ratio = if done >= total { 1.0 } else { done as f64 / total as f64 };
        self.active.progress().ratio = Some(ratio);
    }

    /// Declares that there is nothing to do. If the run then succeeds, its outcome is `skipped`.
    ///
    /// A skipped run counts neither as a success nor as a failure.
    pub fn skip(&self, reason: impl fmt::Display) {
        let (reason, _) = render(&reason);
        log::debug(format_args!("the run of {} is skipped: {reason}", self.active.name()));
        self.active.mark_skipped();
    }

    /// Returns the registry of this run, which is pushed with it.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        self.active.registry()
    }

    /// Returns a counter of this run.
    ///
    /// # Errors
    /// `is_metric` if the name is invalid or belongs to another metric of this run.
    #[track_caller]
    pub fn counter(&self, name: &str, help: &str) -> Result<Counter, Error> {
        MetricFactory::with(self.registry()).counter(name, help)
    }

    /// Returns a gauge of this run.
    ///
    /// # Errors
    /// `is_metric` if the name is invalid or belongs to another metric of this run.
    #[track_caller]
    pub fn gauge(&self, name: &str, help: &str) -> Result<Gauge, Error> {
        MetricFactory::with(self.registry()).gauge(name, help)
    }

    /// Returns a histogram of this run with the default buckets.
    ///
    /// # Errors
    /// `is_metric` if the name is invalid or belongs to another metric of this run.
    #[track_caller]
    pub fn histogram(&self, name: &str, help: &str) -> Result<Histogram, Error> {
        MetricFactory::with(self.registry()).histogram(name, help)
    }

    /// Ends the run.
    pub fn finish(self, outcome: Outcome) {
        self.active.finish(outcome);
    }

    /// Ends the run with the verdict on its body. If the verdict is not final and the run is a whole process, the exit
    /// handler ends the run with the exit code.
    pub(crate) fn conclude(&self, verdict: Verdict) {
        if verdict.standing == Standing::Final || !self.active.defer_to_exit() {
            self.active.finish(verdict.outcome);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let is_unwinding = std::thread::panicking() && !self.was_panicking;
        self.active.finish(if is_unwinding { Outcome::Panic } else { Outcome::Cancelled });
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("job", &self.active.name())
            .field("key", &self.active.key())
            .finish_non_exhaustive()
    }
}

/// Times a stage of a run until it is dropped.
#[must_use = "a stage ends when its guard is dropped"]
pub struct Stage<'run> {
    active: &'run ActiveRun,
    name: String,
    started: Moment,
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        let elapsed = Moment::now().since(self.started);
        let mut progress = self.active.progress();
        *progress.stages.entry(std::mem::take(&mut self.name)).or_default() += elapsed;
    }
}

impl fmt::Debug for Stage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::time::Duration;

    use super::*;
    use crate::config::Config;

    #[test]
    fn run_without_a_gateway_has_no_key() {
        let _scope = Config::default().scope().unwrap();
        let mut spec = JobSpec::new(Cow::Borrowed("quiet"));
        spec.heartbeat = Some(Duration::from_secs(1));
        let run = Run::start(spec, &[]);
        run.add_processed(1);
        assert!(run.active.key().is_none());
        run.finish(Outcome::Success);
    }
}
