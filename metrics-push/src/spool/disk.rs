//! Disk: the operations a spool is made of, one by one, so that a test can let each of them fail.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use crate::clock::Moment;

/// How long others may hold the lock. It is held for moments, so whoever holds it that long is stopped.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
const LOCK_PAUSE: Duration = Duration::from_millis(1);

/// One file of the folder.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) modified: SystemTime,
}

impl Entry {
    pub(super) fn age(&self, now: SystemTime) -> Duration {
        // A time in the future is a clock's mistake, and no age.
        now.duration_since(self.modified).unwrap_or_default()
    }

    pub(super) fn has_extension(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|own| own == extension)
    }
}

/// Held until dropped; the kernel lets go of it when a process dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    pub(super) fuse: Option<std::sync::Arc<std::sync::atomic::AtomicI64>>,
}

impl Disk {
    /// Every operation passes here first.
    #[cfg(not(test))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the form of its counterpart"
    )]
    fn operate(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn operate(&self) -> io::Result<()> {
        let left = self.fuse.as_ref().map(|f| f.fetch_sub(1, Ordering::Relaxed));
        if left == Some(0) { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
    }

    pub(super) fn lock(&self, folder: &Path) -> io::Result<Lock> {
        self.operate()?;
        let file =
            File::options().create(true).write(true).truncate(false).open(folder.join(".lock"))?;
        let deadline = Moment::now().after(LOCK_PATIENCE);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(fs::TryLockError::WouldBlock) if !deadline.remaining().is_zero() => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "another process holds its lock",
                    ));
                }
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// The files of a folder; one that vanishes meanwhile is not among them.
    pub(super) fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        self.operate()?;
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if let Ok(found) = entry.metadata()
                && found.is_file()
            {
                let (bytes, modified) = (found.len(), found.modified()?);
                entries.push(Entry { path: entry.path(), bytes, modified });
            }
        }
        Ok(entries)
    }

    /// The contents; `None`, if there is no such file.
    pub(super) fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.operate()?;
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.operate()?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes a file beside its place, down to the disk. It needs no lock: nobody else knows its name.
    pub(super) fn prepare(&self, path: &Path, bytes: &[u8]) -> io::Result<Prepared> {
        let prepared = Prepared { path: unfinished(path) };
        self.write(&prepared.path, bytes)?;
        Ok(prepared)
    }

    /// Writes a file in its place, for as long as the machine runs: it may be torn, and need not outlive a loss of power.
    pub(super) fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.operate()?;
        create_private(path)?.write_all(bytes)
    }

    /// Puts a prepared file in the place of another: whoever looks, and whenever the power fails, there is the one
    /// or the other, and both are whole.
    pub(super) fn put(&self, prepared: &Prepared, path: &Path) -> io::Result<()> {
        self.operate()?;
        fs::rename(&prepared.path, path)
    }

    /// Makes sure that what was put into a folder is there after a loss of power.
    pub(super) fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.operate()?;
        sync_folder(folder)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.operate()?;
        let mut file = create_private(path)?;
        let (first, second) = bytes.split_at(bytes.len() / 2);
        file.write_all(first)?;
        // A full disk ends a file in the middle.
        self.operate()?;
        file.write_all(second)?;
        self.operate()?;
        file.sync_all()
    }
}

/// A file that is written and not yet in its place. Removed, if it never gets there.
#[derive(Debug)]
pub(super) struct Prepared {
    path: PathBuf,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // It may be in its place by now. If it can't be removed, whoever comes later will.
        let _ = fs::remove_file(&self.path);
    }
}

/// What a file is called before it is whole: by a name that nobody else uses.
fn unfinished(path: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut name = OsString::from(path);
    name.push(format!(".{}-{number}.{UNFINISHED}", std::process::id()));
    PathBuf::from(name)
}

/// The extension of what a process left unfinished, if it died in the middle of it.
pub(super) const UNFINISHED: &str = "new";

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<File> {
    File::create(path)
}

/// Without this a rename may not survive a loss of power.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
