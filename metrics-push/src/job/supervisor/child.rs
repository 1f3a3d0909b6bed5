//! `SupervisedChild`: a child process. This process waits for it, and then ends as the child ended.
//!
//! The child inherits the input, the output and the terminal of this process. Signals that are sent to this process are
//! forwarded to it.
//!
//! The unsafe code of this file calls C functions that the standard library does not offer, such as `wait4`.

use std::ffi::c_int;
use std::fs::OpenOptions;
use std::io;
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _, parent_id};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use super::active_runs::{ActiveRuns, LinkStatus};
use super::link;
use super::oom;
use super::output::OutputCopy;
use super::signal_forwarding::{InheritedSignals, SignalForwarding};
use crate::clock::Moment;
use crate::dispatcher::dispatcher;
use crate::job::completion::Cause;
use crate::job::inherited_state;
use crate::job::posix_signals::{raise_with_default, with_signals_blocked};
use crate::job::resource_usage::{CpuSeconds, ResourceUsage};
use crate::job::spec::{Enforcement, ExitCodes, Extent, JobSpec};
use crate::log;
use crate::outcome::Outcome;
use crate::pipeline::Pipeline;

/// The time between SIGTERM and SIGKILL for a child that exceeds its maximum runtime, for its own report and clean-up.
const KILL_GRACE: Duration = Duration::from_secs(10);

/// How often this process checks whether the child has ended. SIGCHLD ends each wait early, unless the write of its handler
/// fails.
const CHILD_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The signals by which a terminal stops a process group.
const STOP_SIGNALS: [c_int; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

pub(in crate::job) struct SupervisedChild {
    pub(super) process: c_int,
    /// The name of the job.
    job: String,
    /// The supervisor's end of the link. `None` if the child has no link, or after it has closed its end.
    link: Option<UnixStream>,
    runs: ActiveRuns,
    signals: SignalForwarding,
    /// `None` if the output of the child is not stored.
    output: Option<OutputCopy>,
    kill_after: Option<Duration>,
    exit_codes: ExitCodes,
    oom_kills: u64,
}

/// How a child ended, as the system reports it.
struct ChildExit {
    status: ExitStatus,
    usage: ResourceUsage,
}

/// How and when a child ended.
pub(in crate::job) struct ChildEnd {
    pub(in crate::job) at: Moment,
    pub(in crate::job) usage: ResourceUsage,
    /// The last lines that the child has written to stderr, if they are stored.
    pub(in crate::job) output: Option<String>,
    /// `None` if another wait has taken it.
    status: Option<ExitStatus>,
    kill: Option<Kill>,
    exit_codes: ExitCodes,
}

impl ChildEnd {
    /// Returns the end of a child that ended at this moment with an unknown status.
    #[cfg(test)]
    pub(super) fn unknown(at: Moment) -> Self {
        let exit_codes = ExitCodes::default();
        let usage = ResourceUsage::default();
        Self { at, usage, output: None, status: None, kill: None, exit_codes }
    }

    /// Returns the cause of a run that was active when the child ended.
    pub(in crate::job) fn cause(&self, extent: Extent) -> Cause {
        let Some(status) = self.status else {
            let is_timeout = self.kill == Some(Kill::Timeout);
            return if is_timeout { Outcome::Timeout } else { Outcome::Abandoned }.into();
        };
        let outcome = match (status.code(), self.kill) {
            (_, Some(Kill::Timeout)) => Outcome::Timeout,
            (None, Some(Kill::OutOfMemory)) => Outcome::Oom,
            (None, None) => Outcome::Signal,
            (Some(code), _) if extent == Extent::Process => self.exit_codes.outcome(code),
            (Some(_), _) => Outcome::ExitCode,
        };
        let signal = status.signal();
        let core_dumped = signal.map(|_| status.core_dumped());
        Cause { outcome, exit_code: status.code(), signal, core_dumped }
    }

    /// Ends this process as the child ended.
    pub(in crate::job) fn exit(&self) -> ! {
        exit_like(self.status)
    }
}

impl SupervisedChild {
    /// Starts a child to which the signals are forwarded. `runs` are the active runs of the child; those that it writes to
    /// `link` are added to them.
    pub(in crate::job) fn spawn(
        command: &mut Command,
        signals: SignalForwarding,
        spec: &JobSpec,
        pipeline: &Pipeline,
        runs: ActiveRuns,
        link: Option<UnixStream>,
    ) -> io::Result<Self> {
        let output = copy_output(command, spec, pipeline);
        die_with_parent(command);
        restore_in_child(command, signals.inherited());
        let spawned = command.spawn();
        if output.is_some() {
            // Drops the copy of the pipe in `command`, so that the pipe is closed when the child closes it.
            command.stderr(Stdio::inherit());
        }
        let process = match spawned {
            // `Child` cannot wait with resource usage.
            Ok(child) => child.id().cast_signed(),
            Err(error) => {
                signals.uninstall();
                return Err(error);
            }
        };
        detach_stdio();
        Ok(Self {
            process,
            job: pipeline.job.clone().unwrap_or_else(|| spec.name.to_string()),
            link,
            runs,
            signals,
            output,
            kill_after: spec.max_runtime.filter(|_| spec.enforcement == Enforcement::Kill),
            exit_codes: spec.exit_codes.clone(),
            oom_kills: oom::kill_count(),
        })
    }

    /// Waits until the child has ended, and ends it if it exceeds its maximum runtime.
    pub(in crate::job) fn wait(&mut self) -> ChildEnd {
        let (exit, kill) = self.wait_for_exit();
        let at = Moment::now();
        self.read_link();
        // From now on the terminal stops this process like any other.
        STOP_SIGNALS.into_iter().for_each(|signal| self.signals.uninstall_one(signal));
        if let (Some(Kill::Timeout), Some(limit)) = (kill, self.kill_after) {
            let run = self.runs.process_run().map_or(String::new(), |id| format!("; run {id}"));
            log::warn(format_args!(
                "the run of {} exceeded its maximum runtime of {limit:?} and was ended{run}",
                self.job
            ));
        }
        let status = exit.as_ref().map(|exit| exit.status);
        let is_killed = status.and_then(|status| status.signal()) == Some(libc::SIGKILL);
        let kill = match kill {
            None if is_killed && oom::kill_count() > self.oom_kills => Some(Kill::OutOfMemory),
            kill => kill,
        };
        let usage = exit.map(|exit| exit.usage).unwrap_or_default();
        let output = self.output.take().map(OutputCopy::finish);
        ChildEnd { at, usage, output, status, kill, exit_codes: self.exit_codes.clone() }
    }

    /// Returns the active runs of the child.
    pub(super) fn take_runs(&mut self) -> ActiveRuns {
        std::mem::take(&mut self.runs)
    }

    /// Waits for the child, reads its link and forwards signals to it. Returns `Kill::Timeout` if it exceeded its maximum
    /// runtime.
    fn wait_for_exit(&mut self) -> (Option<ChildExit>, Option<Kill>) {
        let spawned = Moment::now();
        let mut next = self.kill_after.map(|limit| (spawned.after(limit), libc::SIGTERM));
        let mut kill = None;
        loop {
            match reap(self.process) {
                Some(Change::Exited(exit)) => return (exit, kill),
                Some(Change::Stopped(signal)) if STOP_SIGNALS.contains(&signal) => {
                    self.stop_with(signal);
                }
                _ => {}
            }
            self.read_link();
            match next {
                Some((deadline, signal)) if deadline.remaining().is_zero() => {
                    kill = Some(Kill::Timeout);
                    self.link.iter().for_each(link::send_timeout_mark);
                    send(self.process, signal);
                    next = (signal == libc::SIGTERM)
                        .then(|| (Moment::now().after(KILL_GRACE), libc::SIGKILL));
                }
                _ => {}
            }
            let limit = next.map_or(Duration::MAX, |(deadline, _)| deadline.remaining());
            self.signals.wait(self.link.as_ref(), Some(limit.min(CHILD_CHECK_INTERVAL)));
            while let Some(received) = self.signals.next() {
                if received.must_forward {
                    send(self.process, received.signal);
                }
            }
        }
    }

    /// Reads what the child has written to the link.
    fn read_link(&mut self) {
        let Some(link) = &self.link else { return };
        if self.runs.read_from(link) == LinkStatus::Closed {
            self.link = None;
        }
    }

    /// Stops this process as the child was stopped, so that the shell sees it, and continues the child afterwards. If no
    /// shell controls the process group, the kernel ignores the signal.
    fn stop_with(&self, signal: c_int) {
        raise_with_default(signal);
        self.signals.install_one(signal);
        // The child may not have received the shell's SIGCONT.
        send(self.process, libc::SIGCONT);
    }

    /// Calls `deliver`, which waits until the completions are delivered. A signal ends the wait: undelivered completions are
    /// stored on disk. The exit status is that of the child in any case, because the child has ended.
    pub(in crate::job) fn watch_signals(&mut self, deliver: impl FnOnce()) {
        let sockets = UnixStream::pair();
        let signals = &mut self.signals;
        std::thread::scope(|scope| {
            if let Ok((_, done)) = &sockets {
                with_signals_blocked(|| {
                    let thread = std::thread::Builder::new().name("metrics-push-signals".into());
                    let watch = move || signals.watch(done, || dispatcher().interrupt());
                    // If the thread cannot be started, the timeout ends the wait.
                    let _ = thread.spawn_scoped(scope, watch);
                });
            }
            deliver();
            if let Ok((settled, _)) = &sockets {
                let _ = settled.shutdown(Shutdown::Both);
            }
        });
    }
}

/// Lets this process copy the stderr of the child, if the job asks for its last lines and the history stores them.
fn copy_output(command: &mut Command, spec: &JobSpec, pipeline: &Pipeline) -> Option<OutputCopy> {
    if spec.output_lines == 0 || !pipeline.history.is_enabled() {
        return None;
    }
    match OutputCopy::start(spec.output_lines) {
        Ok((output, stderr)) => {
            command.stderr(stderr);
            Some(output)
        }
        Err(error) => {
            log::debug(format_args!("the output of the job is not stored: {error}"));
            None
        }
    }
}

/// Why a child was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kill {
    /// It exceeded its maximum runtime.
    Timeout,
    OutOfMemory,
}

#[expect(unsafe_code, reason = "a call into C")]
fn send(process: c_int, signal: c_int) {
    // SAFETY: the call takes only integers. The process is a child that is not reaped yet, so the id is its own.
    unsafe { libc::kill(process, signal) };
}

/// A change of state of a child.
enum Change {
    /// `None`: another wait has taken the status.
    Exited(Option<ChildExit>),
    Stopped(c_int),
}

/// Returns the next change of the child without blocking. The first process of a container also reaps orphaned processes.
fn reap(child: c_int) -> Option<Change> {
    let is_first = std::process::id() == 1;
    loop {
        let (process, change) = match wait_for(if is_first { -1 } else { child }) {
            Ok(changed) => changed?,
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
                return Some(Change::Exited(None));
            }
            Err(_) => return None,
        };
        if process == child {
            return Some(change);
        }
    }
}

#[expect(unsafe_code, reason = "a call into C")]
fn wait_for(process: c_int) -> io::Result<Option<(c_int, Change)>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let options = libc::WNOHANG | libc::WUNTRACED;
    // SAFETY: both pointers are to live locals. An all-zero `rusage` is valid.
    let (changed, usage) = unsafe {
        (libc::wait4(process, &raw mut status, options, usage.as_mut_ptr()), usage.assume_init())
    };
    if changed < 0 {
        return Err(io::Error::last_os_error());
    }
    let status = ExitStatus::from_raw(status);
    let change = match status.stopped_signal() {
        Some(signal) => Change::Stopped(signal),
        None => Change::Exited(Some(ChildExit { status, usage: convert_usage(&usage) })),
    };
    Ok((changed > 0).then_some((changed, change)))
}

/// Replaces stdin and stdout by `/dev/null`, so that a pipe is closed when the child closes it. stderr stays open for the
/// log.
#[expect(unsafe_code, reason = "calls into C")]
fn detach_stdio() {
    let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") else { return };
    for stream in [libc::STDIN_FILENO, libc::STDOUT_FILENO] {
        // SAFETY: the call takes only integers, and this process does not use the two streams afterwards.
        unsafe { libc::dup2(null.as_raw_fd(), stream) };
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are f64")]
fn convert_usage(usage: &libc::rusage) -> ResourceUsage {
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    // Apple platforms count bytes, others kibibytes.
    let unit = if cfg!(target_vendor = "apple") { 1.0 } else { 1024.0 };
    ResourceUsage {
        cpu: Some(CpuSeconds { user: seconds(usage.ru_utime), system: seconds(usage.ru_stime) }),
        max_resident_bytes: Some(usage.ru_maxrss as f64 * unit),
    }
}

/// Ends this process as the child ended, so that its parent sees no difference. An unknown status is a failure.
fn exit_like(status: Option<ExitStatus>) -> ! {
    let Some(status) = status else { std::process::exit(1) };
    if let Some(signal) = status.signal() {
        // The child has dumped core; a second dump would be useless.
        disable_core_dump();
        raise_with_default(signal);
        // The first process of a container ignores signals with the default disposition.
        std::process::exit(128 + signal);
    }
    std::process::exit(status.code().unwrap_or(1))
}

#[expect(unsafe_code, reason = "a call into C")]
fn disable_core_dump() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live local.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
}

/// Lets the kernel kill the child when this process is killed, because the caller can signal only this process.
#[expect(unsafe_code, reason = "code between fork and exec")]
fn die_with_parent(command: &mut Command) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let parent = std::process::id();
        let request = move || {
            if std::process::id() == parent {
                // No child could be created, so the command replaces this process.
                return Ok(());
            }
            // SAFETY: the call takes only integers.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            // This process may have died before the request.
            if parent_id() == parent { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
        };
        // SAFETY: between fork and exec the closure makes three system calls and allocates nothing.
        unsafe { command.pre_exec(request) };
    }
    let _ = command;
}

/// Starts the child with the signal state that this process has inherited.
#[expect(unsafe_code, reason = "code between fork and exec")]
fn restore_in_child(command: &mut Command, inherited: InheritedSignals) {
    let restore = move || {
        inherited.restore();
        inherited_state::restore()
    };
    // SAFETY: the closure makes only async-signal-safe calls and does not allocate.
    unsafe { command.pre_exec(restore) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_status_determines_the_cause() {
        let end = |raw, kill| {
            let status = Some(ExitStatus::from_raw(raw));
            ChildEnd { status, kill, ..ChildEnd::unknown(Moment::now()) }
        };
        let cause_of = |raw, kill| {
            let cause = end(raw, kill).cause(Extent::Process);
            (cause.outcome, cause.exit_code, cause.signal, cause.core_dumped)
        };
        assert_eq!(cause_of(0, None), (Outcome::Success, Some(0), None, None));
        assert_eq!(cause_of(9 << 8, None), (Outcome::ExitCode, Some(9), None, None));
        assert_eq!(cause_of(9, None), (Outcome::Signal, None, Some(9), Some(false)));
        assert_eq!(
            cause_of(9, Some(Kill::OutOfMemory)),
            (Outcome::Oom, None, Some(9), Some(false))
        );
        assert_eq!(
            cause_of(9, Some(Kill::Timeout)),
            (Outcome::Timeout, None, Some(9), Some(false))
        );
        assert_eq!(cause_of(0x80 | 6, None), (Outcome::Signal, None, Some(6), Some(true)));
        assert_eq!(end(0, None).cause(Extent::Task).outcome, Outcome::ExitCode);
    }

    #[test]
    fn missing_child_is_an_end_with_unknown_status() {
        // This process is not a child of itself.
        let own = std::process::id().cast_signed();
        assert!(matches!(reap(own), Some(Change::Exited(None))));
        let unknown =
            |kill| ChildEnd { kill, ..ChildEnd::unknown(Moment::now()) }.cause(Extent::Process);
        assert_eq!(unknown(None), Outcome::Abandoned.into());
        assert_eq!(unknown(Some(Kill::Timeout)), Outcome::Timeout.into());
    }
}
