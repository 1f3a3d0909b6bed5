//! A task that works the third time, for schedulers that try again: each attempt is a run.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use metrics_push::push_job;

/// A success adds to the group here; one that replaced it would forget when an attempt last failed.
#[push_job(every = "1h", on_success = add)]
pub(crate) async fn reminders() -> Result<(), io::Error> {
    static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
    match ATTEMPTS.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => Err(io::Error::other("the mail server is busy")),
        _ => Ok(()),
    }
}
