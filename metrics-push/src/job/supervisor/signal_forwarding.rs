//! `SignalForwarding`: forwards signals from the supervisor to the job.
//!
//! For each signal, the handler writes two bytes to a socket that the supervisor reads: the signal, and whether a
//! process sent it. A terminal sends its signals to the whole process group, so those are not forwarded, except before the
//! job exists. Reading the sender is unsafe code.

use std::ffi::{c_int, c_void};
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, IntoRawFd as _, RawFd};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::time::Duration;

use crate::job::posix_signals::{
    SignalMask, has_default_disposition, ignore, install_with_info, is_ignored, preserve_errno,
    set_default, write_from_signal,
};

/// The signals that are forwarded. Others act on the supervisor as they would on the job.
const FORWARDED: [c_int; 13] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGXCPU,
    libc::SIGWINCH,
    libc::SIGCONT,
    // The supervisor stops after the job has stopped.
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

/// The forwarded signals by which people and launchers end a process.
const ENDING: [c_int; 5] =
    [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGXCPU];

/// The descriptor that the handler writes to.
static WRITER: AtomicI32 = AtomicI32::new(-1);

/// The id of the supervisor until its job has started, then zero. The forked child inherits the value but has another id, so
/// its handler does not forward what the terminal sends to both.
static STARTING: AtomicU32 = AtomicU32::new(0);

pub(super) struct SignalForwarding {
    received: UnixStream,
    /// The signals whose handler has been installed.
    handled: Vec<c_int>,
    is_session_leader: bool,
}

/// The signal state that this process has inherited and changed. The job inherits it in turn.
#[derive(Clone, Copy)]
pub(super) struct InheritedSignals {
    mask: SignalMask,
    is_sigchld_ignored: bool,
}

impl InheritedSignals {
    /// Restores the state, between fork and exec as well: this is async-signal-safe.
    pub(super) fn restore(&self) {
        if self.is_sigchld_ignored {
            ignore(libc::SIGCHLD);
        }
        self.mask.restore();
    }
}

impl SignalForwarding {
    pub(super) fn new() -> io::Result<Self> {
        let (received, writer) = UnixStream::pair()?;
        received.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        WRITER.store(writer.into_raw_fd(), Ordering::Release);
        STARTING.store(process::id(), Ordering::Release);
        Ok(Self { received, handled: Vec::new(), is_session_leader: is_session_leader() })
    }

    /// Installs the handler of SIGCHLD, and of all other signals with the default disposition, and unblocks them. A signal
    /// that was inherited as ignored is ignored by the job as well.
    pub(super) fn install(&mut self) -> InheritedSignals {
        let is_sigchld_ignored = is_ignored(libc::SIGCHLD);
        let signals = FORWARDED.into_iter().filter(|signal| has_default_disposition(*signal));
        self.handled = signals.chain([libc::SIGCHLD]).collect();
        self.handled.iter().for_each(|signal| install_with_info(*signal, on_signal));
        InheritedSignals { mask: SignalMask::unblock(&self.handled), is_sigchld_ignored }
    }

    /// Leaves the signals of the terminal to the job from now on. Earlier ones are forwarded, because the job did not exist.
    pub(super) fn set_job_started(&self) {
        STARTING.store(0, Ordering::Release);
    }

    /// Installs the handler of one signal again.
    pub(super) fn install_one(&self, signal: c_int) {
        if self.handled.contains(&signal) {
            install_with_info(signal, on_signal);
        }
    }

    pub(super) fn uninstall_one(&self, signal: c_int) {
        if self.handled.contains(&signal) {
            set_default(signal);
        }
    }

    pub(super) fn uninstall(&self) {
        self.handled.iter().copied().for_each(set_default);
    }

    /// Waits until a signal arrives or `other` can be read, at most for `timeout`. Returns true if `other` can be read.
    pub(super) fn wait(&self, other: Option<&UnixStream>, timeout: Option<Duration>) -> bool {
        let descriptors = [Some(&self.received), other];
        let [_, is_readable] =
            poll(descriptors.map(|socket| socket.map_or(-1, UnixStream::as_raw_fd)), timeout);
        is_readable
    }

    /// Calls `end` at each signal that would have ended the job, until `done` is closed.
    pub(super) fn watch(&mut self, done: &UnixStream, end: impl Fn()) {
        while !self.wait(Some(done), None) {
            while let Some(received) = self.next() {
                if ENDING.contains(&received.signal) {
                    end();
                }
            }
        }
    }

    /// Returns the next signal that the handler has received.
    pub(super) fn next(&mut self) -> Option<ReceivedSignal> {
        let mut event = [0; 2];
        self.received.read_exact(&mut event).ok()?;
        let [signal, origin] = event;
        let signal = signal.into();
        let origin = if origin == FROM_PROCESS { Origin::Process } else { Origin::Kernel };
        Some(ReceivedSignal { signal, must_forward: self.must_forward(signal, origin) })
    }

    fn must_forward(&self, signal: c_int, origin: Origin) -> bool {
        match signal {
            libc::SIGCHLD => false,
            // When a terminal is closed, the kernel signals only the leader of its session.
            libc::SIGHUP | libc::SIGCONT if self.is_session_leader => true,
            _ => origin == Origin::Process,
        }
    }
}

/// A signal that this process has received.
#[derive(Clone, Copy)]
pub(super) struct ReceivedSignal {
    pub(super) signal: c_int,
    /// The job has not received it from its terminal.
    pub(super) must_forward: bool,
}

/// Waits until one of the descriptors can be read, a signal arrives or the timeout passes. Returns which ones can be read.
/// A negative descriptor is ignored.
#[expect(unsafe_code, reason = "a call into C")]
pub(super) fn poll(descriptors: [RawFd; 2], timeout: Option<Duration>) -> [bool; 2] {
    let mut descriptors =
        descriptors.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    // Rounded up, so that a deadline has passed when the wait ends.
    let timeout = timeout.map_or(-1, |timeout| {
        c_int::try_from(timeout.as_millis().saturating_add(1)).unwrap_or(c_int::MAX)
    });
    // SAFETY: the pointer and the length are those of a live array.
    let result =
        unsafe { libc::poll(descriptors.as_mut_ptr(), descriptors.len() as libc::nfds_t, timeout) };
    descriptors.map(|descriptor| result > 0 && descriptor.revents != 0)
}

#[expect(unsafe_code, reason = "a call into C")]
fn is_session_leader() -> bool {
    // SAFETY: the call takes only integers.
    unsafe { libc::getsid(0) }.cast_unsigned() == process::id()
}

/// The sender of a signal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Another process, or any sender before the job exists.
    Process,
    /// The kernel, for example for a terminal.
    Kernel,
}

const FROM_PROCESS: u8 = 1;

/// The handler. It only writes two bytes.
#[expect(unsafe_code, reason = "a signal handler is called with pointers")]
extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the handler is installed with `SA_SIGINFO`, so the kernel passes a valid pointer.
    let is_from_process = unsafe { (*info).si_code } <= 0;
    let must_forward = is_from_process || STARTING.load(Ordering::Acquire) == process::id();
    preserve_errno(|| {
        let origin = if must_forward { FROM_PROCESS } else { 0 };
        let event = [u8::try_from(signal).unwrap_or(0), origin];
        write_from_signal(WRITER.load(Ordering::Acquire), &event);
    });
}
