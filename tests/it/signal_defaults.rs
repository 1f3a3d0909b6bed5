//! Resets the signals of children, so that the tests do not depend on how they were started.
//!
//! A process inherits ignored signals and the signal mask: `nohup` ignores HUP, and a script ignores INT and QUIT for its
//! background commands.
#![expect(unsafe_code, reason = "signals are a C interface")]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Starts the child with default dispositions and without blocked signals.
pub(crate) fn reset_signals(command: &mut Command) -> &mut Command {
    // SAFETY: `reset` calls async-signal-safe functions only and does not allocate.
    unsafe { command.pre_exec(reset) }
}

fn reset() -> io::Result<()> {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGXCPU] {
        // SAFETY: the child has one thread, and the default disposition has no handler.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    let mut mask = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the mask.
    let result = unsafe {
        libc::sigemptyset(mask.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, mask.as_ptr(), std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
