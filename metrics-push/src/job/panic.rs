//! Panics: counted wherever they happen, and reported from the hook where nothing else will run afterwards.
//!
//! While a thread unwinds, the guard of its run reports. The hook has to where the process aborts: in programs
//! built with `panic = "abort"`, and when a panic meets another on its way.

use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use once_cell::sync::OnceCell;

use super::farewell::end_all;
use super::{Outcome, exit};

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

static PANICS: AtomicU64 = AtomicU64::new(0);
static HOOKS_RUNNING: AtomicUsize = AtomicUsize::new(0);
/// Held while runs are ended from a hook: whoever returns from its hook first aborts the process for all.
static TELLING: Mutex<()> = Mutex::new(());

/// What std says when it is about to abort instead of unwinding. The wording is not promised; should it change, such
/// an end is found by the journal and by `supervise`, like any other abort.
const LAST_WORDS: [&str; 2] =
    ["panic in a destructor during cleanup", "panic in a function that cannot unwind"];

/// Panics of this process since the first run.
pub(super) fn count() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Whether a panic hook is running: a process that exits now does so because of a panic.
pub(super) fn is_being_told() -> bool {
    HOOKS_RUNNING.load(Ordering::Acquire) > 0
}

/// Puts our hook before the one there is. A hook that is set later decides whether ours is still called.
pub(super) fn listen() {
    static LISTENS: OnceCell<()> = OnceCell::new();
    // A thread that panics may not set hooks; the next start will.
    if !std::thread::panicking() {
        LISTENS.get_or_init(|| {
            let before = take_hook();
            set_hook(Box::new(move |panic| note(panic, &before)));
        });
    }
}

fn note(panic: &PanicHookInfo<'_>, before: &Hook) {
    PANICS.fetch_add(1, Ordering::Relaxed);
    HOOKS_RUNNING.fetch_add(1, Ordering::AcqRel);
    if is_the_end(panic) && exit::is_own_process() {
        let _telling = TELLING.lock().unwrap_or_else(PoisonError::into_inner);
        // Handed over first, waited for last: the hook before ours prints at once, or it ends the process.
        let farewell = (!is_ours())
            .then(|| end_all(|_| Outcome::Panic.into(), exit::begin_ending(exit::budget())));
        before(panic);
        if let Some(farewell) = farewell {
            farewell.wait();
        }
    } else {
        before(panic);
    }
    HOOKS_RUNNING.fetch_sub(1, Ordering::AcqRel);
}

/// Whether the process aborts when the hook returns.
fn is_the_end(panic: &PanicHookInfo<'_>) -> bool {
    let payload = panic.payload();
    let said = match payload.downcast_ref::<&str>() {
        Some(said) => said,
        None => payload.downcast_ref::<String>().map_or("", String::as_str),
    };
    cfg!(panic = "abort") || LAST_WORDS.iter().any(|words| said.starts_with(words))
}

/// Whether this is a thread of ours, which can't wait for itself.
fn is_ours() -> bool {
    std::thread::current().name().is_some_and(|name| name.starts_with("metrics-push"))
}
