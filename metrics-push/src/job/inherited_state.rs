//! `InheritedState`: the state that this process inherited and that the standard library changes before `main`.
//!
//! The runtime of the standard library ignores SIGPIPE and opens `/dev/null` in place of closed standard streams, and
//! `Command` resets SIGPIPE and the signal mask in the program that it executes. A command that replaces a job must
//! inherit the same state as the job, so this file reads that state in a constructor, before the runtime starts. On
//! platforms without such constructors it assumes the default.

use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::posix_signals::{ignore, is_ignored, set_default};

/// The standard streams, by descriptor.
const STREAMS: [c_int; 3] = [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO];

static IS_SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);
static IS_CLOSED: [AtomicBool; STREAMS.len()] = [const { AtomicBool::new(false) }; STREAMS.len()];

/// The constructor. The dynamic loader calls it before `main`.
#[cfg_attr(
    any(
        target_os = "linux",
        target_os = "android",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly",
        target_os = "illumos"
    ),
    expect(unsafe_code, reason = "the loader calls the functions in this section"),
    unsafe(link_section = ".init_array")
)]
#[cfg_attr(
    target_vendor = "apple",
    expect(unsafe_code, reason = "the loader calls the functions in this section"),
    unsafe(link_section = "__DATA,__mod_init_func")
)]
#[used]
static CONSTRUCTOR: extern "C" fn() = read;

extern "C" fn read() {
    IS_SIGPIPE_IGNORED.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
    let open = open_streams();
    for (is_closed, is_open) in IS_CLOSED.iter().zip(open) {
        is_closed.store(!is_open, Ordering::Relaxed);
    }
}

#[expect(unsafe_code, reason = "a call into C")]
fn open_streams() -> [bool; STREAMS.len()] {
    let mut streams = STREAMS.map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: the pointer and the length are those of a live array, and the call does not wait.
    let result = unsafe { libc::poll(streams.as_mut_ptr(), streams.len() as libc::nfds_t, 0) };
    streams.map(|stream| result < 0 || stream.revents & libc::POLLNVAL == 0)
}

/// Restores the inherited state in a process that is about to execute another program. This is async-signal-safe.
pub(super) fn restore() -> io::Result<()> {
    if IS_SIGPIPE_IGNORED.load(Ordering::Relaxed) {
        ignore(libc::SIGPIPE);
    } else {
        set_default(libc::SIGPIPE);
    }
    let streams = STREAMS.into_iter().zip(&IS_CLOSED);
    streams
        .filter(|(_, is_closed)| is_closed.load(Ordering::Relaxed))
        .for_each(|(fd, _)| close_on_exec(fd));
    Ok(())
}

/// Closes the stream in the executed program only. If the execution fails, the descriptor stays open, so no later file gets
/// its number and receives log lines.
#[expect(unsafe_code, reason = "a call into C")]
fn close_on_exec(descriptor: c_int) {
    // SAFETY: the call takes only integers and changes a flag of a stream that this process has opened in place of a closed one.
    unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
}
