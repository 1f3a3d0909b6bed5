//! `AbandonedLog`: the lines about runs whose process died.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::log;

/// The number of abandoned runs that a process logs in full.
const MAX_LOGGED_RUNS: usize = 5;

/// Limits the lines about abandoned runs. The process logs the first ones, and each recovery logs the number of the
/// others. Lines are logged after the reports are submitted, because the end of a run may wait until then.
#[derive(Default)]
pub(super) struct AbandonedLog {
    lines: Vec<String>,
    others: usize,
}

impl AbandonedLog {
    pub(super) fn add(&mut self, line: impl fmt::Display) {
        static ADDED: AtomicUsize = AtomicUsize::new(0);

        if ADDED.fetch_add(1, Ordering::Relaxed) < MAX_LOGGED_RUNS {
            self.lines.push(line.to_string());
        } else {
            self.others += 1;
        }
    }

    pub(super) fn log_lines(&mut self) {
        self.lines.drain(..).for_each(log::warn);
    }

    pub(super) fn log_others(&mut self) {
        let others = std::mem::take(&mut self.others);
        if others > 0 {
            log::warn(format_args!("further abandoned runs: {others}"));
        }
    }
}
