//! The hooks that finish the runs of a process that ends: exit handler, panic hook, signal handlers.
//!
//! They finish the runs with the function that [`install`] receives, and do not import the module of runs.

pub(super) mod exit;
pub(super) mod panic;
pub(super) mod signal;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::process_state::{FinishAll, PROCESS};
use crate::log;
use crate::pipeline::Pipeline;

/// This process was forked from one that pushes: it has no dispatcher, and the runs in its memory belong to its parent.
pub(super) struct Forked;

/// Installs the exit handler and the panic hook, at the first run of the process, and starts the dispatcher.
pub(super) fn install(pipeline: &Arc<Pipeline>, finish_all: FinishAll) -> Result<(), Forked> {
    static HAS_WARNED: AtomicBool = AtomicBool::new(false);

    let is_owner = PROCESS.claim(|| {
        PROCESS.set_finish_all(finish_all);
        exit::register();
        signal::with_signals_blocked(|| pipeline.prepare());
    });
    if !is_owner {
        if !HAS_WARNED.swap(true, Ordering::Relaxed) {
            log::warn(
                "this process was forked from one that pushes, so its runs are not pushed; start the first run after \
                 the fork",
            );
        }
        return Err(Forked);
    }
    panic::install_hook();
    Ok(())
}
