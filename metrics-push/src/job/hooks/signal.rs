//! Signal handlers: SIGTERM, SIGINT, SIGHUP, SIGQUIT and SIGXCPU finish the runs of a whole process before they end it.
//!
//! Handlers are installed only where the disposition is the default: a signal that was inherited as ignored stays
//! ignored, and a handler that the program installs, earlier or later, takes precedence. The handler writes one byte; a
//! listener thread finishes the runs, restores the default disposition and raises the signal again, so that the exit
//! status is the same as without the library. The listener starts shortly after the run and also reads earlier bytes.
//! If the process ends before that, the listener is not started.

#[cfg(not(unix))]
pub(in crate::job) use unsupported::{start_listener, wait_while_ending, with_signals_blocked};

#[cfg(unix)]
pub(in crate::job) use crate::job::posix_signals::with_signals_blocked;
#[cfg(unix)]
pub(in crate::job) use unix::{start_listener, wait_while_ending, without_handlers};

/// Platforms without these signals.
#[cfg(not(unix))]
mod unsupported {
    pub(in crate::job) fn with_signals_blocked(start: impl FnOnce()) {
        start();
    }

    pub(in crate::job) fn start_listener() {}

    pub(in crate::job) fn wait_while_ending() -> bool {
        false
    }
}

#[cfg(unix)]
mod unix {
    use std::ffi::c_int;
    use std::io::{Read as _, Write as _};
    use std::os::fd::IntoRawFd as _;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
    use std::sync::{Arc, MutexGuard};
    use std::time::Duration;

    use crate::clock::Moment;
    use crate::delivery::policy::RECEIPT_GRACE;
    use crate::dispatcher::dispatcher;
    use crate::job::completion::Cause;
    use crate::job::posix_signals::{
        has_default_disposition, install, is_handled_by, preserve_errno, raise_with_default,
        set_default, with_signals_blocked, write_from_signal,
    };
    use crate::job::process_state::PROCESS;
    use crate::job::supervisor;
    use crate::log;
    use crate::outcome::Outcome;
    use crate::pipeline::Pipeline;
    use crate::sync::{Condvar, Mutex};
    use crate::threads;

    /// The timeout for deliveries after a signal: orchestrators commonly kill after ten seconds, some earlier.
    const SIGNAL_TIMEOUT: Duration = Duration::from_secs(5);

    /// The signals that end a process by default and that people and launchers send, and the soft limit of CPU time.
    const HANDLED: [c_int; 5] =
        [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGXCPU];

    /// A second signal ends the process at once if it arrives at least this long after the first one. An earlier one is
    /// usually sent by a launcher that signals both the process and its group.
    const REPEAT_INTERVAL: Duration = Duration::from_secs(1);

    /// The delays before the attempts to start the listener thread. Because of the first delay, its start-up does not slow
    /// down the start of the run. The others are for a process that calls `exec` at that moment: the system refuses new
    /// threads until the other program replaces this one.
    const LISTENER_DELAYS: [Duration; 4] = [
        Duration::from_millis(5),
        Duration::from_millis(45),
        Duration::from_millis(200),
        Duration::from_millis(750),
    ];

    /// The byte that the reporting thread writes to the listener. No signal has this number.
    const REPORTED: u8 = 0;

    const NO_SIGNAL: c_int = 0;

    /// All state that the handler accesses.
    struct HandlerState {
        /// The descriptor that the handler writes to.
        writer: AtomicI32,
        /// The process that installed the handlers.
        owner: AtomicI32,
        /// The signal that the listener has not read yet.
        unread: AtomicI32,
    }

    static HANDLER: HandlerState = HandlerState {
        writer: AtomicI32::new(-1),
        owner: AtomicI32::new(0),
        unread: AtomicI32::new(NO_SIGNAL),
    };

    /// The socket between handler and listener, until the listener starts.
    static SOCKET: Mutex<Option<Arc<Socket>>> = Mutex::new(None);

    struct Socket {
        reader: UnixStream,
        writer: UnixStream,
    }

    /// Whether a signal is ending the process.
    static IS_ENDING: Mutex<bool> = Mutex::new(false);
    static IS_ENDING_CHANGED: Condvar = Condvar::new();

    fn set_ending(is_ending: bool) {
        let mut current = IS_ENDING.lock();
        HANDLER.unread.store(NO_SIGNAL, Ordering::Release);
        *current = is_ending;
        IS_ENDING_CHANGED.notify_all();
    }

    fn has_unread_signal() -> bool {
        HANDLER.unread.load(Ordering::Acquire) != NO_SIGNAL
    }

    /// Waits while a signal is ending the process, which usually ends during the wait. Returns true if there was a signal and
    /// the process continues.
    pub(in crate::job) fn wait_while_ending() -> bool {
        if has_unread_signal() {
            start_listener_thread(&[]);
        }
        let is_ending = IS_ENDING.lock();
        let was_ending = *is_ending || has_unread_signal();
        let is_ending =
            IS_ENDING_CHANGED.wait_timeout_while(is_ending, SIGNAL_TIMEOUT * 2, |is_ending| {
                *is_ending || has_unread_signal()
            });
        was_ending && !*is_ending && !has_unread_signal()
    }

    /// Installs the handlers and starts the listener soon, once per process.
    pub(in crate::job) fn start_listener() {
        static IS_STARTED: AtomicBool = AtomicBool::new(false);
        if IS_STARTED.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Err(error) = install_all() {
            warn_unhandled(&error);
        }
    }

    fn warn_unhandled(error: &std::io::Error) {
        log::warn(format_args!(
            "signals are not handled, so a run that a signal ends is reported by a later run only: {error}"
        ));
    }

    fn install_all() -> std::io::Result<()> {
        let signals: Vec<_> =
            HANDLED.into_iter().filter(|signal| has_default_disposition(*signal)).collect();
        if signals.is_empty() {
            return Ok(());
        }
        let (reader, writer) = UnixStream::pair()?;
        writer.set_nonblocking(true)?;
        *SOCKET.lock() = Some(Arc::new(Socket { reader, writer: writer.try_clone()? }));
        HANDLER.owner.store(own_id(), Ordering::Release);
        HANDLER.writer.store(writer.into_raw_fd(), Ordering::Release);
        for signal in signals {
            install(signal, on_signal);
        }
        start_listener_after(&LISTENER_DELAYS);
        Ok(())
    }

    /// Starts the listener after the first delay. The others are for further attempts.
    fn start_listener_after(delays: &'static [Duration]) {
        /// Starts the listener when dropped: the dispatcher drops the task if its thread cannot be started.
        struct StartOnDrop(&'static [Duration]);

        impl Drop for StartOnDrop {
            fn drop(&mut self) {
                start_listener_thread(self.0);
            }
        }

        if let [delay, further @ ..] = delays {
            let start = StartOnDrop(further);
            drop(dispatcher().spawn_after(*delay, move || drop(start)));
        }
    }

    /// Calls `replace`, which may replace this program. A signal that was received before ends the process first, and a
    /// later one acts as without the library, so that no signal is lost with the handlers. Delays the start of the listener
    /// thread until `replace` returns: the system refuses new threads during `exec`, and that would be logged as an error.
    pub(in crate::job) fn without_handlers<T>(replace: impl FnOnce() -> T) -> T {
        let handled: Vec<_> =
            HANDLED.into_iter().filter(|signal| is_handled_by(*signal, on_signal)).collect();
        handled.iter().copied().for_each(set_default);
        wait_while_ending();
        let _socket: MutexGuard<'_, _> = SOCKET.lock();
        let result = replace();
        handled.iter().for_each(|signal| install(*signal, on_signal));
        result
    }

    /// Starts the listener thread, once per process. If the system refuses it even after the delays, signals act as
    /// without the library.
    fn start_listener_thread(delays: &'static [Duration]) {
        // Locked until the thread has started or failed.
        let mut pending = SOCKET.lock();
        let Some(socket) = pending.clone() else { return };
        let mut spawned = Ok(());
        with_signals_blocked(|| {
            spawned = threads::spawn("metrics-push-signals", move || listen(&socket));
        });
        if spawned.is_err() && !delays.is_empty() {
            drop(pending);
            return start_listener_after(delays);
        }
        *pending = None;
        if let Err(error) = spawned {
            // From now on the handler raises each signal with the default disposition.
            HANDLER.owner.store(0, Ordering::Release);
            warn_unhandled(&error);
            let unread = HANDLER.unread.load(Ordering::Acquire);
            if unread != NO_SIGNAL && is_handled_by(unread, on_signal) {
                raise_with_default(unread);
            }
            set_ending(false);
        }
    }

    /// The body of the listener thread. Each byte is a signal.
    fn listen(socket: &Socket) {
        let mut byte = [REPORTED];
        while (&socket.reader).read_exact(&mut byte).is_ok() {
            let signal = c_int::from(byte[0]);
            // A handler that the program installed later may call this one; then the program decides how it ends.
            let is_ours = || is_handled_by(signal, on_signal) || has_default_disposition(signal);
            if byte[0] != REPORTED && is_ours() {
                end_by(signal, socket);
            } else {
                set_ending(false);
            }
        }
    }

    fn end_by(signal: c_int, socket: &Socket) {
        set_ending(true);
        if PROCESS.current_deadline().is_some() {
            // The process was already waiting for its last deliveries. The sender of the signal ends that wait.
            dispatcher().interrupt();
        }
        let deadline = PROCESS.start_deadline(SIGNAL_TIMEOUT.min(Pipeline::process_timeout()));
        let outcome = if supervisor::is_killing() { Outcome::Timeout } else { Outcome::Signal };
        let writer = socket.writer.try_clone();
        let report = move || {
            let cause = Cause::from_signal(outcome, signal);
            let shutdown = PROCESS.finish_all(&|_| cause, deadline);
            if let Some(shutdown) = &shutdown {
                shutdown.wait();
            }
            if let Ok(mut writer) = writer {
                let _ = writer.write_all(&[REPORTED]);
            }
            shutdown
        };
        // On another thread, so that this one can read a second signal.
        let report = std::thread::Builder::new().name("metrics-push-end".into()).spawn(report);
        if report.is_ok() {
            wait_for_report(&socket.reader, deadline.after(RECEIPT_GRACE * 2));
        }
        raise_with_default(signal);
        // A signal with the default disposition does not end the first process of a container. Without the library it
        // would continue, so it continues here as well.
        if let Ok(Ok(Some(shutdown))) = report.map(std::thread::JoinHandle::join) {
            shutdown.reopen();
        }
        dispatcher().end_interruption();
        set_ending(false);
    }

    /// Waits until the report is done, the deadline passes or a signal is repeated.
    fn wait_for_report(reader: &UnixStream, deadline: Moment) {
        let started = Moment::now();
        let mut byte = [REPORTED];
        loop {
            let left = deadline.remaining();
            if left.is_zero() || reader.set_read_timeout(Some(left)).is_err() {
                break;
            }
            match (&*reader).read(&mut byte) {
                Ok(1) if byte[0] != REPORTED && Moment::now().since(started) < REPEAT_INTERVAL => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        let _ = reader.set_read_timeout(None);
    }

    fn own_id() -> c_int {
        std::process::id().cast_signed()
    }

    /// The handler. It reads atomics and makes only calls that POSIX lists as async-signal-safe.
    extern "C" fn on_signal(signal: c_int) {
        if HANDLER.owner.load(Ordering::Acquire) != own_id() {
            // A forked child, or a process whose listener could not be started.
            if is_handled_by(signal, on_signal) {
                raise_with_default(signal);
            }
            return;
        }
        HANDLER.unread.store(signal, Ordering::Release);
        let writer = HANDLER.writer.load(Ordering::Acquire);
        let byte = u8::try_from(signal).unwrap_or(REPORTED);
        preserve_errno(|| write_from_signal(writer, &[byte]));
    }
}
