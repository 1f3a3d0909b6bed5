//! `HistoryStore`: reads and changes the files in the folder of the histories.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::history_file::{FileEnd, HistoryFile, InvalidHistory, MAX_END_SIZE};
use super::history_state::HistoryState;
use super::record::GroupRecord;
use crate::checksum::checksum_of;
use crate::clock::Moment;
use crate::labels::GroupingKey;
use crate::log;
use crate::state_dir::{
    Disk, FileEntry, FileRoom, Folder, StateDir, claim_disk_warning, is_checksum_name,
};

/// The folder in the state directory.
pub(super) const FOLDER: &str = "history";

const EXTENSION: &str = "history";

/// A larger file is corrupt.
const MAX_FILE_SIZE: u64 = 1024 * 1024;

/// The maximum number of groups: more than a scheduler has. Beyond this limit, the files that have not changed for the longest
/// time are removed.
const MAX_FILES: usize = 32_768;

/// A process holds the lock only for a few file operations. Recording a run waits for another process at most this long.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// The files of the histories.
#[derive(Debug, Default)]
pub(super) struct HistoryStore {
    state_dir: Arc<StateDir>,
    room: FileRoom,
    pub(super) max_files: usize,
    pub(super) disk: Disk,
    pub(super) has_warned: AtomicBool,
}

/// The state of a group after an update.
#[derive(Debug)]
pub(super) struct UpdatedState {
    pub(super) state: HistoryState,
    /// The file after the update.
    pub(super) entry: Option<FileEntry>,
}

impl HistoryStore {
    pub(super) fn new(state_dir: &Arc<StateDir>) -> Self {
        Self { state_dir: Arc::clone(state_dir), max_files: MAX_FILES, ..Self::default() }
    }

    /// Returns true if calls may use the disk.
    pub(super) fn is_enabled(&self) -> bool {
        self.state_dir.is_enabled()
    }

    /// Changes the state of a group. `change` returns the lines of the runs that it adds, or `None` if it changes nothing.
    /// Returns `None` if the file cannot be read, so that it must not be replaced.
    pub(super) fn update(
        &self,
        key: &GroupingKey,
        change: impl FnOnce(&mut HistoryState) -> Option<String>,
    ) -> Option<UpdatedState> {
        let folder = self.state_dir.folder(FOLDER)?;
        self.ok_or_warn_locked(&folder, self.update_in(&folder, key, change))
    }

    fn update_in(
        &self,
        folder: &Arc<Folder>,
        key: &GroupingKey,
        change: impl FnOnce(&mut HistoryState) -> Option<String>,
    ) -> io::Result<UpdatedState> {
        let name = file_name(key);
        let _lock = self.disk.lock(folder, LOCK_TIMEOUT)?;
        let found = self.open(folder, &name)?.filter(|(_, end)| end.state.key == *key);
        let (file, mut end) = match found {
            Some((file, end)) => (Some(file), end),
            None => (None, FileEnd::empty(key.clone())),
        };
        if let Some(run_lines) = change(&mut end.state)
            && let Err(error) = self.write(folder, &name, file, &mut end, &run_lines)
        {
            self.warn_unwritten(folder, &error);
            // Totals that are not stored are not sent: those of the next run would be lower.
            end.state.totals.clear();
        }
        Ok(UpdatedState { state: end.state, entry: folder.entry(&name) })
    }

    /// Writes the state of a group and the lines of added runs. `file` is the file of the group, if there is one.
    fn write(
        &self,
        folder: &Arc<Folder>,
        name: &str,
        file: Option<File>,
        end: &mut FileEnd,
        added: &str,
    ) -> io::Result<()> {
        if let Some(file) = file {
            if let Some(section) = end.space.encode(&end.state, added) {
                return self.disk.append(&file, &section);
            }
        } else {
            self.room.make_room(&self.disk, folder, self.max_files, EXTENSION);
        }
        let earlier = match end.run_lines.take() {
            Some(run_lines) => run_lines,
            None => self.read(folder, name)?.map(|it| it.record.run_lines).unwrap_or_default(),
        };
        let run_lines = earlier + added;
        self.replace(folder, name, GroupRecord { state: end.state.clone(), run_lines })
    }

    /// Changes the record of a group, which replaces its file. `change` returns false if it changes nothing.
    pub(super) fn change_record(
        &self,
        key: &GroupingKey,
        change: impl FnOnce(&mut GroupRecord) -> bool,
    ) {
        let Some(folder) = self.state_dir.existing_folder(FOLDER) else { return };
        self.ok_or_warn_locked(&folder, self.change_record_in(&folder, key, change));
    }

    fn change_record_in(
        &self,
        folder: &Arc<Folder>,
        key: &GroupingKey,
        change: impl FnOnce(&mut GroupRecord) -> bool,
    ) -> io::Result<()> {
        let name = file_name(key);
        let _lock = self.disk.lock(folder, LOCK_TIMEOUT)?;
        let Some(HistoryFile { mut record, .. }) = self.read(folder, &name)? else { return Ok(()) };
        if record.state.key == *key && change(&mut record) {
            self.replace(folder, &name, record)
                .unwrap_or_else(|error| self.warn_unwritten(folder, &error));
        }
        Ok(())
    }

    fn replace(&self, folder: &Arc<Folder>, name: &str, mut record: GroupRecord) -> io::Result<()> {
        record.remove_old_runs(Moment::now().unix_seconds());
        self.disk.replace(folder, name, &HistoryFile::encode(&record))
    }

    /// Reads the state of a group; `None` if there is none, or if it cannot be read.
    pub(super) fn read_state(&self, key: &GroupingKey) -> Option<HistoryState> {
        // Only an update opens the end of a file, because that needs write access.
        self.read_record(key).map(|record| record.state)
    }

    /// Returns the entry of the file of a group. It differs from an earlier one if the file has changed since.
    pub(super) fn entry(&self, key: &GroupingKey) -> Option<FileEntry> {
        self.state_dir.existing_folder(FOLDER)?.entry(&file_name(key))
    }

    /// Reads the record of a group; `None` if there is none, or if it cannot be read.
    pub(super) fn read_record(&self, key: &GroupingKey) -> Option<GroupRecord> {
        let folder = self.state_dir.existing_folder(FOLDER)?;
        let file = self.ok_or_warn(self.read(&folder, &file_name(key)))??;
        Some(file.record).filter(|record| record.state.key == *key)
    }

    /// Reads the records of all groups.
    pub(super) fn read_all(&self) -> Vec<GroupRecord> {
        let Some(folder) = self.state_dir.existing_folder(FOLDER) else { return Vec::new() };
        let files = self
            .ok_or_warn(self.disk.list(&folder, &|name| is_checksum_name(name, EXTENSION)))
            .unwrap_or_default();
        let read = |name: &str| self.ok_or_warn(self.read(&folder, name)).flatten();
        files.iter().filter_map(|file| read(&file.name)).map(|file| file.record).collect()
    }

    /// Opens a file and reads its end; `None` if there is none, or if it is corrupt.
    fn open(&self, folder: &Folder, name: &str) -> io::Result<Option<(File, FileEnd)>> {
        let mut file = match self.disk.open(folder, name) {
            // It is not a regular file.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.warn_corrupt(folder, name);
                return Ok(None);
            }
            opened => match opened? {
                Some(file) => file,
                None => return Ok(None),
            },
        };
        let (end, size) = self.disk.read_end(&mut file, MAX_END_SIZE)?;
        let end = usize::try_from(size).ok().and_then(|size| FileEnd::decode(&end, size));
        let end = match end {
            Some(end) => Some(end),
            None => self.read(folder, name)?.map(FileEnd::from),
        };
        Ok(end.map(|end| (file, end)))
    }

    /// Reads a file; `None` if there is none, or if it is corrupt.
    fn read(&self, folder: &Folder, name: &str) -> io::Result<Option<HistoryFile>> {
        let bytes = match self.disk.read(folder, name, MAX_FILE_SIZE) {
            // It is too large, or not a regular file.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Some(Vec::new()),
            read => read?,
        };
        match bytes.map(|bytes| HistoryFile::decode(&bytes)) {
            None => Ok(None),
            Some(Ok(file)) => {
                if let Some(damage) = file.damage {
                    let path = folder.path().join(name);
                    self.warn(&format_args!("{} is damaged: {damage}", path.display()));
                }
                Ok(Some(file))
            }
            Some(Err(InvalidHistory::Corrupt)) => {
                self.warn_corrupt(folder, name);
                Ok(None)
            }
            Some(Err(InvalidHistory::Newer)) => {
                let path = folder.path().join(name);
                let problem = "a newer version of metrics-push wrote it";
                Err(io::Error::other(format!("{}: {problem}", path.display())))
            }
        }
    }

    fn warn_corrupt(&self, folder: &Folder, name: &str) {
        let path = folder.path().join(name);
        self.warn(&format_args!(
            "{} is corrupt, and the history of its group starts again",
            path.display()
        ));
    }

    /// Logs that a run is missing in the history, unless such a line was logged already.
    fn warn_unwritten(&self, folder: &Folder, error: &io::Error) {
        if !self.has_warned.swap(true, Ordering::Relaxed) && claim_disk_warning() {
            log::warn(format_args!(
                "cannot write the history in {}: {error}; outcomes are reported, but the history does not have them",
                folder.path().display()
            ));
        }
    }

    /// Like [`ok_or_warn`](Self::ok_or_warn), for calls that lock the folder.
    fn ok_or_warn_locked<T>(&self, folder: &Folder, result: io::Result<T>) -> Option<T> {
        match result {
            Err(error)
                if error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none() =>
            {
                self.warn_locked(folder, &error);
                None
            }
            result => self.ok_or_warn(result),
        }
    }

    /// Logs that the folder cannot be locked, unless a line about the history was logged already.
    fn warn_locked(&self, folder: &Folder, error: &io::Error) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            log::warn(format_args!(
                "cannot lock the history in {}: {error}; outcomes are reported, but the history does not have them; end \
                 a process that is stopped, or use a faster disk",
                folder.path().display()
            ));
        }
    }

    fn ok_or_warn<T>(&self, result: io::Result<T>) -> Option<T> {
        let error = match result {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        // Other folders of the same disk fail, too: one line is enough.
        if error.raw_os_error().is_none() || claim_disk_warning() {
            self.warn(&error);
        }
        None
    }

    /// Logs a problem, unless one was logged already.
    fn warn(&self, problem: &dyn fmt::Display) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            log::warn(format_args!("cannot read the history of runs: {problem}"));
        }
    }
}

pub(super) fn file_name(key: &GroupingKey) -> String {
    format!("{:032x}.{EXTENSION}", checksum_of(&[key.url_path().as_bytes()]))
}
