//! What happens when the process exits: runs that are still open end, and requests that wait are delivered.
//!
//! The handler runs on whichever thread ends the process, after `main` or inside `process::exit`; the courier's
//! thread is still alive then. This is one of the files with `unsafe` code: registering is a call into C.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use once_cell::sync::OnceCell;

use super::ending::Cause;
use super::farewell::end_all;
use super::open::Open;
use super::{Extent, Outcome, panic, signal};
use crate::clock::Moment;
use crate::delivery::policy::RECEIPT_GRACE as GRACE;
use crate::log;
use crate::oneshot::{Receiver, channel};
use crate::pipeline::Pipeline;

/// Whether an exit handler is told the exit code here.
pub(super) const KNOWS_CODE: bool = cfg!(target_env = "gnu");

/// The process that pushes. A child that was forked from it has its memory, and none of its threads.
static PROCESS: OnceCell<u32> = OnceCell::new();

/// Until when the process has its ending delivered, once it has begun to end.
static DEADLINE: Mutex<Option<Moment>> = Mutex::new(None);

/// Gets the process ready for its end, at its first run. `false` in a child that was forked later: it has no courier,
/// and the runs in its memory are its parent's.
pub(super) fn is_prepared(pipeline: &Arc<Pipeline>) -> bool {
    static WARNED: OnceCell<()> = OnceCell::new();

    let own = std::process::id();
    let first = *PROCESS.get_or_init(|| {
        register();
        signal::apart(|| pipeline.prepare());
        own
    });
    if first == own {
        panic::listen();
    } else if WARNED.set(()).is_ok() {
        log::warn(
            "this process was forked from one that pushes, so its runs are not pushed; start the first run after the fork",
        );
    }
    first == own
}

/// Whether this is the process that [`is_prepared`] prepared.
pub(super) fn is_own_process() -> bool {
    PROCESS.get().is_some_and(|process| *process == std::process::id())
}

/// How long an ending of the whole process may take.
pub(super) fn budget() -> Duration {
    Pipeline::of_process().timeout
}

/// Begins the ending of the process and says until when it may last: the last of several endings counts.
pub(super) fn begin_ending(budget: Duration) -> Moment {
    let deadline = Moment::now().after(budget);
    *DEADLINE.lock().unwrap_or_else(PoisonError::into_inner) = Some(deadline);
    deadline
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a call into C")]
fn register() {
    use std::ffi::{c_int, c_void};

    unsafe extern "C" {
        /// Of glibc: like `atexit`, and the handler is told the code.
        safe fn on_exit(handler: extern "C" fn(c_int, *mut c_void), argument: *mut c_void)
        -> c_int;
    }
    extern "C" fn exits(code: c_int, _: *mut c_void) {
        conclude(Some(code & 0xff));
    }
    told(on_exit(exits, std::ptr::null_mut()));
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
#[expect(unsafe_code, reason = "a call into C")]
fn register() {
    extern "C" fn exits() {
        conclude(None);
    }
    // SAFETY: `exits` has the signature the C standard asks for, lives as long as the program, and never unwinds.
    told(unsafe { libc::atexit(exits) });
}

fn told(registered: std::ffi::c_int) {
    if registered != 0 {
        log::debug(
            "no exit handler could be registered: only runs that wait are sure to be delivered",
        );
    }
}

/// The last work that the process does not leave unfinished, if it can be finished in time.
static KEPT_UP: Mutex<Option<Receiver<()>>> = Mutex::new(None);

/// Does `work` on a thread of ours; the end of the process waits for it, within its budget.
pub(super) fn keep_up(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let (sender, receiver) = channel();
    let mut spawned = Ok(());
    signal::apart(|| {
        let thread = std::thread::Builder::new().name("metrics-push-recovery".into());
        spawned = thread
            .spawn(move || {
                work();
                sender.send(());
            })
            .map(drop);
    });
    if spawned.is_ok() {
        *KEPT_UP.lock().unwrap_or_else(PoisonError::into_inner) = Some(receiver);
    }
    spawned
}

/// Ends what is open and delivers what waits.
fn conclude(code: Option<i32>) {
    if !is_own_process() {
        return;
    }
    // A panic must not cross into C, and here nobody could be told of one.
    let _ = std::panic::catch_unwind(|| {
        signal::wait_while_ending();
        deliver_all(code);
        // Whoever was ended by a signal meanwhile ends by it; the first process of a container lives on.
        if signal::wait_while_ending() {
            deliver_all(code);
        }
    });
}

fn deliver_all(code: Option<i32>) {
    let begun = *DEADLINE.lock().unwrap_or_else(PoisonError::into_inner);
    // What ended long ago did not end the process.
    let begun = begun.filter(|deadline| !deadline.after(GRACE * 2).remaining().is_zero());
    let deadline = begun.unwrap_or_else(|| begin_ending(budget()));
    let kept_up = KEPT_UP.lock().unwrap_or_else(PoisonError::into_inner).take();
    let farewell = end_all(|open| cause(open, code), deadline);
    if let Some(work) = kept_up {
        work.wait(deadline.remaining());
    }
    let (_, left) = farewell.wait();
    if left > 0 {
        log::warn(format_args!("the process ends with {left} groups not delivered in time"));
    }
}

/// What an exit makes of a run that has not ended. A whole process that exits with 0 says itself that all is well;
/// for a task among others it is an end in the middle.
fn cause(open: &Open, code: Option<i32>) -> Cause {
    let outcome = match (code, open.job.extent) {
        // A hook of the program's own may have ended it.
        _ if panic::is_being_told() || std::thread::panicking() => Outcome::Panic,
        (Some(0), Extent::Process) => Outcome::Success,
        _ => Outcome::ExitCode,
    };
    Cause::of_exit(outcome, code)
}
