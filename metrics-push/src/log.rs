//! The library's log lines: a line on stderr and a `tracing` event.
//!
//! Logging never fails and never panics: stderr may be closed, and a job must not end because of that.

use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;

/// Logs a problem that needs fixing, on stderr and as a `tracing` event of level WARN.
pub(crate) fn warn(line: impl fmt::Display) {
    tracing::warn!(target: "metrics_push", "{line}");
    // One write per line, so that lines of several threads do not mix.
    let text = format!("metrics-push: {line}\n");
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Logs a detail that helps to find a cause, only as a `tracing` event of level DEBUG.
pub(crate) fn debug(line: impl fmt::Display) {
    tracing::debug!(target: "metrics_push", "{line}");
}

/// Returns `text`; if it is longer than `max_chars` characters, it is cut there and ends with an ellipsis.
pub(crate) fn excerpt(text: &str, max_chars: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}
