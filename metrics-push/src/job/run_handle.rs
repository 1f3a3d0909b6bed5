//! `RunHandle`: what the body of a run uses to count records, time stages, report progress and create metrics.

use std::fmt;
use std::sync::Arc;
use std::thread;

use super::active_run::ActiveRun;
use crate::clock::Moment;
use crate::error::Error;
use crate::label_text::render;
use crate::log;
use crate::metrics::{Counter, Gauge, Histogram, MetricFactory, Registry};

/// A handle of a [`Run`](crate::Run) for tasks and threads, which [`handle`](Self::handle) returns.
///
/// It can be cloned and sent to other threads. It does not extend the run, which ends when its function returns. Calls
/// on the handle after that have no effect.
///
/// ```
/// # use metrics_push::push_job;
/// #[push_job(run = run)]
/// fn import() {
///     let handle = run.handle();
///     let worker = std::thread::spawn(move || handle.add_processed(3));
///     worker.join().unwrap();
/// }
/// # import();
/// ```
#[derive(Clone)]
pub struct RunHandle {
    pub(super) active: Arc<ActiveRun>,
}

impl RunHandle {
    pub(super) const fn new(active: Arc<ActiveRun>) -> Self {
        Self { active }
    }

    /// Returns an owned handle, for example for `tokio::spawn`, `tokio::task::spawn_blocking`, `std::thread::spawn` or
    /// a `rayon` closure.
    #[must_use]
    pub fn handle(&self) -> Self {
        self.clone()
    }

    /// Returns the id of this run: 16 hexadecimal digits that no other run has.
    ///
    /// The [history](crate::history()) of the group contains it, and so do the library's log lines about the run and the
    /// `tracing` span `run` in which the body runs. It is not a label, because each run would create a new series.
    #[must_use]
    pub fn id(&self) -> &str {
        self.active.id()
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

    /// Times a stage until the returned guard is dropped. The times of stages with the same name add up. If the run fails, the
    /// history has the [stage in which it failed](crate::FinishedRun::failed_stage), or the
    /// [stage that ended last](crate::FinishedRun::last_stage).
    ///
    /// ```
    /// # metrics_push::Job::new("doc").run(|run| -> Result<(), ()> {
    /// let extract = run.stage("extract");
    /// // read the input
    /// drop(extract);
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn stage(&self, name: impl Into<String>) -> Stage<'_> {
        let name = name.into();
        self.active.progress().start_stage(&name);
        Stage { active: &self.active, name, started: Moment::now() }
    }

    /// Sets the progress, which the next heartbeat pushes.
    pub fn progress(&self, done: u64, total: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more digits")]
        let ratio = if done >= total { 1.0 } else { done as f64 / total as f64 };
        self.active.progress().ratio = Some(ratio);
    }

    /// Stores the text of an error in the [history](crate::history()), if the run fails. A later error or panic replaces it.
    ///
    /// The text is that of `Debug`, with at most 1,024 bytes. It stays on this machine: no metric has it.
    pub fn record_error(&self, error: &dyn fmt::Debug) {
        self.active.set_error(error);
    }

    /// Declares that there is nothing to do. If the run then succeeds, its outcome is `skipped`.
    ///
    /// A skipped run counts neither as a success nor as a failure.
    pub fn skip(&self, reason: impl fmt::Display) {
        let (reason, _) = render(&reason);
        let (name, id) = (self.active.name(), self.id());
        log::debug(format_args!("the run of {name} is skipped: {reason}; run {id}"));
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
}

impl fmt::Debug for RunHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunHandle")
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
        let name = std::mem::take(&mut self.name);
        self.active.progress().end_stage(name, elapsed, thread::panicking());
    }
}

impl fmt::Debug for Stage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("name", &self.name).finish_non_exhaustive()
    }
}
