//! The file operations of a [`Folder`](super::Folder) by path, for platforms without operations relative to a directory.

use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::file_entry::FileEntry;

/// The path of a directory.
pub(super) use std::path::PathBuf as Handle;

pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    path.canonicalize()
}

pub(super) fn resolve_or_create(path: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(path)?;
    path.canonicalize()
}

pub(super) fn create_private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

pub(super) fn open_folder(path: &Path) -> io::Result<Handle> {
    if fs::symlink_metadata(path)?.is_dir() {
        Ok(path.to_owned())
    } else {
        Err(io::Error::other(format!("{} is not a directory", path.display())))
    }
}

pub(super) fn id(folder: &Handle) -> io::Result<u128> {
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    Ok(hasher.finish().into())
}

pub(super) fn has_id(path: &Path, _: u128) -> bool {
    path.is_dir()
}

pub(super) fn open(folder: &Handle, name: &str) -> io::Result<File> {
    open_with(folder, name, OpenOptions::new().read(true))
}

pub(super) fn open_append(folder: &Handle, name: &str) -> io::Result<File> {
    open_with(folder, name, OpenOptions::new().read(true).append(true))
}

fn open_with(folder: &Handle, name: &str, options: &OpenOptions) -> io::Result<File> {
    let path = folder.join(name);
    if !fs::symlink_metadata(&path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file"));
    }
    options.open(path)
}

pub(super) fn create_new(folder: &Handle, name: &str) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create_new(true).open(folder.join(name))
}

pub(super) fn rename(folder: &Handle, from: &str, to: &str) -> io::Result<()> {
    fs::rename(folder.join(from), folder.join(to))
}

pub(super) fn remove(folder: &Handle, name: &str) -> io::Result<()> {
    fs::remove_file(folder.join(name))
}

pub(super) fn names(folder: &Handle) -> io::Result<impl Iterator<Item = String>> {
    let entries = fs::read_dir(folder)?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()))
}

pub(super) fn entry(folder: &Handle, name: String) -> Option<FileEntry> {
    let found = fs::symlink_metadata(folder.join(&name)).ok().filter(fs::Metadata::is_file)?;
    Some(FileEntry { name, id: 0, bytes: found.len(), modified: found.modified().ok()? })
}

pub(super) fn refers_to(folder: &Handle, name: &str, _: &File) -> bool {
    folder.join(name).is_file()
}

pub(super) fn touch(file: &File) -> io::Result<()> {
    file.set_modified(SystemTime::now())
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of the other platforms")]
pub(super) fn sync(_: &Handle) -> io::Result<()> {
    Ok(())
}
