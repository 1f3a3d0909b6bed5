//! Parent: the process that waits for the job, and ends as it ended.
//!
//! This is one of the files with `unsafe` code: waiting with usage, and a child that dies with its parent, are calls into C.

use std::ffi::c_int;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _, parent_id};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use super::oom;
use super::relay::Relay;
use super::unix::VARIABLE;
use crate::clock::Moment;
use crate::job::ending::Cause;
use crate::job::entry::{Ended, Known};
use crate::job::recovery::{self, Dead};
use crate::job::usage::Usage;
use crate::job::{Enforcement, Extent, Job, Outcome, signal};
use crate::pipeline::Pipeline;

/// What the parent writes into its file before it ends a job that takes too long.
pub(super) const TIMEOUT: &str = "timeout";

/// How long a job that takes too long may take to end: its own report, and its own cleaning up.
const GRACE: Duration = Duration::from_secs(10);

/// What stops a whole process group at its terminal, and a shell then sees stopped.
const STOPS: [c_int; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

pub(super) struct Parent {
    folder: PathBuf,
    /// Made for this job alone, if there is no state directory.
    is_temporary: bool,
    lock: File,
    supervisor: String,
    relay: Relay,
    kill_after: Option<Duration>,
    oom_kills: u64,
}

/// How a child ended.
struct End {
    status: ExitStatus,
    usage: Usage,
}

impl Parent {
    pub(super) fn new(job: &Job, pipeline: &Pipeline) -> io::Result<Self> {
        let kept = pipeline.state_dir.folder(recovery::FOLDER);
        let is_temporary = kept.is_none();
        let stem = format!("{:020}-{}", Moment::now().unix_nanos(), std::process::id());
        let folder = match kept {
            Some(folder) => folder,
            None => temporary(&stem)?,
        };
        let supervisor = format!("{stem}.{}", recovery::SUPERVISOR);
        // It gets its name when its lock is held, so that nobody takes it for a dead one's.
        let hidden = folder.join(&stem).with_extension("new");
        let lock = OpenOptions::new().append(true).create_new(true).open(&hidden)?;
        lock.try_lock()?;
        fs::rename(&hidden, folder.join(&supervisor))?;
        let kill_after = job.max_runtime.filter(|_| job.enforcement == Enforcement::Kill);
        Ok(Self {
            folder,
            is_temporary,
            lock,
            supervisor,
            relay: Relay::new()?,
            kill_after,
            oom_kills: oom::kills(),
        })
    }

    pub(super) fn start(&mut self) -> io::Result<Child> {
        let mut arguments = std::env::args_os();
        let mut command = Command::new(std::env::current_exe()?);
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        command.args(arguments).env(VARIABLE, self.folder.join(&self.supervisor));
        die_with_parent(&mut command);
        self.relay.listen();
        let child = command.spawn();
        match child {
            Ok(_) => let_go_of_streams(),
            Err(_) => {
                self.relay.stop_listening();
                self.clean_up();
            }
        }
        child
    }

    fn clean_up(&self) {
        let _ = fs::remove_file(self.folder.join(&self.supervisor));
        if self.is_temporary {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    pub(super) fn see_to(mut self, child: Child, pipeline: &Pipeline) -> ! {
        // Waited for with its usage below, which `Child` can't.
        let id = child.id().cast_signed();
        let (end, is_late) = self.wait(id);
        // From here on it stops like any other process at its terminal.
        STOPS.into_iter().for_each(|stop| self.relay.stop_listening_to(stop));
        let is_oom = end.status.signal() == Some(libc::SIGKILL) && oom::kills() > self.oom_kills;
        let cause = |extent| cause(end.status, extent, is_late, is_oom);
        if let Some(mut dead) = self.journal_of(id) {
            let runs = std::mem::take(&mut dead.runs);
            dead.runs = runs.into_iter().map(|run| with_end(run, &cause)).collect();
            recovery::report_at_once(dead, pipeline, end.usage);
        }
        self.clean_up();
        end_like(end.status)
    }

    /// Waits for the job, passing on what comes meanwhile; whether it took too long.
    fn wait(&mut self, job: c_int) -> (End, bool) {
        let started = Moment::now();
        let mut next = self.kill_after.map(|limit| (started.after(limit), libc::SIGTERM));
        let mut is_late = false;
        loop {
            match reap(job) {
                Some(Change::Ended(end)) => return (end, is_late),
                Some(Change::Stopped(by)) if STOPS.contains(&by) => self.stop_with(job, by),
                _ => {}
            }
            match next {
                Some((deadline, signal)) if deadline.remaining().is_zero() => {
                    is_late = true;
                    let _ = self.lock.write_all(TIMEOUT.as_bytes());
                    send(job, signal);
                    next = (signal == libc::SIGTERM)
                        .then(|| (Moment::now().after(GRACE), libc::SIGKILL));
                }
                _ => {}
            }
            let patience = next.map(|(deadline, _)| deadline.remaining());
            if let Some(signal) = self.relay.next(patience) {
                send(job, signal);
            }
        }
    }

    /// Stops as the job was stopped, so that its shell sees it, and goes on with it. Where no shell looks after the process
    /// group, the kernel does not stop it, and would not have stopped the job.
    fn stop_with(&self, job: c_int, by: c_int) {
        signal::raise_with_default(by);
        self.relay.listen_to(by);
        // Before anybody looks at the job again: it may not have heard yet.
        send(job, libc::SIGCONT);
    }

    /// What the job had written down and not yet delivered.
    fn journal_of(&self, job: c_int) -> Option<Dead> {
        let is_its = |dead: &Dead| {
            dead.head.process.cast_signed() == job
                && dead.head.supervisor.as_deref() == Some(self.supervisor.as_str())
        };
        recovery::journals(&self.folder).find(is_its)
    }
}

/// A folder that only its owner can enter, where nobody else's can be.
fn temporary(stem: &str) -> io::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("metrics-push-{stem}"));
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}

/// A run that had not ended ended as its process did.
fn with_end(mut run: Known, cause: &impl Fn(Extent) -> Cause) -> Known {
    let now = Moment::now().unix_seconds();
    let duration = Duration::try_from_secs_f64(now - run.opened.started).ok();
    run.ended.get_or_insert_with(|| Ended { cause: cause(run.opened.extent), at: now, duration });
    run
}

fn cause(status: ExitStatus, extent: Extent, is_late: bool, is_oom: bool) -> Cause {
    let outcome = match status.code() {
        _ if is_late => Outcome::Timeout,
        None if is_oom => Outcome::Oom,
        None => Outcome::Signal,
        // A process that ends with 0 says itself that all is well.
        Some(0) if extent == Extent::Process => Outcome::Success,
        Some(_) => Outcome::ExitCode,
    };
    let signal = status.signal();
    let core_dumped = signal.map(|_| status.core_dumped());
    Cause { outcome, exit_code: status.code(), signal, core_dumped }
}

#[expect(unsafe_code, reason = "a call into C")]
fn send(process: c_int, signal: c_int) {
    // SAFETY: a plain call; the process is our child, not yet waited for, so its id is still its own.
    unsafe { libc::kill(process, signal) };
}

/// What has become of the job.
enum Change {
    Ended(End),
    Stopped(c_int),
}

/// What has become of the job since it was last asked. The first process of a container waits for orphans as well.
fn reap(job: c_int) -> Option<Change> {
    let is_first = std::process::id() == 1;
    loop {
        let (process, change) = wait_for(if is_first { -1 } else { job })?;
        if process == job {
            return Some(change);
        }
    }
}

#[expect(unsafe_code, reason = "a call into C")]
fn wait_for(process: c_int) -> Option<(c_int, Change)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let options = libc::WNOHANG | libc::WUNTRACED;
    // SAFETY: both places are ours and live; all-zero is a valid `rusage`.
    let (changed, usage) = unsafe {
        (libc::wait4(process, &raw mut status, options, usage.as_mut_ptr()), usage.assume_init())
    };
    let status = ExitStatus::from_raw(status);
    let change = match status.stopped_signal() {
        Some(signal) => Change::Stopped(signal),
        None => Change::Ended(End { status, usage: used(&usage) }),
    };
    (changed > 0).then_some((changed, change))
}

/// What the job closes is to be closed for whoever is at the other end. Only what is to be said of a failed report still
/// has its place.
#[expect(unsafe_code, reason = "calls into C")]
fn let_go_of_streams() {
    let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") else { return };
    for stream in [libc::STDIN_FILENO, libc::STDOUT_FILENO] {
        // SAFETY: a plain call; nothing here reads or prints any more.
        unsafe { libc::dup2(null.as_raw_fd(), stream) };
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are f64")]
fn used(usage: &libc::rusage) -> Usage {
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    // Apple counts bytes, everybody else kibibytes.
    let unit = if cfg!(target_vendor = "apple") { 1.0 } else { 1024.0 };
    Usage {
        user_seconds: seconds(usage.ru_utime),
        system_seconds: seconds(usage.ru_stime),
        max_resident_bytes: usage.ru_maxrss as f64 * unit,
    }
}

/// Ends this process as the job ended, so that whoever waits for us sees no difference.
fn end_like(status: ExitStatus) -> ! {
    if let Some(signal) = status.signal() {
        // The job has left its core dump; ours would be one too many.
        leave_no_core();
        signal::raise_with_default(signal);
        // The first process of a container can't be ended by a signal.
        std::process::exit(128 + signal);
    }
    std::process::exit(status.code().unwrap_or(1))
}

#[expect(unsafe_code, reason = "a call into C")]
fn leave_no_core() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: reads a live value.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
}

/// Whoever kills the parent, and may know of no other process, means the job.
#[expect(unsafe_code, reason = "code between fork and exec")]
fn die_with_parent(command: &mut Command) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let parent = std::process::id();
        let ask = move || {
            // SAFETY: a plain call about this process.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            // If it was gone before it was asked.
            if parent_id() == parent { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
        };
        // SAFETY: between fork and exec this makes two system calls and allocates nothing.
        unsafe { command.pre_exec(ask) };
    }
    let _ = command;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_word_becomes_the_cause() {
        let of = |raw, is_late, is_oom| {
            let cause = cause(ExitStatus::from_raw(raw), Extent::Process, is_late, is_oom);
            (cause.outcome, cause.exit_code, cause.signal, cause.core_dumped)
        };
        assert_eq!(of(0, false, false), (Outcome::Success, Some(0), None, None));
        assert_eq!(of(9 << 8, false, false), (Outcome::ExitCode, Some(9), None, None));
        assert_eq!(of(9, false, false), (Outcome::Signal, None, Some(9), Some(false)));
        assert_eq!(of(9, false, true), (Outcome::Oom, None, Some(9), Some(false)));
        assert_eq!(of(9, true, false), (Outcome::Timeout, None, Some(9), Some(false)));
        assert_eq!(of(0x80 | 6, false, false), (Outcome::Signal, None, Some(6), Some(true)));
        let task = cause(ExitStatus::from_raw(0), Extent::Task, false, false);
        assert_eq!(task.outcome, Outcome::ExitCode);
    }
}
