//! The file operations of a [`Folder`](super::Folder) on Unix, relative to an open directory.
//!
//! Another user may have created any entry, so links are not followed, and only regular files of this user are opened.
//! The directory itself is reached through a path whose parts no other user can replace.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{self, AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use super::file_entry::FileEntry;

/// An open directory.
pub(super) use std::os::fd::OwnedFd as Handle;

const SUPERUSER: u32 = 0;
/// The limit of Linux.
const MAX_LINKS: usize = 40;
/// `O_NONBLOCK`, because opening a FIFO would block.
const FILE_FLAGS: OFlags =
    OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
const FOLDER_FLAGS: OFlags =
    OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::DIRECTORY).union(OFlags::RDONLY);
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);
const PRIVATE_FOLDER: Mode = Mode::RWXU;

/// Resolves the links of a path to a directory, and checks that only trusted users can replace a part of it.
///
/// Each part is checked after the directory that contains it. No other user can therefore change what the checked part
/// of the path refers to.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    resolve_with(path, |path| {
        Err(io::Error::new(io::ErrorKind::NotFound, path.display().to_string()))
    })
}

/// Like [`resolve`], but creates missing directories.
pub(super) fn resolve_or_create(path: &Path) -> io::Result<PathBuf> {
    resolve_with(path, create_private_folder)
}

fn resolve_with(path: &Path, create: fn(&Path) -> io::Result<()>) -> io::Result<PathBuf> {
    let mut resolved = PathBuf::from("/");
    let root = status(&resolved)?;
    if is_writable_for_others(&root) {
        return Err(refuse(&resolved, "is writable for other users"));
    }
    let is_trusted = |uid: u32| [SUPERUSER, geteuid().as_raw(), root.st_uid].contains(&uid);
    let mut links = 0;
    let mut rest = reversed_parts(&std::path::absolute(path)?);
    while let Some(part) = rest.pop() {
        if part == ".." {
            resolved.pop();
            continue;
        }
        let next = resolved.join(&part);
        let found = match status(&next) {
            Err(Errno::NOENT) => {
                create(&next)?;
                status(&next)?
            }
            found => found?,
        };
        if !is_trusted(found.st_uid) {
            return Err(refuse(&next, "belongs to another user"));
        }
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Symlink if links < MAX_LINKS => {
                links += 1;
                let target = fs::readlinkat(CWD, &next, Vec::new())?;
                rest.extend(reversed_parts(Path::new(OsStr::from_bytes(target.to_bytes()))));
            }
            FileType::Directory if is_writable_for_others(&found) => {
                return Err(refuse(&next, "is writable for other users"));
            }
            FileType::Directory => resolved = next,
            _ => return Err(refuse(&next, "is not a directory")),
        }
    }
    Ok(resolved)
}

/// Returns the parts of a path, last part first. An absolute part replaces the path that it is joined to.
fn reversed_parts(path: &Path) -> Vec<OsString> {
    path.components().rev().map(|part| part.as_os_str().to_owned()).collect()
}

fn status(path: &Path) -> Result<Stat, Errno> {
    fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)
}

fn refuse(path: &Path, problem: &str) -> io::Error {
    io::Error::other(format!("{} {problem}", path.display()))
}

/// Returns true if other users can replace the entries of a directory. A sticky directory protects the entries of their
/// owner. The group of this process counts as its user, because the umask of many systems assumes it, and group 0 counts as
/// the superuser.
fn is_writable_for_others(directory: &Stat) -> bool {
    let mode = Mode::from_raw_mode(directory.st_mode);
    let is_own_group = [SUPERUSER, getegid().as_raw()].contains(&directory.st_gid);
    let is_writable = mode.contains(Mode::WOTH) || (mode.contains(Mode::WGRP) && !is_own_group);
    is_writable && !mode.contains(Mode::SVTX)
}

/// Creates a folder that only its owner can enter. Succeeds if another process creates it.
pub(super) fn create_private_folder(path: &Path) -> io::Result<()> {
    match create_new_folder(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

/// Creates a folder that only its owner can enter, whatever the umask is. Fails if the path exists.
fn create_new_folder(path: &Path) -> io::Result<()> {
    fs::mkdir(path, PRIVATE_FOLDER)?;
    Ok(fs::chmod(path, PRIVATE_FOLDER)?)
}

/// Opens a folder of this user and makes it accessible to its owner only.
pub(super) fn open_folder(path: &Path) -> io::Result<Handle> {
    let folder = fs::open(path, FOLDER_FLAGS, Mode::empty()).map_err(|error| match error {
        Errno::LOOP | Errno::MLINK | Errno::NOTDIR => refuse(path, "is a symbolic link or a file"),
        other => other.into(),
    })?;
    let found = fs::fstat(&folder)?;
    if found.st_uid != geteuid().as_raw() {
        return Err(refuse(path, "belongs to another user"));
    }
    if Mode::from_raw_mode(found.st_mode).intersects(Mode::RWXG | Mode::RWXO) {
        fs::fchmod(&folder, PRIVATE_FOLDER)?;
    }
    Ok(folder)
}

/// Returns a number that no other existing directory has.
pub(super) fn id(folder: &Handle) -> io::Result<u128> {
    Ok(id_of(&fs::fstat(folder)?))
}

fn id_of(found: &Stat) -> u128 {
    #[expect(clippy::allow_attributes, reason = "the types of the fields depend on the platform")]
    #[allow(clippy::cast_lossless, clippy::cast_sign_loss, clippy::unnecessary_cast)]
    let (device, inode) = (found.st_dev as u64, found.st_ino as u64);
    u128::from(device) << 64 | u128::from(inode)
}

/// Returns true if the path still refers to the directory with this id.
pub(super) fn has_id(path: &Path, id: u128) -> bool {
    status(path).is_ok_and(|found| id_of(&found) == id)
}

/// Opens an existing regular file for reading.
pub(super) fn open(folder: &Handle, name: &str) -> io::Result<File> {
    open_with(folder, name, OFlags::RDONLY)
}

/// Opens an existing regular file for reading and appending.
pub(super) fn open_append(folder: &Handle, name: &str) -> io::Result<File> {
    open_with(folder, name, OFlags::RDWR | OFlags::APPEND)
}

fn open_with(folder: &Handle, name: &str, access: OFlags) -> io::Result<File> {
    let opened = fs::openat(folder, name, FILE_FLAGS | access, Mode::empty());
    let file = opened.map_err(|error| match error {
        // A link, or a socket.
        Errno::LOOP | Errno::MLINK | Errno::NXIO => not_regular(),
        other => other.into(),
    })?;
    let found = fs::fstat(&file)?;
    let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
    // Another user may have created the file, or a hard link to another file of this user, before the folder became
    // private. A file that was just removed has no link.
    let is_own = found.st_uid == geteuid().as_raw() && found.st_nlink <= 1;
    if is_file && is_own { Ok(file.into()) } else { Err(not_regular()) }
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file of this user")
}

/// Creates a file that only its owner can read, whatever the umask is. Fails if the name is in use.
pub(super) fn create_new(folder: &Handle, name: &str) -> io::Result<File> {
    let flags = FILE_FLAGS | OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL;
    let file = fs::openat(folder, name, flags, PRIVATE_FILE)?;
    fs::fchmod(&file, PRIVATE_FILE)?;
    Ok(file.into())
}

pub(super) fn rename(folder: &Handle, from: &str, to: &str) -> io::Result<()> {
    Ok(fs::renameat(folder, from, folder, to)?)
}

pub(super) fn remove(folder: &Handle, name: &str) -> io::Result<()> {
    Ok(fs::unlinkat(folder, name, AtFlags::empty())?)
}

/// Returns the names of all entries that are valid UTF-8.
pub(super) fn names(folder: &Handle) -> io::Result<impl Iterator<Item = String>> {
    let entries = Dir::read_from(folder)?;
    let names = entries.map_while(Result::ok).filter_map(|entry| {
        let name = entry.file_name().to_str().ok()?;
        (name != "." && name != "..").then(|| name.to_owned())
    });
    Ok(names)
}

/// Returns the entry of a regular file; `None` if it is another kind of entry.
pub(super) fn entry(folder: &Handle, name: String) -> Option<FileEntry> {
    let found = fs::statat(folder, &*name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
    let bytes = u64::try_from(found.st_size).unwrap_or(0);
    is_file.then(|| FileEntry { name, id: id_of(&found), bytes, modified: modified(&found) })
}

/// Returns true if the name refers to this open file.
pub(super) fn refers_to(folder: &Handle, name: &str, file: &File) -> bool {
    let named = fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    matches!((named, fs::fstat(file)), (Ok(named), Ok(open)) if id_of(&named) == id_of(&open))
}

fn modified(found: &Stat) -> SystemTime {
    #[cfg(target_os = "netbsd")]
    let nanos = found.st_mtimensec;
    #[cfg(not(target_os = "netbsd"))]
    let nanos = found.st_mtime_nsec;
    let seconds = u64::try_from(found.st_mtime).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::new(seconds, u32::try_from(nanos).unwrap_or(0))
}

/// Sets the time of a file to now, by the clock of the file system.
pub(super) fn touch(file: &File) -> io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: fs::UTIME_NOW };
    Ok(fs::futimens(file, &Timestamps { last_access: now, last_modification: now })?)
}

/// Syncs a folder to the disk, so that new names are found after a power loss.
pub(super) fn sync(folder: &Handle) -> io::Result<()> {
    Ok(fs::fsync(folder)?)
}
