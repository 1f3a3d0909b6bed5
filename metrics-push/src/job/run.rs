//! `Run`: one execution of a job, and the guard that reports its completion.
//!
//! All state belongs to the run, so that runs of one job may overlap, nest and recurse. Reporting a run never fails: if
//! its metrics cannot be delivered, a line is logged, and the job continues.

use std::fmt;
use std::ops::Deref;

use super::run_handle::RunHandle;
use super::shutdown::finish_all;
use super::spec::JobSpec;
use super::start;
use crate::log::EnteredRunSpan;
use crate::outcome::{Outcome, Standing, Verdict};

/// One execution of a [`Job`](crate::Job).
///
/// It ends with [`finish`](Self::finish). A run that is dropped before that is reported as a panic if its thread has
/// started to unwind since the start, and as cancelled otherwise.
///
/// The methods of [`RunHandle`] count records, time stages and create metrics.
#[must_use = "a run ends when it is dropped"]
pub struct Run {
    handle: RunHandle,
    was_panicking: bool,
}

impl Run {
    pub(super) fn start(spec: JobSpec, grouping: &[(&str, &dyn fmt::Display)]) -> Self {
        let active = start::start_run(spec, grouping, finish_all);
        Self { handle: RunHandle::new(active), was_panicking: std::thread::panicking() }
    }

    /// Ends the run.
    pub fn finish(self, outcome: Outcome) {
        self.active.finish(outcome);
    }

    /// Ends the run as a failure with this error, which [`record_error`](RunHandle::record_error) stores in the history.
    ///
    /// ```
    /// use metrics_push::{Job, Outcome};
    ///
    /// let run = Job::new("rotate_logs").start();
    /// match std::fs::rename("app.log", "app.log.1") {
    ///     Ok(()) => run.finish(Outcome::Success),
    ///     Err(error) => run.fail(&error),
    /// }
    /// ```
    pub fn fail(self, error: &dyn fmt::Debug) {
        self.record_error(error);
        self.finish(Outcome::Error);
    }

    /// Enters the `tracing` span of the run on this thread.
    pub(crate) fn enter_span(&self) -> EnteredRunSpan {
        self.active.enter_span()
    }

    /// Ends the run with the verdict on its body. If the verdict is not final and the run is a whole process, the exit
    /// handler ends the run with the exit code.
    pub(crate) fn conclude(&self, verdict: Verdict) {
        if verdict.standing == Standing::Final || !self.active.defer_to_exit() {
            self.active.finish(verdict.outcome);
        }
    }
}

impl Deref for Run {
    type Target = RunHandle;

    fn deref(&self) -> &RunHandle {
        &self.handle
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

    #[cfg(feature = "testing")]
    #[test]
    fn heartbeat_does_not_replace_the_progress_of_a_run_that_ends() {
        let gateway = crate::testing::FakeGateway::start();
        let _scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
        for number in 0..100 {
            let run = Run::start(JobSpec::new(Cow::Borrowed("busy")), &[("number", &number)]);
            let active = std::sync::Arc::clone(&run.active);
            std::thread::scope(|scope| {
                scope.spawn(|| while active.submit_heartbeat() {});
                run.progress(1, 1);
                run.finish(Outcome::Success);
            });
        }
        assert_eq!(crate::flush(Duration::from_secs(60)), 0);
        for number in 0..100 {
            let group = gateway.group("busy", &[("number", &number.to_string())]);
            group.assert_value("batch_job_progress_ratio", &[], 1.0);
        }
    }
}
