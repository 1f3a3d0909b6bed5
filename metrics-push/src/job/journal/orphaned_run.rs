//! `OrphanedRun`: a run of a dead process that is not reported yet.
//!
//! The journals are opened one after the other, so that their number is not limited. A change is one more line of a journal.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::file_names::{FOLDER, journal_names};
use super::line::{JournaledRun, Line};
use super::orphaned_journal::{OrphanedJournal, OwnedJournal, read_journal};
use crate::labels::GroupingKey;
use crate::outcome::Outcome;
use crate::state_dir::StateDir;

/// A run in the journal of a dead process.
pub(crate) struct OrphanedRun {
    journal: Arc<OrphanedJournal>,
    run: JournaledRun,
}

/// Returns the runs of all dead processes.
pub(crate) fn orphaned_runs(state_dir: &StateDir) -> Vec<OrphanedRun> {
    let Some(folder) = state_dir.existing_folder(FOLDER) else { return Vec::new() };
    let orphans = journal_names(&folder).filter_map(|name| match read_journal(&folder, &name) {
        Ok(Some(OwnedJournal::Orphaned(journal))) => Some(journal),
        // A search for journals reports invalid files.
        _ => None,
    });
    let runs = orphans.flat_map(|mut journal| {
        let runs = std::mem::take(&mut journal.runs);
        let journal = Arc::new(journal);
        runs.into_iter().map(move |run| OrphanedRun { journal: Arc::clone(&journal), run })
    });
    runs.collect()
}

impl OrphanedRun {
    pub(crate) fn key(&self) -> &GroupingKey {
        &self.run.started.key
    }

    /// Returns the URLs of its sinks, without credentials.
    pub(crate) fn sinks(&self) -> &[String] {
        &self.run.started.sinks
    }

    /// Returns when it started, in Unix seconds.
    pub(crate) fn started_at(&self) -> f64 {
        self.run.started.at
    }

    /// Returns its outcome; `None` if its process died before the run ended.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.run.finished.as_ref().map(|finished| finished.cause.outcome)
    }

    /// Replaces one of its sinks by another one.
    pub(crate) fn replace_sink(&self, from: &str, to: &str) -> io::Result<()> {
        let others = self.sinks().iter().filter(|sink| *sink != from && *sink != to);
        let sinks = others.cloned().chain([to.to_owned()]).collect();
        self.append(&Line::Moved(self.run.id, sinks))
    }

    /// Drops the run: it will not be reported.
    pub(crate) fn discard(&self) -> io::Result<()> {
        self.append(&Line::Acknowledged(self.run.id))
    }

    /// Appends a line to the journal, unless another process has reported the last run of the journal since.
    fn append(&self, line: &Line) -> io::Result<()> {
        match self.journal.append(line) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            appended => appended,
        }
    }
}
