//! The library's log lines: `tracing` events for programs with a subscriber, and lines on stderr for all others.
//!
//! Logging never fails and never panics: stderr may be closed, a subscriber may panic, and a job must not end because
//! of that.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use tracing::span::EnteredSpan;
use tracing::{Level, Span};

use crate::escape::{escape, escape_lines};
use crate::file_size::write_within_limit;
use crate::sync::Mutex;
use crate::threads;
use crate::timed_write::write_within;

/// How long a line may delay the end of the process.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a write to stderr may block. After that, the line is dropped, because a job must not wait for its log.
const STDERR_TIMEOUT: Duration = Duration::from_secs(1);

const TARGET: &str = "metrics_push";

/// The maximum number of different lines of [`warn_once`].
const MAX_LINES_ONCE: usize = 1_000;

/// Logs a problem that needs fixing: as an event of level WARN if the subscriber of this thread records it, otherwise on
/// stderr.
pub fn warn(line: impl fmt::Display) {
    let line = line.to_string();
    let line = escape(&line);
    if !record_warning(&line) {
        write_line(&for_stderr(&line));
    }
}

/// Writes a line to stderr. After a line is dropped, later lines do not wait, until stderr accepts one again.
fn write_line(line: &str) {
    static IS_BLOCKED: AtomicBool = AtomicBool::new(false);

    let is_blocked = IS_BLOCKED.load(Ordering::Relaxed);
    let timeout = if is_blocked { Duration::ZERO } else { STDERR_TIMEOUT };
    let written = write_within(std::io::stderr(), line.as_bytes(), timeout);
    let is_dropped = written.is_err_and(|error| error.kind() == ErrorKind::TimedOut);
    IS_BLOCKED.store(is_dropped, Ordering::Relaxed);
}

/// Like [`warn`], for a text of several lines that the user has asked for. It waits for a slow reader, such as a pager.
pub(crate) fn warn_lines(lines: impl fmt::Display) {
    let lines = lines.to_string();
    let lines = escape_lines(&lines);
    if !record_warning(&lines) {
        let _ = write_within_limit(std::io::stderr(), for_stderr(&lines).as_bytes());
    }
}

/// Returns the text of a line. A short one is written in one piece, so that lines of several threads do not mix.
fn for_stderr(line: &str) -> String {
    format!("metrics-push: {line}\n")
}

/// Returns false if this thread has no subscriber, or one that does not record warnings of this library or panics.
fn record_warning(line: &str) -> bool {
    let record = || {
        let is_enabled = tracing::event_enabled!(target: TARGET, Level::WARN);
        if is_enabled {
            tracing::warn!(target: TARGET, "{line}");
        }
        is_enabled
    };
    catch_unwind(AssertUnwindSafe(record)).unwrap_or(false)
}

/// Logs a problem from a thread that ends the process: on another thread, so that a subscriber that blocks delays the end
/// by at most [`EXIT_TIMEOUT`].
pub(crate) fn warn_before_exit(line: impl fmt::Display) {
    let (text, (sender, logged)) = (line.to_string(), mpsc::channel());
    let log = move || {
        warn(text);
        let _ = sender.send(());
    };
    if threads::spawn("metrics-push-log", log).is_ok() {
        let _ = logged.recv_timeout(EXIT_TIMEOUT);
    }
}

/// Logs a problem that may occur at each call: as [`warn`], but the same line only once per process.
pub(crate) fn warn_once(line: impl fmt::Display) {
    static LOGGED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

    let line = line.to_string();
    let is_new = {
        let mut logged = LOGGED.lock();
        logged.len() < MAX_LINES_ONCE && logged.insert(line.clone())
    };
    if is_new {
        warn(line);
    }
}

/// Logs a detail that helps to find a cause, only as an event of level DEBUG.
pub(crate) fn debug(line: impl fmt::Display) {
    let record = || tracing::debug!(target: TARGET, "{}", escape(&line.to_string()));
    let _ = catch_unwind(AssertUnwindSafe(record));
}

/// The span of a run. The events of its body belong to it.
#[derive(Debug, Default)]
pub(crate) struct RunSpan(OnceLock<Span>);

/// Leaves the span of a run when dropped.
#[derive(Debug)]
#[must_use = "dropping it leaves the span"]
pub struct EnteredRunSpan(Option<EnteredSpan>);

impl RunSpan {
    /// Enters the span on this thread, if a subscriber records it. A program may install its subscriber after the first
    /// call.
    pub(crate) fn enter(&self, job: &str, id: &str) -> EnteredRunSpan {
        let enter = || {
            if self.0.get().is_none() {
                // The highest level, so that a filter by level does not remove the span of a warning.
                let span = tracing::error_span!(target: TARGET, "run", job, id);
                if !span.is_disabled() {
                    let _ = self.0.set(span);
                }
            }
            self.0.get().map(|span| span.clone().entered())
        };
        EnteredRunSpan(catch_unwind(AssertUnwindSafe(enter)).unwrap_or_default())
    }
}

impl EnteredRunSpan {
    /// Enters no span.
    pub(crate) const fn none() -> Self {
        Self(None)
    }
}

impl Drop for EnteredRunSpan {
    fn drop(&mut self) {
        if let Some(entered) = self.0.take() {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(entered)));
        }
    }
}

/// Returns `text`; if it is longer than `max_chars` characters, it is cut there and ends with an ellipsis.
pub(crate) fn excerpt(text: &str, max_chars: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}
