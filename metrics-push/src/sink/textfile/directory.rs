//! `Directory`: the file operations in the directory of a textfile collector.
//!
//! The collector reads files with the extension `prom` and ignores others. It may run as another user.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::Error;
use crate::state_dir::{lock_within, read_within};

/// The file whose lock excludes other writers.
const LOCK_FILE: &str = ".metrics_push.lock";
/// A process holds the lock only for a few file operations. If it holds the lock this long, it is probably stopped.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// The maximum size of a file that is read. A collector needs seconds for a file of this size.
const MAX_FILE_SIZE: u64 = 64 * 1024 * 1024;
/// The permissions of files: all users may read them.
#[cfg(unix)]
const FILE_MODE: u32 = 0o644;

#[derive(Debug)]
pub(super) struct Directory(PathBuf);

/// The lock of the directory. It is released when it is dropped or the process exits.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

/// The content of a file, and when it was written.
#[derive(Debug)]
pub(super) struct StoredFile {
    pub(super) text: String,
    pub(super) modified: SystemTime,
}

/// The file of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupFile {
    /// The path of the file.
    pub path: PathBuf,
    /// When the group was last pushed to.
    pub written_at: SystemTime,
}

impl Directory {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Waits for the lock of the directory.
    ///
    /// # Errors
    /// If the lock file cannot be opened or is locked for too long.
    pub(super) fn lock(&self, timeout: Duration) -> Result<DirectoryLock, Error> {
        let path = self.0.join(LOCK_FILE);
        let lock = || {
            let file = match File::open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => open_or_create(&path)?,
                opened => opened?,
            };
            lock_within(&file, timeout.min(LOCK_TIMEOUT))?;
            Ok(DirectoryLock { _file: file })
        };
        lock().map_err(|error| failure("cannot lock the directory", &path, error))
    }

    /// Reads a file; `None` if it does not exist.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn read(&self, name: &str) -> Result<Option<StoredFile>, Error> {
        let path = self.0.join(name);
        let read = || {
            let mut file = File::open(&path)?;
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
            }
            let text =
                String::from_utf8_lossy(&read_within(&mut file, MAX_FILE_SIZE)?).into_owned();
            Ok(StoredFile { text, modified: metadata.modified()? })
        };
        match read() {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failure("cannot read the textfile", &path, error)),
        }
    }

    /// Returns the accepted files.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(super) fn files(&self, is_accepted: fn(&str) -> bool) -> Result<Vec<GroupFile>, Error> {
        let entries = fs::read_dir(&self.0)
            .map_err(|error| failure("cannot read the directory", &self.0, error))?;
        let accepted =
            entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_accepted));
        // A file that is removed during the listing is skipped.
        let files = accepted.filter_map(|entry| {
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some(GroupFile { path: entry.path(), written_at: metadata.modified().ok()? })
        });
        Ok(files.collect())
    }

    /// Replaces a file. The caller holds the lock.
    ///
    /// # Errors
    /// If the file cannot be written; the earlier file remains.
    pub(super) fn replace(&self, name: &str, text: &str) -> Result<(), Error> {
        self.remove_temporary_files(name);
        let temporary = self.0.join(format!("{name}.{}.tmp", std::process::id()));
        let write = || {
            let mut file = create_new(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, self.0.join(name))
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&temporary);
            failure("cannot write the textfile", &self.0.join(name), error)
        })
    }

    /// Removes a file if it exists. The caller holds the lock.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub(super) fn remove(&self, name: impl AsRef<Path>) -> Result<(), Error> {
        let path = self.0.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(failure("cannot remove the textfile", &path, error))
            }
            _ => Ok(()),
        }
    }

    /// Removes the temporary files that processes left when they died.
    fn remove_temporary_files(&self, name: &str) {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        for entry in entries {
            let found = entry.file_name();
            let suffix = found.to_str().and_then(|found| found.strip_prefix(name));
            if suffix.is_some_and(|suffix| suffix.ends_with(".tmp")) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn failure(what: &'static str, path: &Path, error: io::Error) -> Error {
    Error::config(what).at("file", path.display()).caused_by(error).remedy(
        "check that the directory exists, that the job's user may write to it, and that the disk is not full",
    )
}

/// Opens the lock file. It is only locked, so permission to read it is enough.
fn open_or_create(path: &Path) -> io::Result<File> {
    match create_new(path) {
        // Another process has created it.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => File::open(path),
        created => created,
    }
}

/// Creates a file that all users may read.
fn create_new(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;

        file.set_permissions(fs::Permissions::from_mode(FILE_MODE))?;
    }
    Ok(file)
}
