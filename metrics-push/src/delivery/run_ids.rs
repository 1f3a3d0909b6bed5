//! `RunIds`: the end of a log line about the runs of a request.

use std::fmt;
use std::sync::Arc;

use crate::push_request::{PushRequest, RunEnding};

/// The maximum number of ids in a line.
const MAX_LOGGED_RUNS: usize = 3;

/// Writes the ids of the runs that a request reports: `; run 6c1f0e5d2b7a9843`. Writes nothing if it reports none.
pub(super) struct RunIds<'a>(&'a [Arc<RunEnding>]);

impl<'a> RunIds<'a> {
    pub(super) fn new(request: Option<&'a PushRequest>) -> Self {
        Self(request.map_or(&[], PushRequest::endings))
    }
}

impl fmt::Display for RunIds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, others) = self.0.split_at(self.0.len().min(MAX_LOGGED_RUNS));
        for (position, ending) in shown.iter().enumerate() {
            let separator = if position == 0 { "; run " } else { ", " };
            write!(f, "{separator}{}", ending.run.id)?;
        }
        if others.is_empty() { Ok(()) } else { write!(f, " and {} more", others.len()) }
    }
}
