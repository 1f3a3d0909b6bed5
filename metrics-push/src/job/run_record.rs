//! `RunRecord`: the records of an active run outside of its process: at the supervisor and in the journal.
//!
//! If the process dies, the supervisor reports the run at once. If there is no supervisor, or if it dies as well, a later
//! process reports the run from the journal.

use std::sync::atomic::{AtomicU64, Ordering};

use super::journal::file_names;
use super::journal::line::{Finished, Line, Started};
use super::journal::{Journal, JournalEntry};
use super::spec::Durability;
use super::supervisor::{Link, link};
use crate::pipeline::Pipeline;

pub(super) struct RunRecord {
    /// The number of the run on the link.
    id: u64,
    link: Option<&'static Link>,
    journal: Option<JournalEntry>,
}

impl RunRecord {
    /// Records the start of a run. Returns `None` if there is neither a supervisor nor a state directory.
    pub(super) fn start(run: Started, durability: Durability, pipeline: &Pipeline) -> Option<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);

        let link = link();
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        // Before the journal, whose disk may be slow.
        if let Some(link) = link {
            link.send(&Line::Started(id, run.clone()));
        }
        let supervisor = link.and_then(|link| link.file.as_deref());
        // Without the supervisor's file, another process could report the run while the supervisor does.
        let has_journal = link.is_none() || supervisor.is_some();
        let folder = has_journal.then(|| pipeline.state_dir.folder(file_names::FOLDER)).flatten();
        let journal = folder.and_then(|folder| {
            Journal::in_folder(&folder, supervisor).record_start(run, durability)
        });
        (link.is_some() || journal.is_some()).then_some(Self { id, link, journal })
    }

    pub(super) fn journal(&self) -> Option<&JournalEntry> {
        self.journal.as_ref()
    }

    /// Records how the run ended, before the completion is submitted.
    pub(super) fn record_finished(&self, finished: Finished) {
        if let Some(link) = self.link {
            link.send(&Line::Finished(self.id, finished.clone()));
        }
        if let Some(entry) = &self.journal {
            entry.record_finished(finished);
        }
    }

    /// Records that the completion is delivered or spooled.
    pub(super) fn acknowledge(&self) {
        self.release();
        if let Some(entry) = &self.journal {
            entry.acknowledge();
        }
    }

    /// Records that this process has ended its attempts. The supervisor would have no better result; a later process may.
    pub(super) fn release(&self) {
        if let Some(link) = self.link {
            link.send(&Line::Acknowledged(self.id));
        }
    }
}
