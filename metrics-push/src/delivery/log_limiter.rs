//! Limits the log when many outcomes cannot be delivered: a few lines in full, then one summary per interval.
//!
//! `tracing` subscribers receive every line. Lines that are not logged in full have level DEBUG.

use std::fmt;
use std::time::Duration;

use super::policy::{MAX_FULL_LINES, SUMMARY_INTERVAL};
use crate::clock::Moment;
use crate::log;
use crate::sync::Mutex;

/// Why an outcome is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undelivered {
    Spooled,
    /// Sent again later.
    Delayed,
    Lost,
    /// Pushed without the program's own metrics.
    Reduced,
}

#[derive(Debug)]
struct LogLimiter {
    /// The end of the current interval; `None` before the first line.
    until: Option<Moment>,
    full_lines: u32,
    suppressed: Summary,
    has_timer: bool,
}

/// How many lines were not logged in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Summary {
    spooled: u32,
    delayed: u32,
    lost: u32,
    reduced: u32,
}

impl LogLimiter {
    const fn new() -> Self {
        let suppressed = Summary { spooled: 0, delayed: 0, lost: 0, reduced: 0 };
        Self { until: None, full_lines: 0, suppressed, has_timer: false }
    }

    /// Returns true if the line must be logged in full. Otherwise counts it.
    fn admit(&mut self, now: Moment, kind: Undelivered) -> bool {
        let is_expired = self.until.is_none_or(|until| now.is_at_or_after(until));
        if is_expired && self.suppressed == Summary::default() {
            (self.until, self.full_lines) = (Some(now.after(SUMMARY_INTERVAL)), 0);
        }
        if self.full_lines < MAX_FULL_LINES {
            self.full_lines += 1;
            return true;
        }
        let count = match kind {
            Undelivered::Spooled => &mut self.suppressed.spooled,
            Undelivered::Delayed => &mut self.suppressed.delayed,
            Undelivered::Lost => &mut self.suppressed.lost,
            Undelivered::Reduced => &mut self.suppressed.reduced,
        };
        *count = count.saturating_add(1);
        false
    }

    /// Returns the summary and starts a new interval, in which no line is logged in full; `None` if nothing was
    /// suppressed.
    fn take_summary(&mut self, now: Moment) -> Option<Summary> {
        let summary = std::mem::take(&mut self.suppressed);
        if summary == Summary::default() {
            return None;
        }
        self.until = Some(now.after(SUMMARY_INTERVAL));
        Some(summary)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.spooled, "stored on disk for a later run"),
            (self.delayed, "to be sent again"),
            (self.lost, "lost"),
            (self.reduced, "pushed without the program's own metrics"),
        ];
        f.write_str("further outcomes")?;
        for (position, (number, result)) in parts.iter().filter(|part| part.0 > 0).enumerate() {
            write!(f, "{} {number} {result}", if position == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

static LIMITER: Mutex<LogLimiter> = Mutex::new(LogLimiter::new());

/// Logs a line about an outcome in full, or counts it for the next summary.
pub(super) fn warn(kind: Undelivered, line: fmt::Arguments<'_>) {
    // The lock is released before the line is written.
    let is_admitted = LIMITER.lock().admit(Moment::now(), kind);
    if is_admitted {
        log::warn(line);
    } else {
        log::debug(line);
    }
}

/// Returns the delay after which the caller must call [`flush_due_summary`]; `None` if there is nothing to summarise or
/// another caller will do it.
pub(crate) fn claim_summary_timer() -> Option<Duration> {
    let mut limiter = LIMITER.lock();
    let is_due = !limiter.has_timer && limiter.suppressed != Summary::default();
    limiter.has_timer |= is_due;
    is_due.then(|| limiter.until.map_or(SUMMARY_INTERVAL, Moment::remaining))
}

/// Logs the summary after the delay of [`claim_summary_timer`].
pub(crate) fn flush_due_summary() {
    LIMITER.lock().has_timer = false;
    flush_summary();
}

/// Logs the summary now, if there is one.
pub(crate) fn flush_summary() {
    let summary = LIMITER.lock().take_summary(Moment::now());
    if let Some(summary) = summary {
        log::warn_before_exit(summary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limiter_logs_a_few_lines_and_counts_the_rest() {
        let (mut limiter, now) = (LogLimiter::new(), Moment::now());
        let full = (0..3_200).filter(|_| limiter.admit(now, Undelivered::Spooled)).count();
        assert_eq!(full, 5);
        limiter.admit(now, Undelivered::Lost);
        let summary = limiter.take_summary(now).unwrap().to_string();
        assert!(summary.ends_with(": 3195 stored on disk for a later run, 1 lost"), "{summary}");
        assert_eq!(limiter.take_summary(now), None);
    }

    #[test]
    fn limiter_only_counts_while_lines_keep_coming() {
        let (mut limiter, mut now) = (LogLimiter::new(), Moment::now());
        while limiter.admit(now, Undelivered::Lost) {}
        for _ in 0..5 {
            assert!(!limiter.admit(now.after(SUMMARY_INTERVAL / 2), Undelivered::Lost));
            now = now.after(SUMMARY_INTERVAL);
            assert!(!limiter.admit(now, Undelivered::Lost) && limiter.take_summary(now).is_some());
        }
    }

    #[test]
    fn limiter_logs_full_lines_again_after_a_quiet_interval() {
        let (mut limiter, now) = (LogLimiter::new(), Moment::now());
        while limiter.admit(now, Undelivered::Lost) {}
        assert!(limiter.take_summary(now).is_some());
        assert!(!limiter.admit(now, Undelivered::Lost) && limiter.take_summary(now).is_some());
        assert!(limiter.admit(now.after(SUMMARY_INTERVAL), Undelivered::Lost));
    }
}
