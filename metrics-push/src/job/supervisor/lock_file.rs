//! `LockFile`: a file in the journal's folder that is locked while the supervisor lives.
//!
//! The header of the job's journal has its name. While the file is locked, no other process reports the runs of the job.

use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::clock::Moment;
use crate::job::journal::file_names::{SUPERVISOR_EXTENSION, TEMP_EXTENSION};
use crate::job::journal::orphaned_journal::{OrphanedJournal, journals};
use crate::state_dir::Folder;

#[derive(Debug)]
pub(super) struct LockFile {
    folder: Arc<Folder>,
    name: String,
    /// Holds the lock.
    _file: File,
}

impl LockFile {
    pub(super) fn create(folder: Arc<Folder>) -> io::Result<Self> {
        let stem = format!("{:020}-{}", Moment::now().unix_nanos(), std::process::id());
        let name = format!("{stem}.{SUPERVISOR_EXTENSION}");
        // The file gets its name after it is locked, so that no process takes it for that of a dead supervisor.
        let temporary = format!("{stem}.{TEMP_EXTENSION}");
        let file = folder.create_file(&temporary)?;
        let named = file.try_lock().map_err(io::Error::from);
        if let Err(error) = named.and_then(|()| folder.rename(&temporary, &name)) {
            let _ = folder.remove(&temporary);
            return Err(error);
        }
        Ok(Self { folder, name, _file: file })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn folder(&self) -> &Arc<Folder> {
        &self.folder
    }

    /// Returns the journal of the job. The job is dead.
    pub(super) fn journal_of(&self, job: u32) -> Option<OrphanedJournal> {
        let is_of_job = |orphan: &OrphanedJournal| {
            let header = &orphan.header;
            header.process == job && header.supervisor.as_deref() == Some(self.name())
        };
        journals(&self.folder).find(is_of_job)
    }

    pub(super) fn remove(self) {
        let _ = self.folder.remove(&self.name);
    }
}
