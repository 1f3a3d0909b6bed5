//! The exit handler: finishes active runs and delivers pending requests.
//!
//! It runs on the thread that ends the process, after `main` or inside `process::exit`. The dispatcher's thread still runs
//! then. Registering the handler is unsafe code: a call into C.

use super::signal;
use crate::job::completion::Cause;
use crate::job::process_state::{EndingRun, PROCESS};
use crate::job::spec::Extent;
use crate::log;
use crate::oneshot;
use crate::outcome::Outcome;
use crate::pipeline::Pipeline;
use crate::threads;

/// Whether the platform passes the exit code to an exit handler.
pub(in crate::job) const HAS_EXIT_CODE: bool = cfg!(all(target_os = "linux", target_env = "gnu"));

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a call into C")]
pub(super) fn register() {
    use std::ffi::{c_int, c_void};

    unsafe extern "C" {
        /// glibc's `atexit` with the exit code.
        safe fn on_exit(handler: extern "C" fn(c_int, *mut c_void), argument: *mut c_void)
        -> c_int;
    }
    extern "C" fn at_exit(code: c_int, _: *mut c_void) {
        on_process_exit(Some(code & 0xff));
    }
    check_registered(on_exit(at_exit, std::ptr::null_mut()));
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
#[expect(unsafe_code, reason = "a call into C")]
pub(super) fn register() {
    extern "C" fn at_exit() {
        on_process_exit(None);
    }
    // SAFETY: `at_exit` has the required signature, lives as long as the program, and never unwinds.
    check_registered(unsafe { libc::atexit(at_exit) });
}

fn check_registered(result: std::ffi::c_int) {
    if result != 0 {
        log::debug(
            "the exit handler could not be registered: a run that is active at process::exit is not reported",
        );
    }
}

/// Runs `work` on another thread. The exit handler waits for it within its timeout.
pub(in crate::job) fn run_before_exit(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let (sender, receiver) = oneshot::channel();
    let mut spawned = Ok(());
    signal::with_signals_blocked(|| {
        spawned = threads::spawn("metrics-push-recovery", || {
            work();
            sender.send(());
        });
    });
    if spawned.is_ok() {
        PROCESS.set_background_work(receiver);
    }
    spawned
}

fn on_process_exit(code: Option<i32>) {
    if !PROCESS.is_owner() {
        return;
    }
    // A panic must not unwind into C.
    let _ = std::panic::catch_unwind(|| {
        signal::wait_while_ending();
        finish_and_deliver(code);
        // If a signal arrives now, it ends the process, unless this is the first process of a container.
        if signal::wait_while_ending() {
            finish_and_deliver(code);
        }
    });
}

fn finish_and_deliver(code: Option<i32>) {
    let deadline = PROCESS
        .current_deadline()
        .unwrap_or_else(|| PROCESS.start_deadline(Pipeline::process_timeout()));
    let background_work = PROCESS.take_background_work();
    let shutdown = PROCESS.finish_all(&|run| cause(&run, code), deadline);
    if let Some(work) = background_work {
        work.wait(deadline.remaining());
    }
    if let Some(shutdown) = shutdown {
        shutdown.wait();
    }
}

/// Returns the cause of a run that is active at exit. The exit code of a whole process decides, unless it has only printed
/// its help; a task was interrupted.
fn cause(run: &EndingRun, code: Option<i32>) -> Cause {
    let outcome = match (code, run.extent) {
        // The program's own panic hook may have called `process::exit`.
        _ if PROCESS.is_in_panic_hook() || std::thread::panicking() => Outcome::Panic,
        (Some(0) | None, Extent::Process) if !run.has_returned && has_help_flag() => {
            Outcome::Skipped
        }
        (Some(code), Extent::Process) => run.exit_codes.outcome(code),
        _ => Outcome::ExitCode,
    };
    Cause::from_exit(outcome, code)
}

/// Returns true if an argument asks for the help or the version. Parsers of arguments print it and call `process::exit`.
fn has_help_flag() -> bool {
    const FLAGS: [&str; 4] = ["--help", "-h", "--version", "-V"];

    std::env::args_os().skip(1).any(|argument| FLAGS.iter().any(|flag| argument == *flag))
}
