//! `OrphanedJournal`: the journal of a dead process, read from the disk.
//!
//! If a process can lock a journal, the owner of the journal is dead.

use std::collections::{HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::abandoned_log::AbandonedLog;
use super::boot_id::boot_id;
use super::file_names::journal_names;
use super::line::{
    Finished, Header, InvalidJournal, JournalContents, JournaledRun, Line, RunIdentity, Started,
    parse,
};
use crate::clock::{Moment, format_timestamp};
use crate::file_size::write_within_limit;
use crate::pipeline::Pipeline;
use crate::state_dir::{Folder, read_within};

/// A larger file is not read. A journal is rewritten before it reaches this size.
const MAX_JOURNAL_SIZE: u64 = 128 * 1024 * 1024;

/// How long a journal stays on disk if no process is configured for its sinks.
const JOURNAL_TTL: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The journal of a dead process.
pub(in crate::job) struct OrphanedJournal {
    folder: Arc<Folder>,
    name: String,
    pub(in crate::job) header: Header,
    pub(in crate::job) runs: Vec<JournaledRun>,
    /// The number of its runs that are not acknowledged, also of those that this process does not report.
    left: usize,
}

/// A journal by the state of its owner.
pub(super) enum OwnedJournal {
    Orphaned(OrphanedJournal),
    /// The runs of a live process, or of one whose supervisor is alive.
    Live(Vec<JournaledRun>),
}

impl OrphanedJournal {
    fn new(folder: &Arc<Folder>, name: String, contents: JournalContents) -> Self {
        let JournalContents { header, runs } = contents;
        Self { folder: Arc::clone(folder), name, header, left: runs.len(), runs }
    }

    /// Returns the journal with only the runs whose sinks this process is configured for; `None` if there are none. The other
    /// runs stay on disk for another process, up to [`JOURNAL_TTL`].
    pub(super) fn with_runs_for(mut self, pipeline: &Pipeline, now: SystemTime) -> Option<Self> {
        self.runs.retain_mut(|run| update_sinks(&mut run.started, pipeline));
        let is_expired = || {
            let entry = self.folder.entry(&self.name);
            entry.is_some_and(|entry| entry.age(now) > JOURNAL_TTL)
        };
        if self.left == 0 || (self.runs.is_empty() && is_expired()) {
            let _ = self.folder.remove(&self.name);
        }
        (!self.runs.is_empty()).then_some(self)
    }

    /// Appends a line.
    pub(super) fn append(&self, line: &Line) -> io::Result<()> {
        let file = self.folder.open_file(&self.name)?;
        write_within_limit(&file, line.to_text().as_bytes())
    }

    /// Records how runs ended.
    pub(in crate::job) fn record_finished(&self, finished: &HashMap<RunIdentity, Finished>) {
        for run in &self.runs {
            if let Some(finished) = finished.get(&run.started.identity()) {
                // If it cannot be written, a later process reports the run as abandoned, unless this process reports it.
                let _ = self.append(&Line::Finished(run.id, finished.clone()));
            }
        }
    }

    /// Acknowledges the settled runs.
    pub(in crate::job) fn acknowledge_all(mut self, settled: &HashSet<RunIdentity>) {
        for run in std::mem::take(&mut self.runs) {
            if settled.contains(&run.started.identity()) {
                self.acknowledge(run.id);
            }
        }
    }

    /// Acknowledges a run. Removes the journal if it has no others.
    pub(super) fn acknowledge(&mut self, id: u64) {
        self.left -= 1;
        // After a failure, a later process reports the run a second time.
        let _ = if self.left == 0 {
            self.folder.remove(&self.name)
        } else {
            self.append(&Line::Acknowledged(id))
        };
    }

    /// Returns when the run was found first. Records the time in the journal, so that repeated reports have the same
    /// time.
    pub(super) fn record_found(&self, run: &JournaledRun, log: &mut AbandonedLog) -> f64 {
        run.found_at.unwrap_or_else(|| {
            let now = Moment::now().unix_seconds();
            if run.finished.is_none() {
                let Header { process, boot, .. } = &self.header;
                let how =
                    if *boot == boot_id() { "died" } else { "ended when the machine restarted" };
                log.add(format_args!(
                    "the run of {} that started at {} was abandoned: its process {process} {how}; run {}",
                    run.started.key,
                    format_timestamp(run.started.at),
                    run.started.run
                ));
            }
            let _ = self.append(&Line::Abandoned(run.id, now));
            now
        })
    }
}

/// Reads a journal. Returns `None` if it was removed or cannot be read at the moment. The file is closed again, so that the
/// number of journals is not limited.
///
/// # Errors
/// Why the file cannot be read as a journal.
pub(super) fn read_journal(
    folder: &Arc<Folder>,
    name: &str,
) -> Result<Option<OwnedJournal>, InvalidJournal> {
    let opened = folder.open_file(name);
    // A file of another kind or of another user.
    if opened.as_ref().is_err_and(|error| error.kind() == ErrorKind::InvalidData) {
        return Err(InvalidJournal::Foreign);
    }
    let Ok(mut file) = opened else { return Ok(None) };
    // Locked before it is read, so that a dead owner's journal is complete.
    let is_dead = try_lock(&file);
    let text = match read(&mut file) {
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Err(InvalidJournal::Foreign);
        }
        Err(_) => return Ok(None),
        Ok(text) => text,
    };
    // The owner, or another recovering process, may have removed or replaced it since.
    if is_dead && !folder.has_open_file(name, &file) {
        return Ok(None);
    }
    let contents = match parse(&text) {
        // The owner may be alive, so the file stays.
        Err(InvalidJournal::Truncated) if !is_dead => return Ok(None),
        parsed => parsed?,
    };
    let supervisor = contents.header.supervisor.as_ref();
    let is_supervised = supervisor.is_some_and(|supervisor| {
        folder.open_file(supervisor).is_ok_and(|supervisor| !try_lock(&supervisor))
    });
    if !is_dead || is_supervised {
        return Ok(Some(OwnedJournal::Live(contents.runs)));
    }
    // Ends an incomplete last line before lines are appended.
    if !text.ends_with('\n') {
        let _ = file.write_all(b"\n");
    }
    let journal = OrphanedJournal::new(folder, name.to_owned(), contents);
    Ok(Some(OwnedJournal::Orphaned(journal)))
}

/// Returns the journals in a folder without locking them, for a supervisor whose job is dead.
pub(in crate::job) fn journals(folder: &Arc<Folder>) -> impl Iterator<Item = OrphanedJournal> {
    journal_names(folder).filter_map(|name| {
        let mut file = folder.open_file(&name).ok()?;
        let text = read(&mut file).ok()?;
        Some(OrphanedJournal::new(folder, name, parse(&text).ok()?))
    })
}

fn read(file: &mut File) -> io::Result<String> {
    let bytes = read_within(file, MAX_JOURNAL_SIZE)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Replaces the URL of a ring before a change by the present one. Returns true if all sinks of the run are configured.
pub(super) fn update_sinks(run: &mut Started, pipeline: &Pipeline) -> bool {
    let mut is_configured = true;
    for sink in &mut run.sinks {
        match pipeline.present_url(sink) {
            Some(url) if url != sink => url.clone_into(sink),
            Some(_) => {}
            None => is_configured = false,
        }
    }
    is_configured
}

/// Locks a file if no live process has locked it. On file systems without locks every process counts as alive.
pub(super) fn try_lock(file: &File) -> bool {
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}
