//! The panic hook: counts panics, and finishes the runs if the process aborts after the hook.
//!
//! While a thread unwinds, the guard of its run reports the panic. The hook has to report it if the process aborts: in
//! programs with `panic = "abort"`, and when a panic interrupts the unwinding of another one.

use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::Once;

use crate::job::process_state::PROCESS;
use crate::metrics::is_gathering;
use crate::outcome::Outcome;
use crate::pipeline::Pipeline;

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// The first words of the standard library's messages when a panic aborts instead of unwinding. They are not stable. If
/// they change, the journal and the supervisor still report the run, as after any other abort.
const ABORT_MESSAGES: [&str; 2] =
    ["panic in a destructor during cleanup", "panic in a function that cannot unwind"];

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

/// Returns true if the process aborts when the hook returns.
fn will_abort(panic: &PanicHookInfo<'_>) -> bool {
    let payload = panic.payload();
    let message = match payload.downcast_ref::<&str>() {
        Some(message) => message,
        None => payload.downcast_ref::<String>().map_or("", String::as_str),
    };
    cfg!(panic = "abort") || ABORT_MESSAGES.iter().any(|start| message.starts_with(start))
}

/// Returns true on a thread of this library, which cannot wait for itself.
fn is_library_thread() -> bool {
    std::thread::current().name().is_some_and(|name| name.starts_with("metrics-push"))
}
