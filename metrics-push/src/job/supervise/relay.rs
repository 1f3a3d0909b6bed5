//! Relay: signals that the parent gets and the job is meant to have.
//!
//! The handler notes the signal and who sent it; the parent, which waits for nothing else, reads the notes. What a
//! terminal sends, it sends to the whole process group, so the job has it already.
//!
//! This is one of the files with `unsafe` code: handlers that know a signal's sender are calls into C.

use std::ffi::{c_int, c_void};
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::IntoRawFd as _;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use crate::job::signal;

/// What the parent passes on. The others end, stop or concern it as they would the job.
const PASSED_ON: [c_int; 13] = [
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
    // The parent stops when the job has.
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

/// Where the handler writes.
static WRITER: AtomicI32 = AtomicI32::new(-1);

/// The parent's end of it all.
pub(super) struct Relay {
    notes: UnixStream,
    taken: Vec<c_int>,
    is_session_leader: bool,
}

impl Relay {
    pub(super) fn new() -> io::Result<Self> {
        let (notes, writer) = UnixStream::pair()?;
        writer.set_nonblocking(true)?;
        WRITER.store(writer.into_raw_fd(), Ordering::Release);
        Ok(Self { notes, taken: Vec::new(), is_session_leader: is_session_leader() })
    }

    /// Takes all of them that are the default: what was inherited as ignored is ignored by the job as well.
    pub(super) fn listen(&mut self) {
        let wanted = PASSED_ON.into_iter().chain([libc::SIGCHLD]);
        self.taken = wanted.filter(|signal| signal::is_default(*signal)).collect();
        self.taken.iter().copied().for_each(install);
    }

    /// Takes one again.
    pub(super) fn listen_to(&self, signal: c_int) {
        if self.taken.contains(&signal) {
            install(signal);
        }
    }

    pub(super) fn stop_listening_to(&self, signal: c_int) {
        if self.taken.contains(&signal) {
            signal::set_default(signal);
        }
    }

    pub(super) fn stop_listening(&self) {
        self.taken.iter().copied().for_each(signal::set_default);
    }

    /// Waits for the next signal, or for a change of the job; the signal, if it is for the job.
    pub(super) fn next(&mut self, patience: Option<Duration>) -> Option<c_int> {
        // A zero time-out would be none.
        let patience = patience.map(|patience| patience.max(Duration::from_millis(1)));
        let _ = self.notes.set_read_timeout(patience);
        let mut note = [0; 2];
        self.notes.read_exact(&mut note).ok()?;
        let [signal, is_from_somebody] = note;
        self.is_for_job(signal.into(), is_from_somebody == 1).then_some(signal.into())
    }

    fn is_for_job(&self, signal: c_int, is_from_somebody: bool) -> bool {
        match signal {
            libc::SIGCHLD => false,
            // A terminal that is gone tells the leader of its session alone.
            libc::SIGHUP | libc::SIGCONT if self.is_session_leader => true,
            _ => is_from_somebody,
        }
    }
}

#[expect(unsafe_code, reason = "a call into C")]
fn is_session_leader() -> bool {
    // SAFETY: a plain call about this process.
    unsafe { libc::getsid(0) }.cast_unsigned() == std::process::id()
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

#[expect(unsafe_code, reason = "a call into C")]
fn install(signal: c_int) {
    // SAFETY: all-zero is a valid `sigaction`; the handler lives as long as the program and makes only calls
    // that are safe in a handler.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction =
            note as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        libc::sigaction(signal, &raw const action, ptr::null_mut());
    }
}
