//! `Disk`: the file operations of the spool and the history. In tests, a failpoint makes one of them fail.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use super::file_entry::FileEntry;
use super::folder::{Folder, lock_within, read_end};
use super::is_process_stem;
use super::turns::FolderTurn;

/// The extension of temporary files.
const TEMP_EXTENSION: &str = "new";

/// The number of hexadecimal digits of a checksum in a file name.
const CHECKSUM_LENGTH: usize = 32;

/// The file whose lock excludes other processes.
const LOCK_FILE: &str = ".lock";

/// The lock of a folder. It is released when it is dropped or the process exits.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
    /// Ends after the lock is released.
    _turn: FolderTurn,
}

/// The last known number of files that can be added to a folder with a limit. The folder is listed only if it may be full.
#[derive(Debug, Default)]
pub(crate) struct FileRoom(AtomicI64);

impl FileRoom {
    /// Makes room for a new file. If the folder has the maximum number of files that are named by a checksum with this
    /// extension, removes the oldest quarter. Their temporary files count too, because those of dead processes remain.
    /// Other files are never removed.
    pub(crate) fn make_room(&self, disk: &Disk, folder: &Folder, max: usize, extension: &str) {
        if self.0.fetch_sub(1, Ordering::Relaxed) > 0 {
            return;
        }
        let is_accepted =
            |name: &str| is_checksum_name(temp_target(name).unwrap_or(name), extension);
        let mut count = disk.count(folder, &is_accepted).unwrap_or_default();
        if count >= max {
            let mut files = disk.list(folder, &is_accepted).unwrap_or_default();
            FileEntry::sort_by_age(&mut files);
            for file in files.drain(..files.len().min(max / 4)) {
                let _ = disk.remove(folder, &file.name);
            }
            count = files.len();
        }
        let room = i64::try_from(max.saturating_sub(count)).unwrap_or(0);
        self.0.store(room - 1, Ordering::Relaxed);
    }
}

/// Returns true if a file name is a checksum with this extension.
pub(crate) fn is_checksum_name(name: &str, extension: &str) -> bool {
    let stem = name.strip_suffix(extension).and_then(|stem| stem.strip_suffix('.'));
    stem.is_some_and(|stem| {
        stem.len() == CHECKSUM_LENGTH && stem.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Returns the name of the file that a temporary file with this name replaces; `None` for another file.
pub(crate) fn temp_target(name: &str) -> Option<&str> {
    let stem = name.strip_suffix(TEMP_EXTENSION)?.strip_suffix('.')?;
    let (target, writer) = stem.rsplit_once('.')?;
    is_process_stem(writer).then_some(target)
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    #[cfg(test)]
    /// The number of operations that succeed before one operation fails.
    pub(crate) failpoint: Option<Arc<AtomicI64>>,
}

impl Disk {
    /// Fails if the failpoint is reached. Each operation calls it first.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "same signature as in tests")]
    fn reach_failpoint(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn reach_failpoint(&self) -> io::Result<()> {
        let remaining = self.failpoint.as_ref().map(|count| count.fetch_sub(1, Ordering::Relaxed));
        if remaining == Some(0) { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
    }

    /// Waits for the lock of a folder, for at most `timeout` while another process holds it.
    pub(crate) fn lock(&self, folder: &Folder, timeout: Duration) -> io::Result<FolderLock> {
        self.reach_failpoint()?;
        let mut turn = folder.take_turn(timeout)?;
        let file = folder.open_or_create_file(LOCK_FILE)?;
        lock_within(&file, turn.remaining())?;
        turn.set_locked();
        Ok(FolderLock { _file: file, _turn: turn })
    }

    /// Returns the number of entries of a folder whose name is accepted.
    fn count(&self, folder: &Folder, is_accepted: &dyn Fn(&str) -> bool) -> io::Result<usize> {
        self.reach_failpoint()?;
        Ok(folder.names()?.filter(|name| is_accepted(name)).count())
    }

    /// Lists the files of a folder whose name is accepted.
    pub(crate) fn list(
        &self,
        folder: &Folder,
        is_accepted: &dyn Fn(&str) -> bool,
    ) -> io::Result<Vec<FileEntry>> {
        self.reach_failpoint()?;
        folder.list(is_accepted)
    }

    /// Reads a file; `None` if it does not exist.
    pub(crate) fn read(
        &self,
        folder: &Folder,
        name: &str,
        max_bytes: u64,
    ) -> io::Result<Option<Vec<u8>>> {
        self.reach_failpoint()?;
        folder.read(name, max_bytes)
    }

    /// Reads the first bytes of a file, at most `count`; `None` if it does not exist.
    pub(crate) fn read_start(
        &self,
        folder: &Folder,
        name: &str,
        count: u64,
    ) -> io::Result<Option<Vec<u8>>> {
        self.reach_failpoint()?;
        folder.read_start(name, count)
    }

    /// Opens a file for reading and appending; `None` if it does not exist.
    pub(crate) fn open(&self, folder: &Folder, name: &str) -> io::Result<Option<File>> {
        self.reach_failpoint()?;
        match folder.open_file(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Reads the last bytes of an open file, at most `max_bytes`. Returns them with the size of the file.
    pub(crate) fn read_end(&self, file: &mut File, max_bytes: u64) -> io::Result<(Vec<u8>, u64)> {
        self.reach_failpoint()?;
        read_end(file, max_bytes)
    }

    /// Removes a file if it exists.
    pub(crate) fn remove(&self, folder: &Folder, name: &str) -> io::Result<()> {
        self.reach_failpoint()?;
        folder.remove(name)
    }

    /// Writes and syncs a temporary file for the file `name`. The caller needs no lock, because the name of the temporary
    /// file is unique.
    pub(crate) fn write_temp(
        &self,
        folder: &Arc<Folder>,
        name: &str,
        bytes: &[u8],
    ) -> io::Result<TempFile> {
        self.write(folder, name, bytes, File::sync_all)
    }

    /// Replaces a file without a sync. A power failure can truncate or remove it.
    pub(crate) fn replace(&self, folder: &Arc<Folder>, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temp = self.write(folder, name, bytes, |_| Ok(()))?;
        self.rename(temp, name)
    }

    /// Appends to an open file without a sync. If a write fails, truncates the file to its previous size. If the
    /// process dies, the file may contain part of the bytes.
    pub(crate) fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        self.reach_failpoint()?;
        let size = file.metadata()?.len();
        self.write_bytes(file, bytes).inspect_err(|_| drop(file.set_len(size)))
    }

    /// Renames a temporary file to `name`. Readers see the complete old file or the complete new file, also after a power
    /// failure.
    pub(crate) fn rename(&self, mut temp: TempFile, name: &str) -> io::Result<()> {
        self.reach_failpoint()?;
        temp.folder.rename(&temp.name, name)?;
        temp.is_renamed = true;
        Ok(())
    }

    /// Syncs a folder, so that renamed files survive a power failure.
    pub(crate) fn sync_folder(&self, folder: &Folder) -> io::Result<()> {
        self.reach_failpoint()?;
        folder.sync()
    }

    fn write(
        &self,
        folder: &Arc<Folder>,
        name: &str,
        bytes: &[u8],
        sync: impl Fn(&File) -> io::Result<()>,
    ) -> io::Result<TempFile> {
        self.reach_failpoint()?;
        let (file, mut temp) = TempFile::new(folder, name)?;
        self.write_bytes(&file, bytes)?;
        self.reach_failpoint()?;
        sync(&file)?;
        temp.written_at = file.metadata()?.modified()?;
        Ok(temp)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "same signature as in tests")]
    fn write_bytes(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Simulates a disk that is full after the first half.
    #[cfg(test)]
    fn write_bytes(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        file.write_all(first)?;
        self.reach_failpoint()?;
        file.write_all(second)
    }
}

/// A temporary file. It is removed on drop unless it was renamed.
#[derive(Debug)]
pub(crate) struct TempFile {
    folder: Arc<Folder>,
    name: String,
    /// By the clock of the file system.
    written_at: SystemTime,
    is_renamed: bool,
}

impl TempFile {
    /// Creates a file with a name that no other thread or process uses.
    fn new(folder: &Arc<Folder>, name: &str) -> io::Result<(File, Self)> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let process = std::process::id();
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{name}.{process}-{number}.{TEMP_EXTENSION}");
            match folder.create_file(&name) {
                Ok(file) => {
                    let (folder, written_at) = (Arc::clone(folder), SystemTime::UNIX_EPOCH);
                    return Ok((file, Self { folder, name, written_at, is_renamed: false }));
                }
                // A dead process, or one of another container, had the same id.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns when the file was written, by the clock of the file system.
    pub(crate) fn written_at(&self) -> SystemTime {
        self.written_at
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.is_renamed {
            // If this fails, the file is removed when it is abandoned.
            let _ = self.folder.remove(&self.name);
        }
    }
}
