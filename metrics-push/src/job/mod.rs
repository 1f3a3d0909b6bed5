//! `Job`: a task with its settings. Its runs are [`Run`]s.

mod acknowledgement;
mod active_run;
mod completion;
#[cfg(unix)]
mod exec;
mod failure_reason;
mod hooks;
#[cfg(unix)]
mod inherited_state;
mod journal;
#[cfg(unix)]
mod posix_signals;
mod process_state;
mod progress;
mod resource_usage;
pub(crate) mod run;
mod run_ending;
mod run_handle;
mod run_id;
mod run_metrics;
mod run_record;
#[cfg(any(feature = "schedule", doc))] // The guide links to it.
mod schedule;
mod shutdown;
mod spec;
mod start;
mod supervisor;
mod timing;
mod waiting;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::metrics::Registry;
use crate::push_request::Verb;
use spec::{
    Durability, Enforcement, Extent, JobSpec, MIN_HEARTBEAT_INTERVAL, SignalHooks, Supervision,
};

pub use crate::outcome::{Outcome, Verdict};
#[cfg(any(test, fuzzing))]
pub(crate) use journal::fuzz;
pub(crate) use journal::orphaned_run::{OrphanedRun, orphaned_runs};
pub(crate) use journal::recovery;
pub use run::Run;
pub use run_handle::{RunHandle, Stage};
#[cfg(all(unix, any(test, fuzzing)))]
pub(crate) use supervisor::fuzz as supervisor_fuzz;

/// Reports the runs of tasks that are active when a signal ends the process, with the outcome `signal`.
///
/// A [whole process](Job::whole_process), such as an annotated `main`, does so by default. Task functions leave signals
/// to their scheduler, so call this at the start of a scheduler that does not handle signals. Further calls have no
/// effect.
///
/// It applies to SIGTERM, SIGINT, SIGHUP, SIGQUIT and SIGXCPU, except those that the program ignores or handles itself,
/// before or after this call. After the report, the signal ends the process with the usual status. Has no effect on
/// platforms other than Unix, or if nothing is pushed.
///
/// ```
/// use metrics_push::push_job;
///
/// #[push_job]
/// fn rotate_logs() {}
///
/// metrics_push::report_signals();
/// // Call `rotate_logs` each day.
/// # rotate_logs();
/// ```
pub fn report_signals() {
    start::report_signals(shutdown::finish_all);
}

/// A named task and the expectations of its runs. `#[push_job]` creates one from its arguments.
///
/// A scheduler can use it directly:
///
/// ```
/// use metrics_push::Job;
/// use std::time::Duration;
///
/// static CLEANUP: Job = Job::new("cleanup").every(Duration::from_secs(3_600));
///
/// fn cleanup() -> Result<(), std::io::Error> {
///     CLEANUP.run(|run| {
///         run.add_processed(17);
///         Ok(())
///     })
/// }
/// # cleanup().unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Job {
    spec: JobSpec,
}

impl Job {
    /// Returns a job with this name, which becomes the `job` label.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { spec: JobSpec::new(Cow::Borrowed(name)) }
    }

    /// Returns a job with a name that is created at run time.
    #[must_use]
    pub fn with_name(name: impl Into<String>) -> Self {
        Self { spec: JobSpec::new(Cow::Owned(name.into())) }
    }

    /// Sets the expected interval between successes. The exported deadline is twice as long, so that one run may fail.
    /// Replaces a schedule.
    #[must_use]
    pub const fn every(mut self, interval: Duration) -> Self {
        self.spec.every = Some(interval);
        self.spec.schedule = None;
        self
    }

    /// Sets how late a run may start. An alert rule fires for a run that does not start in time. The default is half the
    /// interval of [`every`](Self::every), or five minutes after the time of a schedule.
    #[must_use]
    pub const fn grace(mut self, duration: Duration) -> Self {
        self.spec.grace = Some(duration);
        self
    }

    /// Sets how many runs in a row must fail before an alert rule fires. The default is 1. The number of failures in a row
    /// is stored in the state directory; without it, a failure counts as the first one.
    #[must_use]
    pub const fn failure_threshold(mut self, runs: u32) -> Self {
        self.spec.failure_threshold = Some(runs);
        self
    }

    /// Sets how many runs in a row must succeed before the alert rule about failures ends. The default is 1.
    #[must_use]
    pub const fn recovery_threshold(mut self, runs: u32) -> Self {
        self.spec.recovery_threshold = Some(runs);
        self
    }

    /// Sets how long a run may take. An alert rule fires for a run that takes longer.
    #[must_use]
    pub const fn max_runtime(mut self, duration: Duration) -> Self {
        self.spec.max_runtime = Some(duration);
        self
    }

    /// Pushes the progress of a run at this interval. An interval shorter than a second becomes a second, because each
    /// heartbeat is a request to the gateway.
    #[must_use]
    pub const fn heartbeat(mut self, interval: Duration) -> Self {
        let is_too_short = interval.as_nanos() < MIN_HEARTBEAT_INTERVAL.as_nanos();
        self.spec.heartbeat = Some(if is_too_short { MIN_HEARTBEAT_INTERVAL } else { interval });
        self
    }

    /// Sets how a success changes the group. [`Verb::Push`], the default, replaces it; [`Verb::Add`] leaves families that
    /// the job no longer exports.
    ///
    /// # Panics
    /// If `verb` is [`Verb::Delete`]: alerts need the group.
    #[must_use]
    pub const fn on_success(mut self, verb: Verb) -> Self {
        assert!(
            !matches!(verb, Verb::Delete),
            "a success cannot delete its group: use Verb::Push or Verb::Add"
        );
        self.spec.on_success = verb;
        self
    }

    /// Adds up the counters and histograms of this job over its runs, so that `increase()` and `rate()` in Prometheus are
    /// right over runs. By default, each run pushes what it has counted itself.
    ///
    /// The totals are in the [history](crate::history()) in the state directory; without one, nothing adds up. The group needs
    /// a label that distinguishes machines, such as `instance`, or the setting
    /// [`Config::enable_totals`](crate::Config::enable_totals). The metrics of a [registry](Self::registry) that the runs of a
    /// process share do not change: they add up already.
    #[must_use]
    pub const fn cumulative(mut self) -> Self {
        self.spec.is_cumulative = true;
        self
    }

    /// Sets the version in `batch_job_info`.
    #[must_use]
    pub const fn version(mut self, version: Option<&'static str>) -> Self {
        self.spec.version = version;
        self
    }

    /// Pushes this registry with every run. A whole process pushes it instead of the default registry.
    #[must_use]
    pub const fn registry(mut self, registry: fn() -> &'static Registry) -> Self {
        self.spec.registry = Some(registry);
        self
    }

    /// Declares that the process ends when the run does. Such a run also pushes the default registry, takes its name from
    /// the configuration if that has one, and waits for the delivery when it finishes.
    #[must_use]
    pub const fn whole_process(mut self) -> Self {
        self.spec.extent = Extent::Process;
        self
    }

    /// Installs no signal handlers. The journal or a supervisor then reports a process that a signal has ended.
    ///
    /// By default, a [whole process](Self::whole_process) reports its run before SIGTERM, SIGINT, SIGHUP, SIGQUIT or
    /// SIGXCPU ends it, unless the program handles or ignores that signal itself. For tasks no handlers are installed.
    #[must_use]
    pub const fn without_signal_hooks(mut self) -> Self {
        self.spec.signal_hooks = SignalHooks::Disabled;
        self
    }

    /// Syncs the journal to the disk at each start and completion, so that it survives a power loss. Each sync takes
    /// some milliseconds.
    ///
    /// By default, the journal survives the death of the process. After a power loss, it has only the lines that the
    /// file system has written to the disk. Without a state directory there is no journal.
    #[must_use]
    pub const fn durable_journal(mut self) -> Self {
        self.spec.durability = Durability::Machine;
        self
    }

    /// Runs a [whole process](Self::whole_process) under a supervisor, which reports SIGKILL, an out-of-memory kill,
    /// `abort`, a stack overflow and `_exit` at once and with the exact cause.
    ///
    /// The program executes itself again when the run starts and stays as the parent process, so `main` runs up to that
    /// point twice. Signals, the terminal, the exit status and death by a signal pass through. Has no effect on
    /// platforms other than Unix, or if nothing is pushed.
    #[must_use]
    pub const fn supervise(mut self) -> Self {
        self.spec.supervision = Supervision::Parent;
        self
    }

    /// Like [`supervise`](Self::supervise), for a run that only [executes](Run::exec) a command. If this process has one
    /// thread, it is copied instead of executing the program again, and the supervisor pushes the start. For `metrics-push
    /// exec`.
    #[doc(hidden)]
    #[must_use]
    pub const fn supervise_copy(mut self) -> Self {
        self.spec.supervision = Supervision::Copy;
        self
    }

    /// Ends a run that exceeds [`max_runtime`](Self::max_runtime): SIGTERM first, SIGKILL ten seconds later. Its outcome is
    /// `timeout`. Implies [`supervise`](Self::supervise).
    #[must_use]
    pub const fn kill_after_max_runtime(mut self) -> Self {
        self.spec.enforcement = Enforcement::Kill;
        self.supervise()
    }

    /// Stores the last lines that a failed process has written to stderr in the [history](crate::history()), at most 1,024
    /// bytes. The default is 0, because an output may contain secrets. Needs a state directory and a
    /// [supervisor](Self::supervise).
    ///
    /// The supervisor copies the output to its own stderr, so stderr of the process is a pipe instead of a terminal or a
    /// file. A process that this one leaves in the background must redirect its own stderr.
    #[must_use]
    pub const fn output_lines(mut self, lines: usize) -> Self {
        self.spec.output_lines = lines;
        self
    }

    /// Sets the exit codes of a [whole process](Self::whole_process) that mean success, besides 0.
    #[must_use]
    pub fn ok_exit_codes(mut self, codes: impl IntoIterator<Item = i32>) -> Self {
        self.spec.exit_codes.ok = codes.into_iter().collect();
        self
    }

    /// Sets the exit codes of a [whole process](Self::whole_process) that mean that it had nothing to do. Its outcome is
    /// then `skipped`, also if the code is one of [`ok_exit_codes`](Self::ok_exit_codes).
    ///
    /// ```
    /// use metrics_push::Job;
    ///
    /// // 75 is EX_TEMPFAIL of sysexits.h: another process holds the lock.
    /// let sync = Job::new("sync").whole_process().skip_exit_codes([75]);
    /// # let _ = sync;
    /// ```
    #[must_use]
    pub fn skip_exit_codes(mut self, codes: impl IntoIterator<Item = i32>) -> Self {
        self.spec.exit_codes.skip = codes.into_iter().collect();
        self
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Continues in a child process if the job is supervised. The calling process becomes the supervisor and does not
    /// return.
    pub(crate) fn ensure_supervisor(&self) {
        supervisor::ensure(&self.spec);
    }

    /// Starts a run. It ends with [`Run::finish`], or when it is dropped.
    pub fn start(&self) -> Run {
        self.start_with(&[])
    }

    /// Starts a run with further grouping labels. Labels with an empty value are left out.
    pub fn start_with(&self, grouping: &[(&str, &dyn fmt::Display)]) -> Run {
        Run::start(self.spec.clone(), grouping)
    }

    /// Calls `body` as a run of this job. An `Err` is a failure. A panic is a failure as well and is propagated.
    ///
    /// The type of the error has no bound, so the history has no text of it, unless `body` calls [`RunHandle::record_error`]:
    ///
    /// ```
    /// # use metrics_push::Job;
    /// # fn rotate_logs() -> std::io::Result<()> { Ok(()) }
    /// Job::new("rotate_logs").run(|run| rotate_logs().inspect_err(|error| run.record_error(error)))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `body`, unchanged.
    pub fn run<T, E>(&self, body: impl FnOnce(&Run) -> Result<T, E>) -> Result<T, E> {
        let run = self.start();
        let span = run.enter_span();
        let result = body(&run);
        drop(span);
        run.finish(if result.is_ok() { Outcome::Success } else { Outcome::Error });
        result
    }
}
