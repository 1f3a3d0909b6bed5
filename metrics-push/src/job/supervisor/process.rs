//! `Supervisor`: the parent process, which waits for the job and ends as the job ended.
//!
//! The unsafe code of this file calls C functions that the standard library does not offer, such as `wait4`.

use std::ffi::c_int;
use std::fs::OpenOptions;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _, parent_id};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::active_runs::{ActiveRuns, LinkStatus};
use super::job_report::{JobEnd, JobReport};
use super::job_start::JobStart;
use super::link::{self, link};
use super::lock_file::LockFile;
use super::oom;
use super::output::OutputCopy;
use super::signal_forwarding::{InheritedSignals, SignalForwarding};
use crate::clock::Moment;
use crate::dispatcher::dispatcher;
use crate::job::completion::Cause;
use crate::job::inherited_state;
use crate::job::journal::file_names;
use crate::job::posix_signals::{SignalMask, raise_with_default, with_signals_blocked};
use crate::job::resource_usage::{CpuSeconds, ResourceUsage};
use crate::job::spec::{Enforcement, ExitCodes, Extent, JobSpec, Supervision};
use crate::log;
use crate::outcome::Outcome;
use crate::pipeline::Pipeline;
use crate::state_dir::claim_disk_warning;

/// The time between SIGTERM and SIGKILL for a job that exceeds its maximum runtime, for its own report and clean-up.
const KILL_GRACE: Duration = Duration::from_secs(10);

/// How often the supervisor checks whether the job has ended. SIGCHLD ends each wait early, unless the write of its handler
/// fails.
const CHILD_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The signals by which a terminal stops a process group.
const STOP_SIGNALS: [c_int; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// Continues in a child process, or in a copy of this one, if the job is supervised. The calling process becomes the
/// supervisor and does not return. Returns in the child, and if the child cannot be started.
pub(in crate::job) fn ensure(spec: &JobSpec) {
    static IS_ATTEMPTED: AtomicBool = AtomicBool::new(false);

    if !spec.is_process() || spec.supervision == Supervision::None || link().is_some() {
        return;
    }
    let pipeline = Pipeline::current();
    if pipeline.routers.is_empty() || IS_ATTEMPTED.swap(true, Ordering::Relaxed) {
        return;
    }
    match Supervisor::start(spec, &pipeline) {
        Ok(Some((supervisor, job))) => {
            // The job logs that its disk fails. A copy without a journal does not use the disk.
            if !supervisor.is_copied || supervisor.lock_file.is_some() {
                let _ = claim_disk_warning();
            }
            supervisor.wait_and_report(job, &pipeline)
        }
        // This process is the job.
        Ok(None) => {}
        Err(error) => log::warn(format_args!("the job runs without a supervisor: {error}")),
    }
}

struct Supervisor {
    /// The name of the job.
    job: String,
    /// `None` if there is no state directory, or if no file can be created in it.
    lock_file: Option<LockFile>,
    /// The supervisor's end of the link; `None` after the job has closed its end.
    link: Option<UnixStream>,
    runs: ActiveRuns,
    /// The job is a copy of this process. This process submits the start of the job.
    is_copied: bool,
    /// `None` until the start is received, and if the job submits it.
    start: Option<JobStart>,
    signals: SignalForwarding,
    /// `None` if the output of the job is not stored.
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

impl Supervisor {
    /// Starts the job. Returns the supervisor and the id of the job's process; `None` in the job, if it is a copy of this
    /// process.
    fn start(spec: &JobSpec, pipeline: &Pipeline) -> io::Result<Option<(Self, c_int)>> {
        let (link, job_link) = UnixStream::pair()?;
        link.set_nonblocking(true)?;
        let lock_file = pipeline.state_dir.folder(file_names::FOLDER).and_then(|folder| {
            let created = LockFile::create(folder);
            created.inspect_err(|error| log::debug(format_args!("no journal: {error}"))).ok()
        });
        let file = lock_file.as_ref().map(|file| file.name().to_owned());
        let mut command = command(&job_link, file.clone())?;
        let output = copy_output(&mut command, spec, pipeline);
        let is_copied = spec.supervision == Supervision::Copy && can_copy_process();
        let mut signals = SignalForwarding::new()?;
        let inherited = signals.install();
        let started = if is_copied {
            copy_process(&signals, inherited)
        } else {
            restore_in_child(&mut command, inherited);
            // `Child` cannot wait with resource usage.
            command.spawn().map(|child| Some(child.id().cast_signed()))
        };
        let job = match started {
            Ok(Some(job)) => job,
            Ok(None) => {
                link::set_copied(job_link, file);
                return Ok(None);
            }
            Err(error) => {
                signals.uninstall();
                inherited.restore();
                lock_file.into_iter().for_each(LockFile::remove);
                return Err(error);
            }
        };
        signals.set_job_started();
        detach_stdio();
        let supervisor = Self {
            job: pipeline.job.clone().unwrap_or_else(|| spec.name.to_string()),
            lock_file,
            link: Some(link),
            output,
            runs: ActiveRuns::default(),
            is_copied,
            start: None,
            signals,
            kill_after: spec.max_runtime.filter(|_| spec.enforcement == Enforcement::Kill),
            exit_codes: spec.exit_codes.clone(),
            oom_kills: oom::kill_count(),
        };
        Ok(Some((supervisor, job)))
    }

    fn wait_and_report(mut self, job: c_int, pipeline: &Arc<Pipeline>) -> ! {
        let (exit, kill) = self.wait(job, pipeline);
        let ended = Moment::now();
        self.read_link(pipeline);
        // From now on the terminal stops this process like any other.
        STOP_SIGNALS.into_iter().for_each(|signal| self.signals.uninstall_one(signal));
        if let (Some(Kill::Timeout), Some(limit)) = (kill, self.kill_after) {
            let run = self.runs.process_run().map_or(String::new(), |id| format!("; run {id}"));
            log::warn_before_exit(format_args!(
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
        let end = JobEnd {
            at: ended,
            usage: exit.map(|exit| exit.usage).unwrap_or_default(),
            output: self.output.map(OutputCopy::finish),
            cause_of: &|extent| cause(status, extent, kill, &self.exit_codes),
        };
        // The threads that deliver must not receive signals, such as that of a file that is too large.
        with_signals_blocked(|| pipeline.prepare());
        let journal = self.lock_file.as_ref().and_then(|file| file.journal_of(job.cast_unsigned()));
        until_signal(&mut self.signals, || {
            let deadline = Moment::now().after(pipeline.timeout);
            self.start.iter().for_each(JobStart::end);
            let rest = pipeline.with_timeout(deadline.remaining());
            let report = JobReport::submit(self.runs.into_runs(), &end, journal, &rest);
            report.settle(rest.timeout);
            self.start.iter().for_each(|start| start.settle(deadline.remaining()));
        });
        self.lock_file.into_iter().for_each(LockFile::remove);
        exit_like(status)
    }

    /// Waits for the job, reads its link and forwards signals to it. Returns `Kill::Timeout` if its run exceeded the maximum
    /// runtime.
    fn wait(&mut self, job: c_int, pipeline: &Arc<Pipeline>) -> (Option<ChildExit>, Option<Kill>) {
        let spawned = Moment::now();
        let mut next = self.kill_after.map(|limit| (spawned.after(limit), libc::SIGTERM));
        let mut kill = None;
        loop {
            match reap(job) {
                Some(Change::Exited(exit)) => return (exit, kill),
                Some(Change::Stopped(signal)) if STOP_SIGNALS.contains(&signal) => {
                    self.stop_with(job, signal);
                }
                _ => {}
            }
            self.read_link(pipeline);
            if let Some((_, signal)) = next.filter(|(deadline, _)| deadline.remaining().is_zero()) {
                // If the run has ended, `max_runtime` no longer applies.
                let is_late = kill.is_some() || !self.runs.has_process_run_ended();
                if is_late {
                    kill = Some(Kill::Timeout);
                    self.link.iter().for_each(link::send_timeout_mark);
                    send(job, signal);
                }
                next = (is_late && signal == libc::SIGTERM)
                    .then(|| (Moment::now().after(KILL_GRACE), libc::SIGKILL));
            }
            let limit = next.map_or(Duration::MAX, |(deadline, _)| deadline.remaining());
            self.signals.wait(self.link.as_ref(), Some(limit.min(CHILD_CHECK_INTERVAL)));
            while let Some(received) = self.signals.next() {
                if received.must_forward {
                    send(job, received.signal);
                }
            }
        }
    }

    /// Reads what the job has written to the link. Submits the start of a job that is a copy of this process.
    fn read_link(&mut self, pipeline: &Arc<Pipeline>) {
        let Some(link) = &self.link else { return };
        if self.runs.read_from(link) == LinkStatus::Closed {
            self.link = None;
        }
        if self.is_copied
            && self.start.is_none()
            && let Some(started) = self.runs.process_start()
        {
            let folder = self.lock_file.as_ref().map(|file| Arc::clone(file.folder()));
            let start = || {
                pipeline.prepare();
                JobStart::submit(started.clone(), folder, pipeline)
            };
            self.start = Some(with_signals_blocked(start));
        }
    }

    /// Stops this process as the job was stopped, so that the shell sees it, and continues the job afterwards. If no
    /// shell controls the process group, the kernel ignores the signal.
    fn stop_with(&self, job: c_int, signal: c_int) {
        raise_with_default(signal);
        self.signals.install_one(signal);
        // The job may not have received the shell's SIGCONT.
        send(job, libc::SIGCONT);
    }
}

/// Calls `deliver`, which submits requests and waits for them. A signal ends the waits: undelivered completions are stored
/// on disk. The exit status is that of the job in any case, because the job has ended.
fn until_signal(signals: &mut SignalForwarding, deliver: impl FnOnce()) {
    let (done, delivered) = UnixStream::pair().ok().unzip();
    std::thread::scope(|scope| {
        // When it is dropped, also by a panic, the thread ends.
        let _delivered = delivered;
        if let Some(done) = &done {
            with_signals_blocked(|| {
                let thread = std::thread::Builder::new().name("metrics-push-signals".into());
                let watch = move || signals.watch(done, || dispatcher().interrupt());
                // If the thread cannot be started, the timeout ends the wait.
                let _ = thread.spawn_scoped(scope, watch);
            });
        }
        deliver();
    });
}

/// Lets the supervisor copy the stderr of the job, if the job asks for its last lines and the history stores them.
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

/// Returns the command that executes this program again, as the job. It inherits the job's end of the link.
fn command(link: &UnixStream, file: Option<String>) -> io::Result<Command> {
    let mut arguments = std::env::args_os();
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments);
    die_with_parent(&mut command);
    link::pass_to(&mut command, link, file)?;
    Ok(command)
}

/// Why a job was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kill {
    /// It exceeded its maximum runtime.
    Timeout,
    OutOfMemory,
}

fn cause(
    status: Option<ExitStatus>,
    extent: Extent,
    kill: Option<Kill>,
    exit_codes: &ExitCodes,
) -> Cause {
    let Some(status) = status else {
        let is_timeout = kill == Some(Kill::Timeout);
        return if is_timeout { Outcome::Timeout } else { Outcome::Abandoned }.into();
    };
    let outcome = match (status.code(), kill) {
        (_, Some(Kill::Timeout)) => Outcome::Timeout,
        (None, Some(Kill::OutOfMemory)) => Outcome::Oom,
        (None, None) => Outcome::Signal,
        (Some(code), _) if extent == Extent::Process => exit_codes.outcome(code),
        (Some(_), _) => Outcome::ExitCode,
    };
    let signal = status.signal();
    let core_dumped = signal.map(|_| status.core_dumped());
    Cause { outcome, exit_code: status.code(), signal, core_dumped }
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

/// Returns the next change of the job without blocking. The first process of a container also reaps orphaned processes.
fn reap(job: c_int) -> Option<Change> {
    let is_first = std::process::id() == 1;
    loop {
        let (process, change) = match wait_for(if is_first { -1 } else { job }) {
            Ok(changed) => changed?,
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
                return Some(Change::Exited(None));
            }
            Err(_) => return None,
        };
        if process == job {
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

/// Replaces stdin and stdout by `/dev/null`, so that a pipe is closed when the job closes it. stderr stays open for the
/// log.
#[expect(unsafe_code, reason = "calls into C")]
fn detach_stdio() {
    let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") else { return };
    for stream in [libc::STDIN_FILENO, libc::STDOUT_FILENO] {
        // SAFETY: the call takes only integers, and the supervisor does not use the two streams afterwards.
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

/// Ends this process as the job ended, so that its parent sees no difference. An unknown status is a failure.
fn exit_like(status: Option<ExitStatus>) -> ! {
    let Some(status) = status else { std::process::exit(1) };
    if let Some(signal) = status.signal() {
        // The job has dumped core; a second dump would be useless.
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

/// Lets the kernel kill the job when the supervisor is killed, because its caller can signal only the supervisor.
#[expect(unsafe_code, reason = "code between fork and exec")]
fn die_with_parent(command: &mut Command) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let parent = std::process::id();
        // SAFETY: between fork and exec the closure makes two system calls and allocates nothing.
        unsafe { command.pre_exec(move || request_death_with(parent)) };
    }
    let _ = command;
}

/// Asks the kernel to kill this process when its parent dies. This is async-signal-safe.
///
/// # Errors
/// If the parent has already died.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[expect(unsafe_code, reason = "a call into C")]
fn request_death_with(parent: u32) -> io::Result<()> {
    // SAFETY: the call takes only integers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    if parent_id() == parent { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Returns true if a copy of this process is complete and is its child: it has only one thread, and has not left its PID
/// namespace. In another one, the copy would have another id, and no parent.
#[cfg(target_os = "linux")]
fn can_copy_process() -> bool {
    let namespace = |name| std::fs::read_link(format!("/proc/self/ns/{name}")).ok();
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
        && namespace("pid_for_children") == namespace("pid")
}

/// Copies this process, which has one thread. The copy has the inherited signal state, and the kernel kills it with this
/// process. Returns the id of the copy, and `None` in the copy.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a call into C")]
fn copy_process(
    signals: &SignalForwarding,
    inherited: InheritedSignals,
) -> io::Result<Option<c_int>> {
    let parent = std::process::id();
    // The copy must neither forward a signal nor take one that was inherited as blocked.
    let mask = SignalMask::block_all();
    // SAFETY: this process has no other thread, so no lock is held that the copy would wait for.
    let copied = match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            signals.uninstall();
            inherited.restore();
            if request_death_with(parent).is_err() {
                std::process::exit(1);
            }
            return Ok(None);
        }
        copy => Ok(Some(copy)),
    };
    mask.restore();
    copied
}

/// On other platforms, the program is always executed again.
#[cfg(not(target_os = "linux"))]
fn can_copy_process() -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn copy_process(_: &SignalForwarding, _: InheritedSignals) -> io::Result<Option<c_int>> {
    Err(io::ErrorKind::Unsupported.into())
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
        let cause_of = |raw, kill| {
            let status = Some(ExitStatus::from_raw(raw));
            let cause = cause(status, Extent::Process, kill, &ExitCodes::default());
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
        let status = Some(ExitStatus::from_raw(0));
        let task = cause(status, Extent::Task, None, &ExitCodes::default());
        assert_eq!(task.outcome, Outcome::ExitCode);
    }

    #[test]
    fn missing_child_is_an_end_with_unknown_status() {
        // This process is not a child of itself.
        let own = std::process::id().cast_signed();
        assert!(matches!(reap(own), Some(Change::Exited(None))));
        let unknown = |kill| cause(None, Extent::Process, kill, &ExitCodes::default());
        assert_eq!(unknown(None), Outcome::Abandoned.into());
        assert_eq!(unknown(Some(Kill::Timeout)), Outcome::Timeout.into());
    }
}
