//! Reads and changes the signal dispositions and masks of this process. All unsafe code for this is here.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;

/// Signals for faults of the running code. If a thread blocks them, the kernel kills the process without calling a
/// handler.
const FAULTS: [c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGABRT];

/// A handler that only gets the signal.
pub(super) type SignalFn = extern "C" fn(c_int);

/// A handler that also gets information about the sender.
pub(super) type InfoSignalFn = extern "C" fn(c_int, *mut libc::siginfo_t, *mut std::ffi::c_void);

#[expect(unsafe_code, reason = "a call into C")]
fn disposition(signal: c_int) -> Option<libc::sighandler_t> {
    let mut current = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the call changes nothing and writes to a local. An all-zero `sigaction` is valid.
    let (result, current) = unsafe {
        (libc::sigaction(signal, ptr::null(), current.as_mut_ptr()), current.assume_init())
    };
    (result == 0).then_some(current.sa_sigaction)
}

pub(super) fn has_default_disposition(signal: c_int) -> bool {
    disposition(signal) == Some(libc::SIG_DFL)
}

pub(super) fn is_handled_by(signal: c_int, handler: SignalFn) -> bool {
    disposition(signal) == Some(handler as libc::sighandler_t)
}

/// Installs a handler that makes only async-signal-safe calls.
pub(super) fn install(signal: c_int, handler: SignalFn) {
    set_action(signal, handler as libc::sighandler_t, 0);
}

/// Installs a handler that makes only async-signal-safe calls and gets information about the sender.
pub(super) fn install_with_info(signal: c_int, handler: InfoSignalFn) {
    set_action(signal, handler as libc::sighandler_t, libc::SA_SIGINFO);
}

#[expect(unsafe_code, reason = "a call into C")]
fn set_action(signal: c_int, handler: libc::sighandler_t, flags: c_int) {
    // SAFETY: an all-zero `sigaction` is valid. The handler is a function, which lives as long as the program, and the
    // callers ensure that it makes only async-signal-safe calls.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        // The alternate stack may have space for one handler only, so no other signal interrupts it.
        libc::sigfillset(&raw mut action.sa_mask);
        action.sa_sigaction = handler;
        action.sa_flags = flags | libc::SA_RESTART | libc::SA_ONSTACK;
        libc::sigaction(signal, &raw const action, ptr::null_mut());
    }
}

#[expect(unsafe_code, reason = "a call into C")]
pub(super) fn set_default(signal: c_int) {
    // SAFETY: the call takes only integers.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

pub(super) fn is_ignored(signal: c_int) -> bool {
    disposition(signal) == Some(libc::SIG_IGN)
}

/// Ignores a signal. This is async-signal-safe.
#[expect(unsafe_code, reason = "a call into C")]
pub(super) fn ignore(signal: c_int) {
    // SAFETY: the call takes only integers.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// The signals that a thread blocks.
#[derive(Clone, Copy)]
pub(super) struct SignalMask(libc::sigset_t);

impl SignalMask {
    /// Returns the mask of this thread.
    pub(super) fn current() -> Self {
        Self::unblock(&[])
    }

    /// Unblocks signals on this thread. Returns the mask before.
    #[expect(unsafe_code, reason = "calls into C")]
    pub(super) fn unblock(signals: &[c_int]) -> Self {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: the set is initialised before it is used, and an all-zero `before` is valid.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in signals {
                libc::sigaddset(set.as_mut_ptr(), *signal);
            }
            libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), before.as_mut_ptr());
            Self(before.assume_init())
        }
    }

    /// Blocks all signals on this thread, except those of faults. Returns the mask before.
    #[expect(unsafe_code, reason = "calls into C")]
    pub(super) fn block_all() -> Self {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: the set is initialised before it is used, and an all-zero `before` is valid.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            for fault in FAULTS {
                libc::sigdelset(all.as_mut_ptr(), fault);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
            Self(before.assume_init())
        }
    }

    /// Blocks the signals of this mask on this thread, and no others. This is async-signal-safe.
    #[expect(unsafe_code, reason = "a call into C")]
    pub(super) fn restore(&self) {
        // SAFETY: the pointer is to an initialised set.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

/// Ends this process by a signal, with the default disposition. Returns only if the signal does not end the process:
/// after a stop signal, and in the first process of a container.
#[expect(unsafe_code, reason = "calls into C")]
pub(super) fn raise_with_default(signal: c_int) {
    set_default(signal);
    // SAFETY: the set is initialised before it is used.
    unsafe {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut());
        libc::raise(signal);
    }
}

/// Calls `start` with all signals blocked on this thread, so that the threads it starts have them blocked. Signals then go
/// to the program's own threads, which may wait for them.
pub(super) fn with_signals_blocked<R>(start: impl FnOnce() -> R) -> R {
    let before = SignalMask::block_all();
    let started = start();
    before.restore();
    started
}

/// Writes to a descriptor from a signal handler. The descriptor is never closed and does not block. If its buffer is
/// full, the bytes are lost, but the reader has others to read.
#[expect(unsafe_code, reason = "a call into C")]
pub(super) fn write_from_signal(descriptor: c_int, bytes: &[u8]) {
    // SAFETY: the pointer and the length are those of a slice.
    unsafe { libc::write(descriptor, bytes.as_ptr().cast(), bytes.len()) };
}

/// Calls `f` in a signal handler and restores `errno`, which the interrupted code may be about to read.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[expect(unsafe_code, reason = "a call into C")]
pub(super) fn preserve_errno(f: impl FnOnce()) {
    #[cfg(target_os = "android")]
    use libc::__errno as errno;
    #[cfg(target_os = "linux")]
    use libc::__errno_location as errno;
    // SAFETY: the C library returns a pointer to the thread's own variable, which lives as long as the thread.
    let before = unsafe { *errno() };
    f();
    // SAFETY: as above.
    unsafe { *errno() = before };
}

/// Calls `f`. On other platforms the location of `errno` has various names. A successful write does not change it.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn preserve_errno(f: impl FnOnce()) {
    f();
}
