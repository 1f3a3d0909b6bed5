//! The panic hook: records panics, and finishes the runs if the process aborts after the hook.
//!
//! While a thread unwinds, the guard of its run reports the panic. The hook has to report it if the process aborts: in
//! programs with `panic = "abort"`, and when a panic interrupts the unwinding of another one.

use std::cell::RefCell;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::Once;

use crate::job::failure_reason;
use crate::job::process_state::{PROCESS, RecordedPanic};
use crate::metrics::is_gathering;
use crate::outcome::Outcome;
use crate::pipeline::Pipeline;

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// The first words of the standard library's messages when a panic aborts instead of unwinding. They are not stable. If
/// they change, the journal and the supervisor still report the run, as after any other abort.
const ABORT_MESSAGES: [&str; 2] =
    ["panic in a destructor during cleanup", "panic in a function that cannot unwind"];

thread_local! {
    /// The last panic of the thread.
    static LAST_PANIC: RefCell<Option<RecordedPanic>> = const { RefCell::new(None) };
}

/// Returns the reason of the last panic of this thread, unless it is one of the first `panics` of the process.
pub(in crate::job) fn reason_since(panics: u64) -> Option<String> {
    let last = LAST_PANIC.try_with(|last| last.try_borrow().ok()?.clone());
    last.ok().flatten().and_then(|last| last.reason_since(panics))
}

/// Installs the hook in front of the current one. A hook that the program sets later decides whether this one is called.
pub(super) fn install_hook() {
    static INSTALLED: Once = Once::new();
    // A panicking thread must not set hooks. The next start of a run sets it.
    if !std::thread::panicking() {
        INSTALLED.call_once(|| {
            let previous = take_hook();
            set_hook(Box::new(move |panic| on_panic(panic, &previous)));
        });
    }
}

fn on_panic(panic: &PanicHookInfo<'_>, previous: &Hook) {
    let _in_hook = PROCESS.enter_panic_hook();
    record(panic);
    if !will_abort(panic) || !PROCESS.is_owner() {
        return previous(panic);
    }
    let _abort = PROCESS.abort.lock();
    // Submits first and waits last, because the previous hook prints the message, or ends the process.
    let shutdown = if is_library_thread() && !is_gathering() {
        None
    } else {
        let deadline = PROCESS.start_deadline(Pipeline::process_timeout());
        PROCESS.finish_all(&|_| Outcome::Panic.into(), deadline)
    };
    previous(panic);
    if let Some(shutdown) = shutdown {
        shutdown.wait();
    }
}

/// Records the reason of a panic. A panic that only aborts the process has an earlier one as its cause.
fn record(panic: &PanicHookInfo<'_>) {
    if has_abort_message(panic) && reason_since(0).is_some() {
        return;
    }
    let recorded = RecordedPanic::new(PROCESS.panics(), failure_reason::of_panic(panic));
    PROCESS.set_last_panic(recorded.clone());
    let _ = LAST_PANIC.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = Some(recorded);
        }
    });
}

/// Returns true if the process aborts when the hook returns.
fn will_abort(panic: &PanicHookInfo<'_>) -> bool {
    cfg!(panic = "abort") || has_abort_message(panic)
}

fn has_abort_message(panic: &PanicHookInfo<'_>) -> bool {
    let message = failure_reason::panic_message(panic).unwrap_or_default();
    ABORT_MESSAGES.iter().any(|start| message.starts_with(start))
}

/// Returns true on a thread of this library, which cannot wait for itself.
fn is_library_thread() -> bool {
    std::thread::current().name().is_some_and(|name| name.starts_with("metrics-push"))
}
