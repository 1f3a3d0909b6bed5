//! Supervise: the binary starts itself once more and stays as its parent, which no ending of the job can end.
//!
//! The parent does nothing but wait: no runtime, no client, no thread until there is something to report. It passes
//! signals on, and if the job's journal still has an open run when the job is dead, it reports it at once with what the
//! kernel says: exit code, signal, core dump, out of memory, usage. Then it ends in the same way.
//!
//! This is one of the files with `unsafe` code: waiting with usage, handlers that know a signal's sender, and a child
//! that dies with its parent are calls into C.

#[cfg(unix)]
pub(super) use unix::{VARIABLE, is_timeout, place, supervise};

#[cfg(not(unix))]
pub(super) use elsewhere::{is_timeout, place, supervise};

/// Elsewhere a job has no parent of ours.
#[cfg(not(unix))]
mod elsewhere {
    use crate::config::Deployment;
    use crate::job::Job;

    pub(in crate::job) fn supervise(_: &Job, _: &Deployment) {}

    pub(in crate::job) fn place() -> Option<&'static super::Place> {
        None
    }

    pub(in crate::job) fn is_timeout() -> bool {
        false
    }
}

/// Where a supervised job keeps its journal, and whose lock says that its parent lives.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: std::path::PathBuf,
    /// The name of the parent's file in the folder.
    pub(super) supervisor: String,
}

#[cfg(unix)]
mod unix {
    use std::ffi::{c_int, c_void};
    use std::fs::{self, File, OpenOptions};
    use std::io::{self, Read as _, Write as _};
    use std::mem::MaybeUninit;
    use std::os::fd::IntoRawFd as _;
    use std::os::unix::fs::DirBuilderExt as _;
    use std::os::unix::net::UnixStream;
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _, parent_id};
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, ExitStatus};
    use std::ptr;
    use std::sync::atomic::{AtomicI32, Ordering};
    use std::time::Duration;

    use once_cell::sync::OnceCell;

    use super::Place;
    use crate::clock::Moment;
    use crate::config::Deployment;
    use crate::job::ending::Cause;
    use crate::job::entry::{Ended, Known};
    use crate::job::recovery::{self, Dead};
    use crate::job::usage::Usage;
    use crate::job::{Enforcement, Extent, Job, Outcome, signal};
    use crate::notice;

    /// Tells the job that it has a parent of ours, and where that one's file is.
    pub(in crate::job) const VARIABLE: &str = "METRICS_PUSH_SUPERVISOR";

    /// What the parent writes into its file before it ends a job that takes too long.
    const TIMEOUT: &str = "timeout";

    /// How long a job that takes too long may take to end: its own report, and its own cleaning up.
    const GRACE: Duration = Duration::from_secs(10);

    /// What the parent passes on. The others end, stop or concern it as they would the job.
    const PASSED_ON: [c_int; 8] = [
        libc::SIGTERM,
        libc::SIGINT,
        libc::SIGHUP,
        libc::SIGQUIT,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGALRM,
        libc::SIGCONT,
    ];

    /// Where the handler writes.
    static WRITER: AtomicI32 = AtomicI32::new(-1);

    /// The supervisor's place, if this process is its job: the variable is inherited by the job's own children, too,
    /// and their parent is another.
    pub(in crate::job) fn place() -> Option<&'static Place> {
        static PLACE: OnceCell<Option<Place>> = OnceCell::new();
        let read = || {
            let path = PathBuf::from(std::env::var_os(VARIABLE)?);
            let process: u32 = path.file_stem()?.to_str()?.rsplit_once('-')?.1.parse().ok()?;
            let supervisor = path.file_name()?.to_str()?.to_owned();
            let folder = path.parent()?.to_owned();
            (process == parent_id()).then_some(Place { folder, supervisor })
        };
        PLACE.get_or_init(read).as_ref()
    }

    /// Whether the supervisor is ending this job because it takes too long.
    pub(in crate::job) fn is_timeout() -> bool {
        let path = place().map(|place| place.folder.join(&place.supervisor));
        path.and_then(|path| fs::read_to_string(path).ok()).is_some_and(|text| text == TIMEOUT)
    }

    /// Becomes the parent and never returns; or returns in the job, and where there can be no parent.
    pub(in crate::job) fn supervise(job: &Job, deployment: &Deployment) {
        static TRIED: OnceCell<()> = OnceCell::new();
        if place().is_some() || TRIED.set(()).is_err() {
            return;
        }
        match Parent::new(job, deployment).and_then(|mut parent| Ok((parent.start()?, parent))) {
            Ok((child, parent)) => parent.see_to(child, deployment),
            Err(error) => {
                notice::warn(format_args!("the job runs without a supervisor: {error}"));
            }
        }
    }

    struct Parent {
        folder: PathBuf,
        /// Made for this job alone, if there is no state directory.
        is_temporary: bool,
        lock: File,
        supervisor: String,
        events: UnixStream,
        kill_after: Option<Duration>,
        oom_kills: u64,
    }

    /// How a child ended.
    struct End {
        status: ExitStatus,
        usage: Usage,
    }

    impl Parent {
        fn new(job: &Job, deployment: &Deployment) -> io::Result<Self> {
            let kept = deployment.state_dir.folder(recovery::FOLDER);
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
            let (reader, writer) = UnixStream::pair()?;
            writer.set_nonblocking(true)?;
            WRITER.store(writer.into_raw_fd(), Ordering::Release);
            let kill_after = job.max_runtime.filter(|_| job.enforcement == Enforcement::Kill);
            Ok(Self {
                folder,
                is_temporary,
                lock,
                supervisor,
                events: reader,
                kill_after,
                oom_kills: oom_kills(),
            })
        }

        fn start(&mut self) -> io::Result<Child> {
            let mut arguments = std::env::args_os();
            let mut command = Command::new(std::env::current_exe()?);
            if let Some(name) = arguments.next() {
                command.arg0(name);
            }
            command.args(arguments).env(VARIABLE, self.folder.join(&self.supervisor));
            die_with_parent(&mut command);
            for signal in PASSED_ON {
                install(signal);
            }
            install(libc::SIGCHLD);
            let child = command.spawn();
            if child.is_err() {
                for signal in PASSED_ON.into_iter().chain([libc::SIGCHLD]) {
                    signal::set_default(signal);
                }
                self.clean_up();
            }
            child
        }

        fn clean_up(&self) {
            let _ = fs::remove_file(self.folder.join(&self.supervisor));
            if self.is_temporary {
                let _ = fs::remove_dir_all(&self.folder);
            }
        }

        fn see_to(mut self, child: Child, deployment: &Deployment) -> ! {
            // Waited for with its usage below, which `Child` can't.
            let id = child.id().cast_signed();
            let (end, is_late) = self.wait(id);
            let is_oom = end.status.signal() == Some(libc::SIGKILL) && oom_kills() > self.oom_kills;
            let cause = |extent| cause(end.status, extent, is_late, is_oom);
            if let Some(mut dead) = self.journal_of(id) {
                let runs = std::mem::take(&mut dead.runs);
                dead.runs = runs.into_iter().map(|run| with_end(run, &cause)).collect();
                recovery::report_at_once(dead, deployment, end.usage);
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
                if let Some(end) = reap(job) {
                    return (end, is_late);
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
                let _ = self.events.set_read_timeout(
                    next.map(|(deadline, _)| at_least_some(deadline.remaining())),
                );
                let mut event = [0_u8; 2];
                if self.events.read_exact(&mut event).is_ok() {
                    let [signal, from_somebody] = event;
                    // What the terminal sends, it sends to the job as well.
                    if c_int::from(signal) != libc::SIGCHLD && from_somebody == 1 {
                        send(job, c_int::from(signal));
                    }
                }
            }
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

    /// A zero time-out would be none.
    fn at_least_some(time: Duration) -> Duration {
        time.max(Duration::from_millis(1))
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
        run.ended.get_or_insert_with(|| Ended {
            cause: cause(run.opened.extent),
            at: now,
            duration,
        });
        run
    }

    fn cause(status: ExitStatus, extent: Extent, is_late: bool, is_oom: bool) -> Cause {
        let outcome = match status.code() {
            _ if is_late => Outcome::Timeout,
            None if is_oom => Outcome::Oom,
            None => Outcome::Signal,
            // A process that ends with 0 says itself that all is well.
            Some(0) if extent == Extent::Process => Outcome::Success,
            Some(_) => Outcome::Exit,
        };
        let signal = status.signal();
        let core_dumped = signal.map(|_| status.core_dumped());
        Cause { outcome, exit_code: status.code(), signal, core_dumped }
    }

    /// How often the kernel has ended a process of this control group, or of one below, for its memory.
    fn oom_kills() -> u64 {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let counters = groups.lines().filter_map(|line| {
            let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
            let (mounts, file): (&[&str], _) = match controllers {
                "" => (&["/sys/fs/cgroup", "/sys/fs/cgroup/unified"], "memory.events"),
                controllers if controllers.split(',').any(|it| it == "memory") => {
                    (&["/sys/fs/cgroup/memory"], "memory.oom_control")
                }
                _ => return None,
            };
            // In a container the group's path is often the host's, and its files are at the root.
            let group = group.trim_start_matches('/');
            let paths = mounts.iter().flat_map(|mount| {
                [Path::new(mount).join(group).join(file), Path::new(mount).join(file)]
            });
            paths.filter_map(|path| fs::read_to_string(path).ok()).find_map(|text| {
                text.lines()
                    .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok())
            })
        });
        counters.sum()
    }

    #[expect(unsafe_code, reason = "a call into C")]
    fn send(process: c_int, signal: c_int) {
        // SAFETY: a plain call; the process is our child, not yet waited for, so its id is still its own.
        unsafe { libc::kill(process, signal) };
    }

    /// The end of the job, if it has come. The first process of a container waits for orphans as well.
    fn reap(job: c_int) -> Option<End> {
        let is_first = std::process::id() == 1;
        loop {
            let (process, end) = wait_for(if is_first { -1 } else { job })?;
            if process == job {
                return Some(end);
            }
        }
    }

    #[expect(unsafe_code, reason = "a call into C")]
    fn wait_for(process: c_int) -> Option<(c_int, End)> {
        let mut status = 0;
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: both places are ours and live; all-zero is a valid `rusage`.
        let (ended, usage) = unsafe {
            (
                libc::wait4(process, &raw mut status, libc::WNOHANG, usage.as_mut_ptr()),
                usage.assume_init(),
            )
        };
        (ended > 0)
            .then(|| (ended, End { status: ExitStatus::from_raw(status), usage: used(&usage) }))
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

    /// Only writes: two bytes, and a descriptor that is never closed.
    #[expect(unsafe_code, reason = "a signal handler is called with pointers")]
    extern "C" fn note(signal: c_int, about: *mut libc::siginfo_t, _: *mut c_void) {
        // SAFETY: installed with `SA_SIGINFO`, so the kernel gives a valid pointer.
        let from_somebody = unsafe { (*about).si_code } <= 0;
        signal::keep_errno(|| {
            let event = [u8::try_from(signal).unwrap_or(0), u8::from(from_somebody)];
            signal::write_bytes(WRITER.load(Ordering::Acquire), &event);
        });
    }

    /// What was inherited as ignored is ignored by the job as well.
    #[expect(unsafe_code, reason = "a call into C")]
    fn install(signal: c_int) {
        if !signal::is_default(signal) {
            return;
        }
        // SAFETY: all-zero is a valid `sigaction`; the handler lives as long as the program and makes only calls
        // that are safe in a handler.
        unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            action.sa_sigaction = note as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void)
                as libc::sighandler_t;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
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
            assert_eq!(of(9 << 8, false, false), (Outcome::Exit, Some(9), None, None));
            assert_eq!(of(9, false, false), (Outcome::Signal, None, Some(9), Some(false)));
            assert_eq!(of(9, false, true), (Outcome::Oom, None, Some(9), Some(false)));
            assert_eq!(of(9, true, false), (Outcome::Timeout, None, Some(9), Some(false)));
            assert_eq!(of(0x80 | 6, false, false), (Outcome::Signal, None, Some(6), Some(true)));
            let task = cause(ExitStatus::from_raw(0), Extent::Task, false, false);
            assert_eq!(task.outcome, Outcome::Exit);
        }
    }
}
