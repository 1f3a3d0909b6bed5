//! `Disk`: the file operations of a spool. In tests, a failpoint makes one of them fail.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use crate::clock::Moment;

/// The extension of temporary files.
pub(super) const TEMP_EXTENSION: &str = "new";

/// A process holds the lock only for a few file operations. If it holds the lock this long, it is probably stopped.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(1);

/// A file in a listing.
#[derive(Clone, Debug)]
pub(super) struct FileEntry {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) modified: SystemTime,
}

impl FileEntry {
    pub(super) fn age(&self, now: SystemTime) -> Duration {
        // The clock may have been set back since.
        now.duration_since(self.modified).unwrap_or_default()
    }

    pub(super) fn has_extension(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|own| own == extension)
    }
}

/// The lock of a folder. It is released when it is dropped or the process exits.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    /// The number of operations that succeed before one operation fails.
    pub(super) failpoint: Option<std::sync::Arc<std::sync::atomic::AtomicI64>>,
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

    /// Waits for the lock of a folder, for at most [`LOCK_TIMEOUT`].
    pub(super) fn lock(&self, folder: &Path) -> io::Result<FolderLock> {
        self.reach_failpoint()?;
        let file =
            File::options().create(true).write(true).truncate(false).open(folder.join(".lock"))?;
        let deadline = Moment::now().after(LOCK_TIMEOUT);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(FolderLock { _file: file }),
                Err(fs::TryLockError::WouldBlock) if !deadline.remaining().is_zero() => {
                    std::thread::sleep(LOCK_POLL_INTERVAL);
                }
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "another process holds the lock of the folder",
                    ));
                }
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// Lists the files of a folder. A file that is removed during the listing is skipped.
    pub(super) fn list(&self, folder: &Path) -> io::Result<Vec<FileEntry>> {
        self.reach_failpoint()?;
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if let Ok(metadata) = entry.metadata()
                && metadata.is_file()
            {
                let (bytes, modified) = (metadata.len(), metadata.modified()?);
                entries.push(FileEntry { path: entry.path(), bytes, modified });
            }
        }
        Ok(entries)
    }

    /// Reads a file; `None` if it does not exist.
    pub(super) fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.reach_failpoint()?;
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a file if it exists.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.reach_failpoint()?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes and syncs a temporary file next to `path`. The caller needs no lock, because the name of the file is unique.
    pub(super) fn write_temp(&self, path: &Path, bytes: &[u8]) -> io::Result<TempFile> {
        let temp = TempFile { path: temp_path(path) };
        self.write(&temp.path, bytes)?;
        Ok(temp)
    }

    /// Writes a file in place. A crash can truncate it, and a power failure can remove it.
    pub(super) fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.reach_failpoint()?;
        create_private(path)?.write_all(bytes)
    }

    /// Renames a temporary file to `path`. Readers see the complete old file or the complete new file, also after a power
    /// failure.
    pub(super) fn rename(&self, temp: &TempFile, path: &Path) -> io::Result<()> {
        self.reach_failpoint()?;
        fs::rename(&temp.path, path)
    }

    /// Syncs a folder, so that renamed files survive a power failure.
    pub(super) fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.reach_failpoint()?;
        sync_folder(folder)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.reach_failpoint()?;
        let mut file = create_private(path)?;
        let (first, second) = bytes.split_at(bytes.len() / 2);
        file.write_all(first)?;
        // Simulates a full disk, which truncates the file.
        self.reach_failpoint()?;
        file.write_all(second)?;
        self.reach_failpoint()?;
        file.sync_all()
    }
}

/// A temporary file. It is removed on drop unless it was renamed.
#[derive(Debug)]
pub(super) struct TempFile {
    path: PathBuf,
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // Fails if the file was renamed. If it fails for another reason, the file is removed when it is abandoned.
        let _ = fs::remove_file(&self.path);
    }
}

/// Returns a name that no other thread or process uses.
fn temp_path(path: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut name = OsString::from(path);
    name.push(format!(".{}-{number}.{TEMP_EXTENSION}", std::process::id()));
    PathBuf::from(name)
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<File> {
    File::create(path)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
