//! A task that succeeds at the third attempt, for schedulers with retries. Each attempt is a run.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use metrics_push::push_job;

/// `on_success = add` keeps the time of the last failure. A push replaces the group and removes it.
#[push_job(every = "1h", on_success = add)]
pub(crate) async fn reminders() -> Result<(), io::Error> {
    static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
    match ATTEMPTS.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => Err(io::Error::other("the mail server is busy")),
        _ => Ok(()),
    }
}
