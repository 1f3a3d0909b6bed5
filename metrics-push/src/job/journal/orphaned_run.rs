//! `OrphanedRun`: a run of a dead process that is not reported yet.
//!
//! Its journal is locked, so that no other process reports the run. A change is one more line of the journal.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::file_names::{FOLDER, journal_names};
use super::line::{JournaledRun, Line};
use super::orphaned_journal::{OrphanedJournal, OwnedJournal, open_journal};
use crate::job::outcome::Outcome;
use crate::labels::GroupingKey;
use crate::state_dir::StateDir;

/// A run in the journal of a dead process.
pub(crate) struct OrphanedRun {
    journal: Arc<LockedJournal>,
    run: JournaledRun,
}

/// A journal of a dead process, and its file, which holds the lock.
type LockedJournal = (OrphanedJournal, File);

/// Returns the runs of all dead processes.
pub(crate) fn orphaned_runs(state_dir: &StateDir) -> Vec<OrphanedRun> {
    let Some(folder) = state_dir.existing_folder(FOLDER) else { return Vec::new() };
    let orphans = journal_names(&folder).filter_map(|name| match open_journal(&folder, &name) {
        Ok(Some(OwnedJournal::Orphaned(journal, file))) => Some((journal, file)),
        // A search for journals reports invalid files.
        _ => None,
    });
    let runs = orphans.flat_map(|(mut journal, file)| {
        let runs = std::mem::take(&mut journal.runs);
        let journal = Arc::new((journal, file));
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
        self.journal.0.append(&Line::Moved(self.run.id, sinks))
    }

    /// Drops the run: it will not be reported.
    pub(crate) fn discard(&self) -> io::Result<()> {
        self.journal.0.append(&Line::Acknowledged(self.run.id))
    }
}
