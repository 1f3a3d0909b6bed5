//! `Job::exec`: runs a command as a child of this process, which reports how the command ends.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use super::Job;
use super::active_run::ActiveRun;
use super::hooks::signal;
use super::inherited_state;
use super::posix_signals::{SignalMask, ignore};
use super::run::Run;
use super::spec::{Extent, JobSpec, SignalHooks, Supervision};
use super::supervisor::{self, ActiveRuns, SignalForwarding, SupervisedChild};
use super::waiting::{log_unfinished, wait_with_notice};
use crate::clock::Moment;
use crate::config::RUN_ID_VARIABLE;
use crate::delivery::policy::RECEIPT_GRACE;
use crate::log;
use crate::pipeline::Pipeline;
use crate::push_request::Verb;

/// How long the delivery of the start may delay a command that replaces this process.
const START_TIMEOUT: Duration = Duration::from_millis(500);

/// How long signals are not read after the end of the command. Most completions are delivered within this time, so most
/// processes start no thread that reads signals.
const WATCH_DELAY: Duration = Duration::from_millis(20);

impl Job {
    /// Runs `command` as a run of this job, and ends this process as the command ends. The command is a child of this
    /// process, which reports how it ends, as a [supervisor](Self::supervise) does. If nothing is pushed, the command replaces
    /// this process.
    ///
    /// The environment variable `METRICS_PUSH_RUN_ID` of the command, and of its children, is the [id](crate::RunHandle::id)
    /// of the run, unless nothing is pushed. A success does not remove the metrics that the command pushes to the same group.
    ///
    /// Returns only if the command cannot be executed, with the reason. The run then ends when this process exits, with the
    /// exit code of this process.
    ///
    /// ```no_run
    /// use metrics_push::Job;
    /// use std::process::{Command, exit};
    ///
    /// let error = Job::new("backup").exec(Command::new("pg_dump").arg("orders"));
    /// eprintln!("pg_dump cannot be executed: {error}");
    /// exit(127);
    /// ```
    pub fn exec(&self, command: &mut Command) -> io::Error {
        let spec = JobSpec {
            extent: Extent::Process,
            // The signals are forwarded instead.
            signal_hooks: SignalHooks::Disabled,
            supervision: Supervision::None,
            on_success: Verb::Add,
            ..self.spec.clone()
        };
        // If the command has jobs of this library, they are not supervised.
        command.env_remove(supervisor::VARIABLE);
        if Pipeline::current().routers.is_empty() {
            return replace_process(command);
        }
        // Before the start of the run, so that each signal during the run is forwarded.
        let signals = SignalForwarding::install();
        let run = Run::start(spec, &[]);
        let error = exec_run(&run.active, command, signals);
        // The exit handler finishes the run.
        std::mem::forget(run);
        signal::start_listener();
        error
    }
}

/// Runs the command as this run. Returns only if it cannot be executed.
fn exec_run(
    run: &ActiveRun,
    command: &mut Command,
    signals: io::Result<SignalForwarding>,
) -> io::Error {
    if run.key().is_some() {
        command.env(RUN_ID_VARIABLE, run.id());
    }
    let spawned = signals.and_then(|signals| {
        let runs = ActiveRuns::none_beside(run.id());
        SupervisedChild::spawn(command, signals, run.spec(), run.pipeline(), runs, None)
    });
    match spawned {
        Ok(child) => wait_and_exit(run, child),
        Err(error) => {
            if is_child_refused(&error) {
                log::warn(format_args!("the command runs without a supervisor: {error}"));
                run.wait_start_delivered(START_TIMEOUT);
            }
            replace_process(command)
        }
    }
}

/// Waits for the command, reports its end, and ends this process as the command ended.
fn wait_and_exit(run: &ActiveRun, mut child: SupervisedChild) -> ! {
    let end = child.wait();
    if let Some(acknowledged) = run.finish_command(&end)
        && !acknowledged.wait_closed(WATCH_DELAY)
    {
        let timeout = run.pipeline().timeout.saturating_add(RECEIPT_GRACE);
        let deadline = Moment::now().after(timeout);
        child.watch_signals(|| {
            wait_with_notice(deadline, |timeout| acknowledged.wait_closed(timeout));
        });
        // The exit handler does the same, but it is not called if a signal ends this process.
        log_unfinished();
    }
    end.exit()
}

/// Returns true if the system has refused a new process or a descriptor. This process may still be able to execute the
/// command.
fn is_child_refused(error: &io::Error) -> bool {
    let codes = [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// Replaces this process by the command, with the signal state and the closed streams that this process has inherited.
/// `Command` itself resets SIGPIPE and the mask. Returns only if that fails.
#[expect(unsafe_code, reason = "code before exec")]
fn replace_process(command: &mut Command) -> io::Error {
    let mask = SignalMask::current();
    let restore = move || {
        mask.restore();
        inherited_state::restore()
    };
    // SAFETY: the closure makes only async-signal-safe calls and does not allocate.
    let error = unsafe { command.pre_exec(restore) }.exec();
    // `exec` has reset SIGPIPE, and this process continues.
    ignore(libc::SIGPIPE);
    error
}
