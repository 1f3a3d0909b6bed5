//! `Folder`: an open folder in the state directory, and the operations on its files.
//!
//! No other file of this crate opens a file in the state directory. A name has no separator, so that each operation stays
//! in the folder. Only regular files are opened, and reads are limited.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::file_entry::FileEntry;
#[cfg(not(unix))]
use super::portable as platform;
use super::turns::{FolderTurn, Turns};
#[cfg(unix)]
use super::unix as platform;
use crate::clock::Moment;

/// The maximum number of files in a listing. It is larger than the limits of all folders.
const MAX_LISTED_FILES: usize = 65_536;

/// An open folder of this user. It refers to the same folder even if its path is replaced.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    handle: platform::Handle,
    id: u128,
    turns: Arc<Turns>,
}

impl Folder {
    /// Opens the folder with this path, unless another user can replace it.
    pub(crate) fn open(path: &Path) -> io::Result<Arc<Self>> {
        let (parent, name) = split(path)?;
        Self::open_resolved(platform::resolve(parent)?.join(name))
    }

    /// Opens the folder with this path and creates it if necessary.
    pub(crate) fn open_or_create(path: &Path) -> io::Result<Arc<Self>> {
        let (parent, name) = split(path)?;
        let path = platform::resolve_or_create(parent)?.join(name);
        match Self::open_resolved(path.clone()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                platform::create_private_folder(&path)?;
                Self::open_resolved(path)
            }
            opened => opened,
        }
    }

    fn open_resolved(path: PathBuf) -> io::Result<Arc<Self>> {
        let handle = platform::open_folder(&path)?;
        let id = platform::id(&handle)?;
        Ok(Arc::new(Self { path, handle, id, turns: Arc::default() }))
    }

    /// Returns the path of the folder, for messages and for other processes.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a number that no other folder of the machine has.
    pub(crate) fn id(&self) -> u128 {
        self.id
    }

    /// Waits until the threads of this process that arrived earlier have changed the folder. Fails if none of them locks the
    /// folder for `timeout`.
    pub(super) fn take_turn(&self, timeout: Duration) -> io::Result<FolderTurn> {
        self.turns.take(timeout).ok_or_else(|| {
            io::Error::new(io::ErrorKind::TimedOut, "other threads of this process use the folder")
        })
    }

    /// Returns true unless the folder was removed or replaced.
    pub(crate) fn is_current(&self) -> bool {
        platform::has_id(&self.path, self.id)
    }

    /// Opens an existing file for reading and appending.
    pub(crate) fn open_file(&self, name: &str) -> io::Result<File> {
        platform::open_append(&self.handle, checked(name)?)
    }

    /// Creates a file for appending. Fails if the name is in use.
    pub(crate) fn create_file(&self, name: &str) -> io::Result<File> {
        platform::create_new(&self.handle, checked(name)?)
    }

    /// Opens a file whose lock is shared between processes, and creates it if necessary.
    pub(crate) fn open_or_create_file(&self, name: &str) -> io::Result<File> {
        match self.open_file(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        match self.create_file(name) {
            // Another process has created it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.open_file(name),
            created => created,
        }
    }

    /// Reads a file of at most `max_bytes`; `None` if it does not exist. A larger file is an error.
    pub(crate) fn read(&self, name: &str, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        let file = self.open_for_reading(name)?;
        file.map(|mut file| read_within(&mut file, max_bytes)).transpose()
    }

    /// Reads the first bytes of a file, at most `count`; `None` if it does not exist.
    pub(crate) fn read_start(&self, name: &str, count: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.open_for_reading(name)? else { return Ok(None) };
        let mut bytes = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
        file.take(count).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Opens an existing file for reading; `None` if it does not exist.
    fn open_for_reading(&self, name: &str) -> io::Result<Option<File>> {
        match platform::open(&self.handle, checked(name)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Returns true if the name still refers to this open file.
    pub(crate) fn has_open_file(&self, name: &str, file: &File) -> bool {
        platform::refers_to(&self.handle, name, file)
    }

    /// Renames a file and replaces the file with the new name.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        platform::rename(&self.handle, checked(from)?, checked(to)?)
    }

    /// Removes a file if it exists.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match platform::remove(&self.handle, checked(name)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns the names of all entries. Names that are not UTF-8 are skipped.
    pub(crate) fn names(&self) -> io::Result<impl Iterator<Item = String>> {
        platform::names(&self.handle)
    }

    /// Lists the regular files whose name is accepted. A file that is removed during the listing is skipped.
    pub(crate) fn list(&self, is_accepted: &dyn Fn(&str) -> bool) -> io::Result<Vec<FileEntry>> {
        let names = self.names()?.filter(|name| is_accepted(name)).take(MAX_LISTED_FILES);
        Ok(names.filter_map(|name| platform::entry(&self.handle, name)).collect())
    }

    /// Returns the entry of a regular file.
    pub(crate) fn entry(&self, name: &str) -> Option<FileEntry> {
        platform::entry(&self.handle, name.to_owned())
    }

    /// Syncs the folder to the disk, so that renamed files survive a power loss.
    pub(crate) fn sync(&self) -> io::Result<()> {
        platform::sync(&self.handle)
    }
}

/// Reads an open file of at most `max_bytes` to its end.
pub(crate) fn read_within(file: &mut File, max_bytes: u64) -> io::Result<Vec<u8>> {
    let too_large = || {
        io::Error::new(io::ErrorKind::InvalidData, format!("it is larger than {max_bytes} bytes"))
    };
    let length = file.metadata()?.len();
    if length > max_bytes {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    // The file may grow while it is read.
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes { Err(too_large()) } else { Ok(bytes) }
}

/// Reads the last bytes of an open file, at most `max_bytes`. Returns them with the size of the file.
pub(super) fn read_end(file: &mut File, max_bytes: u64) -> io::Result<(Vec<u8>, u64)> {
    let size = file.metadata()?.len();
    let count = size.min(max_bytes);
    file.seek(SeekFrom::Start(size - count))?;
    let mut bytes = vec![0; usize::try_from(count).unwrap_or_default()];
    file.read_exact(&mut bytes)?;
    Ok((bytes, size))
}

/// Sets the time of a file to now and returns it. The time is by the clock of the file system, as in listings.
pub(crate) fn touch(file: &File) -> io::Result<SystemTime> {
    platform::touch(file)?;
    file.metadata()?.modified()
}

/// Waits for the lock of a file, for at most `timeout`.
pub(crate) fn lock_within(file: &File, timeout: Duration) -> io::Result<()> {
    const POLL_INTERVAL: Duration = Duration::from_millis(1);

    let deadline = Moment::now().after(timeout);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if !deadline.remaining().is_zero() => {
                std::thread::sleep(POLL_INTERVAL);
            }
            Err(TryLockError::WouldBlock) => return Err(lock_is_held()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn lock_is_held() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "another process holds the lock of the folder")
}

/// Splits a path into its directory and the name of the folder.
fn split(path: &Path) -> io::Result<(&Path, &std::ffi::OsStr)> {
    path.parent().zip(path.file_name()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{} is not a folder", path.display()))
    })
}

/// Returns the name, unless it could refer to an entry of another folder.
fn checked(name: &str) -> io::Result<&str> {
    if name.is_empty() || name == ".." || name.contains(std::path::is_separator) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not the name of a file"));
    }
    Ok(name)
}
