//! `Presence`: shows other processes whether this process is alive.
//!
//! Each process has one file in the folder `processes` and holds a lock on it, which the kernel releases when the process
//! dies. Process ids are not enough, because the processes of several containers can share a state directory. A child that was
//! created by `fork` without `exec` holds the lock as well, so the process counts as alive until the child ends.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::{Folder, StateDir, is_process_stem};
use crate::clock::Moment;
use crate::sync::Mutex;

/// The folder in the state directory.
const FOLDER: &str = "processes";

/// Another process can remove a new file before it is locked.
const MAX_ATTEMPTS: u32 = 3;

/// The maximum number of files of dead processes that one process removes.
const MAX_REMOVED: usize = 1_000;

/// The file of this process in one folder, and the folder with those of other processes.
#[derive(Debug)]
pub(crate) struct Presence {
    folder: Arc<Folder>,
    name: String,
    /// Locked until the process ends.
    file: File,
}

impl StateDir {
    /// Returns the presence of this process. Blocks.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub(crate) fn presence(&self) -> io::Result<Arc<Presence>> {
        static PRESENCES: Mutex<Vec<Arc<Presence>>> = Mutex::new(Vec::new());

        let folder = self.folder(FOLDER).ok_or(io::ErrorKind::NotFound)?;
        let mut presences = PRESENCES.lock();
        presences
            .retain(|it| it.folder.id() != folder.id() || folder.has_open_file(&it.name, &it.file));
        if let Some(presence) = presences.iter().find(|it| it.folder.id() == folder.id()) {
            return Ok(Arc::clone(presence));
        }
        let presence = Arc::new(Presence::new(&folder)?);
        presences.push(Arc::clone(&presence));
        Ok(presence)
    }
}

impl Presence {
    /// Creates and locks the file of this process. Removes those of dead processes.
    fn new(folder: &Arc<Folder>) -> io::Result<Self> {
        let names = folder.names()?.filter(|name| is_process_stem(name));
        let names: Vec<_> = names.take(MAX_REMOVED).collect();
        names.iter().for_each(|name| remove_unlocked(folder, name));
        for _ in 0..MAX_ATTEMPTS {
            let name = format!("{:020}-{}", Moment::now().unix_nanos(), std::process::id());
            let file = folder.create_file(&name)?;
            if file.try_lock().is_ok() && folder.has_open_file(&name, &file) {
                return Ok(Self { folder: Arc::clone(folder), name, file });
            }
            let _ = folder.remove(&name);
        }
        Err(io::Error::other(format!(
            "no file in {} can be locked; use a local disk that no other program cleans up",
            folder.path().display()
        )))
    }

    /// Returns the name of this process, which no other process has.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns true if another process with this name may be alive.
    pub(crate) fn is_other_alive(&self, name: &str) -> bool {
        name != self.name && is_locked(&self.folder, name)
    }
}

/// Removes a file that no process has locked. Its process cannot lock it in the meantime, because this function holds the lock.
fn remove_unlocked(folder: &Folder, name: &str) {
    if let Ok(file) = folder.open_file(name)
        && file.try_lock().is_ok()
    {
        let _ = folder.remove(name);
    }
}

/// Returns false if it is certain that no process has locked the file.
fn is_locked(folder: &Folder, name: &str) -> bool {
    match folder.open_file(name) {
        Ok(file) => file.try_lock().is_err(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::state_dir::tests::{TempDir, state_dir};

    fn files(dir: &TempDir) -> Vec<String> {
        let files = fs::read_dir(dir.0.join(FOLDER)).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn process_has_one_presence_in_a_state_directory() {
        let dir = TempDir::new("presence-one");
        let presence = state_dir(&dir).presence().unwrap();
        assert!(Arc::ptr_eq(&presence, &state_dir(&dir).presence().unwrap()));
        assert_eq!(files(&dir), [presence.name()]);
        assert!(!presence.is_other_alive(presence.name()));
    }

    #[test]
    fn file_that_was_removed_is_created_again() {
        let dir = TempDir::new("presence-removed");
        let removed = state_dir(&dir).presence().unwrap();
        fs::remove_file(dir.0.join(FOLDER).join(removed.name())).unwrap();
        let presence = state_dir(&dir).presence().unwrap();
        assert!(presence.name() != removed.name());
        assert_eq!(files(&dir), [presence.name()]);
    }

    #[test]
    fn process_is_alive_while_it_holds_its_lock() {
        let dir = TempDir::new("presence-alive");
        let folder = state_dir(&dir).folder(FOLDER).unwrap();
        let [this, other] = [(), ()].map(|()| Presence::new(&folder).unwrap());
        assert!(this.is_other_alive(other.name()) && other.is_other_alive(this.name()));
        let name = other.name().to_owned();
        drop(other);
        assert!(!this.is_other_alive(&name));
        assert!(!this.is_other_alive("0-1"));
    }

    #[test]
    fn name_that_cannot_be_checked_counts_as_alive() {
        let dir = TempDir::new("presence-unknown");
        let presence = state_dir(&dir).presence().unwrap();
        for name in ["", "../x", "a/b"] {
            assert!(presence.is_other_alive(name), "{name:?}");
        }
    }

    #[test]
    fn files_of_dead_processes_are_removed() {
        let dir = TempDir::new("presence-dead");
        let folder = state_dir(&dir).folder(FOLDER).unwrap();
        let living = Presence::new(&folder).unwrap();
        let foreign = ["notes", "1-x", "x-1"];
        for name in ["0-1", "1-1", "2-1"].iter().chain(&foreign) {
            fs::write(dir.0.join(FOLDER).join(name), "").unwrap();
        }
        let this = Presence::new(&folder).unwrap();
        let mut files = files(&dir);
        files.sort();
        let mut expected = [&[living.name(), this.name()][..], &foreign].concat();
        expected.sort_unstable();
        assert_eq!(files, expected);
    }
}
