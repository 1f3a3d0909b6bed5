//! Job (static): what is known of a task before any run of it, and how a run is started by hand.

mod ending;
mod entry;
#[cfg(unix)]
mod exec;
mod exit;
mod facts;
mod farewell;
mod journal;
mod open;
pub(crate) mod outcome;
mod panic;
pub(crate) mod recovery;
mod report;
pub(crate) mod run;
mod signal;
mod supervise;
mod telling;
mod usage;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use self::journal::Durability;
use crate::metrics::Registry;
use crate::pipeline::Pipeline;
use crate::push_request::Verb;

#[cfg(test)]
pub(crate) use outcome::Standing;
pub use outcome::{Outcome, Verdict};
pub use run::{Run, Stage};

/// How many expected intervals may pass without a success: one, and one more for slack. Prometheus' practices
/// ask for time enough for two full runs, since a single failure should not need a person.
const INTERVALS_TO_DEADLINE: u32 = 2;

/// A named task, and what is expected of its runs. `#[push_job]` makes one from its arguments.
///
/// By hand, in a scheduler:
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
    name: Cow<'static, str>,
    every: Option<Duration>,
    max_runtime: Option<Duration>,
    heartbeat: Option<Duration>,
    on_success: Verb,
    version: Option<&'static str>,
    registry: Option<fn() -> &'static Registry>,
    extent: Extent,
    signals: Signals,
    durability: Durability,
    supervision: Supervision,
    enforcement: Enforcement,
}

/// Whose signals are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signals {
    /// A whole process reports before one ends it.
    Reported,
    /// The program's alone.
    Untouched,
}

/// Who sees how a whole process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Supervision {
    /// The process itself, as far as it can.
    None,
    /// A parent process of ours.
    Parent,
}

/// What happens to a run that takes longer than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Enforcement {
    /// Somebody is told, by an alert rule.
    Alert,
    /// Its supervisor ends it.
    Kill,
}

/// What ends when a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// One of many in its process.
    Task,
    /// The process with it.
    Process,
}

impl Job {
    /// A job of this name, which becomes the `job` label.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self::from_name(Cow::Borrowed(name))
    }

    /// A job whose name is known only when the program runs.
    #[must_use]
    pub fn with_name(name: impl Into<String>) -> Self {
        Self::from_name(Cow::Owned(name.into()))
    }

    const fn from_name(name: Cow<'static, str>) -> Self {
        Self {
            name,
            every: None,
            max_runtime: None,
            heartbeat: None,
            on_success: Verb::Push,
            version: None,
            registry: None,
            extent: Extent::Task,
            signals: Signals::Reported,
            durability: Durability::Process,
            supervision: Supervision::None,
            enforcement: Enforcement::Alert,
        }
    }

    /// The expected interval between successes. The exported deadline leaves time for one more.
    #[must_use]
    pub const fn every(mut self, interval: Duration) -> Self {
        self.every = Some(interval);
        self
    }

    /// How long a run may take before it counts as lost.
    #[must_use]
    pub const fn max_runtime(mut self, duration: Duration) -> Self {
        self.max_runtime = Some(duration);
        self
    }

    /// Pushes progress while a run lasts, at this interval.
    ///
    /// # Panics
    /// If the interval is zero.
    #[must_use]
    pub const fn heartbeat(mut self, interval: Duration) -> Self {
        assert!(!interval.is_zero(), "a heartbeat needs an interval longer than zero");
        self.heartbeat = Some(interval);
        self
    }

    /// What a success does to the group: [`Verb::Push`], the default, replaces it; [`Verb::Add`] keeps what is no
    /// longer exported.
    ///
    /// # Panics
    /// For [`Verb::Delete`]: a success that removes its own group leaves nothing to watch.
    #[must_use]
    pub const fn on_success(mut self, verb: Verb) -> Self {
        assert!(
            !matches!(verb, Verb::Delete),
            "on success a group is replaced or added to, not deleted"
        );
        self.on_success = verb;
        self
    }

    /// The version in `batch_job_info`.
    #[must_use]
    pub const fn version(mut self, version: Option<&'static str>) -> Self {
        self.version = version;
        self
    }

    /// Pushes this registry with every run, in place of the default one of a whole process.
    #[must_use]
    pub const fn registry(mut self, registry: fn() -> &'static Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// The job of a whole process: a run pushes the default registry, too, uses the pipeline's job name, and
    /// waits at its end for the delivery, since nobody else will.
    #[must_use]
    pub const fn whole_process(mut self) -> Self {
        self.extent = Extent::Process;
        self
    }

    /// Leaves signals alone: one that ends the process is then found by the journal or by a supervisor.
    ///
    /// Without this, TERM, INT, HUP, QUIT and XCPU are reported before they end a [whole process](Self::whole_process),
    /// unless the program handles or ignores them itself. For a task they always are the scheduler's.
    #[must_use]
    pub const fn without_signal_hooks(mut self) -> Self {
        self.signals = Signals::Untouched;
        self
    }

    /// Has the journal survive a power loss: each start and end waits until it is on the disk, some milliseconds.
    ///
    /// Without this it survives the death of the process, and of the machine up to what the file system had not yet
    /// written. Without a state directory there is no journal.
    #[must_use]
    pub const fn durable_journal(mut self) -> Self {
        self.durability = Durability::Machine;
        self
    }

    /// Has a parent process of ours see how a [whole process](Self::whole_process) ends, so that SIGKILL, running out of
    /// memory, `abort`, a stack overflow and `_exit` are reported at once and exactly.
    ///
    /// The program starts itself once more where the run starts, and stays as the parent: what `main` did before it is
    /// done twice. Signals, the terminal, the exit status and death by a signal pass through. On platforms other than
    /// Unix, and if nothing is pushed, this does nothing.
    #[must_use]
    pub const fn supervise(mut self) -> Self {
        self.supervision = Supervision::Parent;
        self
    }

    /// Ends a run that takes longer than [`max_runtime`](Self::max_runtime): TERM, ten seconds' grace, KILL. Its outcome is
    /// a timeout. Implies [`supervise`](Self::supervise).
    #[must_use]
    pub const fn kill_after_max_runtime(mut self) -> Self {
        self.enforcement = Enforcement::Kill;
        self.supervise()
    }

    /// Becomes the parent of a process that goes on, if this job wants one and it can be had.
    pub(crate) fn ensure_supervisor(&self) {
        let pipeline = Pipeline::current();
        let wants = self.extent == Extent::Process && self.supervision == Supervision::Parent;
        if wants && !pipeline.routes.is_empty() {
            supervise::supervise(self, &pipeline);
        }
    }

    fn listens_to_signals(&self) -> bool {
        self.signals == Signals::Reported
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts a run. It ends with [`Run::finish`], or when it is dropped.
    pub fn start(&self) -> Run {
        self.start_with(&[])
    }

    /// Starts a run with further grouping labels; those with an empty value are left out.
    pub fn start_with(&self, grouping: &[(&str, &dyn fmt::Display)]) -> Run {
        Run::start(self.clone(), grouping)
    }

    /// Runs `body` as a run of this job. An `Err` is a failure, a panic is one, too, and goes on as it would.
    ///
    /// # Errors
    /// Those of `body`, unchanged.
    pub fn run<T, E>(&self, body: impl FnOnce(&Run) -> Result<T, E>) -> Result<T, E> {
        let run = self.start();
        let result = body(&run);
        run.finish(if result.is_ok() { Outcome::Success } else { Outcome::Error });
        result
    }

    fn success_deadline(&self) -> Option<Duration> {
        self.every.map(|interval| interval.saturating_mul(INTERVALS_TO_DEADLINE))
    }
}
