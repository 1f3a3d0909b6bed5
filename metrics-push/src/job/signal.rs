//! Signals: TERM, INT, HUP, QUIT and XCPU end a whole process' runs before they end the process, as they would have
//! anyway.
//!
//! Only dispositions that are the default are taken: what was inherited as ignored stays so, and a program that
//! installs its own handling, before or after, decides for itself. The handler writes one byte; a thread reports, restores
//! the default and raises the signal again, so that the status stays truthful. The thread, like the courier's, has
//! all signals blocked: they go to the program's own threads, which may wait for them. It starts a moment after the run
//! did, and reads what was written until then: a run that is over by then never has it.
//!
//! This is one of the files with `unsafe` code: dispositions and masks are calls into C.

#[cfg(unix)]
pub(super) use unix::{
    apart, is_default, keep_errno, listen, raise_with_default, set_default, wait_while_ending,
    while_replaced, write_bytes,
};

/// How long the ending may take after a signal: orchestrators commonly kill after ten seconds, some sooner.
#[cfg(unix)]
const BUDGET: std::time::Duration = std::time::Duration::from_secs(5);

/// Runs `start`, which starts threads of ours.
#[cfg(not(unix))]
pub(super) fn apart(start: impl FnOnce()) {
    start();
}

/// There are no such signals here.
#[cfg(not(unix))]
pub(super) fn listen() {}

#[cfg(not(unix))]
pub(super) fn wait_while_ending() -> bool {
    false
}

#[cfg(unix)]
mod unix {
    use std::ffi::c_int;
    use std::io::{Read as _, Write as _};
    use std::mem::MaybeUninit;
    use std::os::fd::IntoRawFd as _;
    use std::os::unix::net::UnixStream;
    use std::ptr;
    use std::sync::atomic::{AtomicI32, Ordering};
    use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    use once_cell::sync::OnceCell;

    use super::BUDGET;
    use crate::clock::Moment;
    use crate::delivery::policy::RECEIPT_GRACE as GRACE;
    use crate::dispatcher::dispatcher;
    use crate::job::ending::Cause;
    use crate::job::farewell::end_all;
    use crate::job::open::Open;
    use crate::job::{Outcome, exit, supervise};
    use crate::log;

    /// What people and launchers end a process with, and the soft limit of processor time.
    const TAKEN: [c_int; 5] =
        [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGXCPU];

    /// Faults of the thread's own making; a thread that blocks them could not even die of them in an orderly way.
    const FAULTS: [c_int; 6] =
        [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGABRT];

    /// A second signal this long after the first is a person's impatience; sooner, it is a launcher that signals the
    /// process and its group.
    const IMPATIENCE: Duration = Duration::from_secs(1);

    /// How long a signal may go unheard at first. A thread takes time to start that the start of a run needs more.
    const UNHEARD: Duration = Duration::from_millis(5);

    /// What the reporting thread writes to the listening one: no signal has this number.
    const DONE: u8 = 0;

    /// Where the handler writes, who installed it, and the signal that nobody has heard of yet: all that it may touch.
    static WRITER: AtomicI32 = AtomicI32::new(-1);
    static OWNER: AtomicI32 = AtomicI32::new(0);
    static NOTED: AtomicI32 = AtomicI32::new(NONE);
    const NONE: c_int = 0;

    /// Both ends of the line from the handler, until the thread takes them.
    static LINE: Mutex<Option<(UnixStream, UnixStream)>> = Mutex::new(None);

    /// The process is being ended by a signal.
    static ENDING: Mutex<bool> = Mutex::new(false);
    static ENDING_CHANGED: Condvar = Condvar::new();

    fn ending() -> MutexGuard<'static, bool> {
        ENDING.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was noted is known now.
    fn set_ending(is_ending: bool) {
        let mut ending = ending();
        NOTED.store(NONE, Ordering::Release);
        *ending = is_ending;
        ENDING_CHANGED.notify_all();
    }

    /// Waits while a signal is ending the process, or is about to; usually that is the last thing this thread does.
    /// Returns whether there was one, and the process lives on.
    pub(in crate::job) fn wait_while_ending() -> bool {
        let is_noted = || NOTED.load(Ordering::Acquire) != NONE;
        if is_noted() {
            hear();
        }
        let ending = ending();
        let was_ending = *ending || is_noted();
        let wait = ENDING_CHANGED
            .wait_timeout_while(ending, BUDGET * 2, |is_ending| *is_ending || is_noted());
        was_ending && !wait.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Takes the signals, once per process.
    pub(in crate::job) fn listen() {
        static LISTENS: OnceCell<()> = OnceCell::new();
        LISTENS.get_or_init(|| {
            if let Err(error) = try_listen() {
                log::warn(format_args!("signals are not watched: {error}"));
            }
        });
    }

    fn try_listen() -> std::io::Result<()> {
        let taken: Vec<_> = TAKEN.into_iter().filter(|signal| is_default(*signal)).collect();
        if taken.is_empty() {
            return Ok(());
        }
        let (reader, writer) = UnixStream::pair()?;
        writer.set_nonblocking(true)?;
        *line() = Some((reader, writer.try_clone()?));
        OWNER.store(own_id(), Ordering::Release);
        WRITER.store(writer.into_raw_fd(), Ordering::Release);
        for signal in taken {
            install(signal);
        }
        hear_soon();
        Ok(())
    }

    fn line() -> MutexGuard<'static, Option<(UnixStream, UnixStream)>> {
        LINE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear_soon() {
        /// Hears even if the errand is dropped: without its thread, the courier does none.
        struct Hearing;

        impl Drop for Hearing {
            fn drop(&mut self) {
                hear();
            }
        }

        let hearing = Hearing;
        drop(dispatcher().spawn_after(UNHEARD, move || drop(hearing)));
    }

    /// Does what may replace this program. While it is being replaced the system refuses it threads, which would be
    /// told as if something were wrong.
    pub(in crate::job) fn while_replaced<T>(replace: impl FnOnce() -> T) -> T {
        let _unheard = line();
        replace()
    }

    /// Starts the thread, once per process. If there is none to be had, signals are what they were without us.
    fn hear() {
        // Held until there is a thread, or none.
        let mut line = line();
        let Some((reader, done)) = line.take() else { return };
        let mut spawned = Ok(());
        apart(|| {
            let thread = std::thread::Builder::new().name("metrics-push-signals".into());
            spawned = thread.spawn(move || watch(&reader, &done)).map(drop);
        });
        if let Err(error) = spawned {
            // From here on the handler does what would have happened without it.
            OWNER.store(NONE, Ordering::Release);
            log::warn(format_args!("signals are not watched: {error}"));
            let noted = NOTED.load(Ordering::Acquire);
            if noted != NONE && is_ours(noted) {
                raise_with_default(noted);
            }
            set_ending(false);
        }
    }

    /// The thread: a byte is a signal.
    fn watch(reader: &UnixStream, done: &UnixStream) {
        let mut byte = [DONE];
        while (&*reader).read_exact(&mut byte).is_ok() {
            let signal = c_int::from(byte[0]);
            // Handlers that were installed after ours may call ours; then the end is theirs to decide.
            if byte[0] != DONE && is_ours(signal) {
                end_by(signal, reader, done);
            } else {
                set_ending(false);
            }
        }
    }

    fn end_by(signal: c_int, reader: &UnixStream, done: &UnixStream) {
        set_ending(true);
        let deadline = exit::begin_ending(BUDGET.min(exit::budget()));
        let done = done.try_clone();
        let outcome = if supervise::is_timeout() { Outcome::Timeout } else { Outcome::Signal };
        let report = move || {
            let (ended, _) = end_all(|_| Cause::of_signal(outcome, signal), deadline).wait();
            if let Ok(mut done) = done {
                let _ = done.write_all(&[DONE]);
            }
            ended
        };
        // Its own thread, so that this one hears a second signal.
        let report = std::thread::Builder::new().name("metrics-push-end".into()).spawn(report);
        if report.is_ok() {
            wait_for_report(reader, deadline.after(GRACE));
        }
        raise_with_default(signal);
        // Still here: the kernel shields the first process of a container from signals it does not handle. It
        // would have gone on without us, so it does with us.
        if let Ok(ended) = report.map(std::thread::JoinHandle::join) {
            ended.unwrap_or_default().iter().for_each(Open::reopen);
        }
        set_ending(false);
    }

    /// Until the report is out, the time is over, or somebody insists.
    fn wait_for_report(reader: &UnixStream, deadline: Moment) {
        let begun = Moment::now();
        let mut byte = [DONE];
        loop {
            let left = deadline.remaining();
            if left.is_zero() || reader.set_read_timeout(Some(left)).is_err() {
                break;
            }
            match (&*reader).read(&mut byte) {
                Ok(1) if byte[0] != DONE && Moment::now().since(begun) < IMPATIENCE => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        let _ = reader.set_read_timeout(None);
    }

    fn own_id() -> c_int {
        std::process::id().cast_signed()
    }

    /// Runs in the middle of anything, so it does next to nothing: reading atomics, and calls that POSIX lists as safe
    /// in signal handlers.
    extern "C" fn note(signal: c_int) {
        if OWNER.load(Ordering::Acquire) != own_id() {
            // A child that was forked and not yet replaced ends as it would have without us; so does a process in which
            // nobody listens.
            if is_ours(signal) {
                raise_with_default(signal);
            }
            return;
        }
        NOTED.store(signal, Ordering::Release);
        let writer = WRITER.load(Ordering::Acquire);
        keep_errno(|| write_bytes(writer, &[u8::try_from(signal).unwrap_or(DONE)]));
    }

    /// For signal handlers: to a descriptor that is never closed and does not block. A full one has bytes enough.
    #[expect(unsafe_code, reason = "a call into C")]
    pub(in crate::job) fn write_bytes(writer: c_int, bytes: &[u8]) {
        // SAFETY: as many bytes are read as there are.
        unsafe { libc::write(writer, bytes.as_ptr().cast(), bytes.len()) };
    }

    /// The code that was interrupted may be about to look at its own error.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[expect(unsafe_code, reason = "a call into C")]
    pub(in crate::job) fn keep_errno(call: impl FnOnce()) {
        #[cfg(target_os = "android")]
        use libc::__errno as errno;
        #[cfg(target_os = "linux")]
        use libc::__errno_location as errno;
        // SAFETY: the C library gives each thread its own place, which is valid as long as the thread.
        let before = unsafe { *errno() };
        call();
        // SAFETY: as above.
        unsafe { *errno() = before };
    }

    /// Elsewhere the place has many names; a write to a live descriptor with room does not fail.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(in crate::job) fn keep_errno(call: impl FnOnce()) {
        call();
    }

    #[expect(unsafe_code, reason = "a call into C")]
    fn disposition(signal: c_int) -> Option<libc::sighandler_t> {
        let mut current = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: nothing is set; what is, is written to a place that is ours. All-zero is a valid `sigaction`.
        let (answer, current) = unsafe {
            (libc::sigaction(signal, ptr::null(), current.as_mut_ptr()), current.assume_init())
        };
        (answer == 0).then_some(current.sa_sigaction)
    }

    pub(in crate::job) fn is_default(signal: c_int) -> bool {
        disposition(signal) == Some(libc::SIG_DFL)
    }

    fn is_ours(signal: c_int) -> bool {
        disposition(signal) == Some(note as extern "C" fn(c_int) as libc::sighandler_t)
    }

    #[expect(unsafe_code, reason = "a call into C")]
    fn install(signal: c_int) {
        // SAFETY: all-zero is a valid `sigaction`: no flags, no signals masked. The handler is a function that lives
        // as long as the program and makes only calls that are safe in a handler.
        unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            action.sa_sigaction = note as extern "C" fn(c_int) as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
    }

    #[expect(unsafe_code, reason = "a call into C")]
    pub(in crate::job) fn set_default(signal: c_int) {
        // SAFETY: a plain call.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }

    /// Returns only where the signal does not end the process: inside its handler, and in the first process of a
    /// container.
    #[expect(unsafe_code, reason = "calls into C")]
    pub(in crate::job) fn raise_with_default(signal: c_int) {
        set_default(signal);
        // SAFETY: plain calls about this process' own signals, with a set that was emptied before it is used.
        unsafe {
            let mut set = MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), signal);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut());
            libc::raise(signal);
        }
    }

    /// Runs `start` with all signals blocked on this thread, so that threads it starts have them blocked for ever.
    #[expect(unsafe_code, reason = "calls into C")]
    pub(in crate::job) fn apart(start: impl FnOnce()) {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the sets are filled in before they are used, and both outlive the calls.
        let blocked = unsafe {
            libc::sigfillset(all.as_mut_ptr());
            for fault in FAULTS {
                libc::sigdelset(all.as_mut_ptr(), fault);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr())
        };
        start();
        if blocked == 0 {
            // SAFETY: `before` was written by the call above, which succeeded.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
        }
    }
}
