//! `AbandonedLog`: the lines about runs whose process died.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::log;

/// The number of abandoned runs that a process logs in full.
const MAX_LOGGED_RUNS: usize = 5;

/// Limits the lines about abandoned runs. The process logs the first ones, and each recovery logs the number of the others.
#[derive(Default)]
pub(super) struct AbandonedLog {
    others: usize,
}

impl AbandonedLog {
    /// Returns true if the next abandoned run is logged in full. Counts it otherwise.
    pub(super) fn claim_line(&mut self) -> bool {
        static LOGGED: AtomicUsize = AtomicUsize::new(0);

        let is_logged = LOGGED.fetch_add(1, Ordering::Relaxed) < MAX_LOGGED_RUNS;
        self.others += usize::from(!is_logged);
        is_logged
    }

    pub(super) fn log_others(&self) {
        if self.others > 0 {
            log::warn(format_args!("further abandoned runs: {}", self.others));
        }
    }
}
