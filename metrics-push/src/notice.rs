//! What the library has to say to a person: one line on stderr, and an event for `tracing` subscribers.
//!
//! A line never fails and never panics: stderr may be closed, and a job does not end because of that.

use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;

/// Something a person should mend. Also the place of everything that must not become an error of the job.
pub(crate) fn warn(line: impl fmt::Display) {
    tracing::warn!(target: "metrics_push", "{line}");
    // One write per line, so that lines of several threads do not mix.
    let text = format!("metrics-push: {line}\n");
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Something to know when looking for a cause; on stderr only for those who subscribe.
pub(crate) fn debug(line: impl fmt::Display) {
    tracing::debug!(target: "metrics_push", "{line}");
}

/// The beginning of a text that others have written, which may be of any length.
pub(crate) fn excerpt(text: &str, most_chars: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most_chars) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}
