//! `StateDir`: the directory for data that outlives the process. `config` chooses its path.
//!
//! The directory is created on first use. Each part of its path must belong to this user, the superuser or the owner of `/`,
//! and no other user may be able to replace it. Only the owner of the folders in it can enter them. The permissions of an existing state directory do not
//! change. If the directory cannot be used, this is logged once, and callers continue without it.

mod disk;
mod file_entry;
mod folder;
#[cfg(not(unix))]
mod portable;
mod presence;
mod turns;
#[cfg(unix)]
mod unix;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::error::Error;
use crate::log;
use crate::sync::Mutex;
pub(crate) use disk::{Disk, FileRoom, FolderLock, is_checksum_name, temp_target};
pub(crate) use file_entry::FileEntry;
pub(crate) use folder::{Folder, lock_within, read_within, touch};
pub(crate) use presence::Presence;

/// The path of the state directory, and which part of the configuration it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum StateDirPath {
    #[default]
    Disabled,
    /// The user has not configured it.
    Default(PathBuf),
    Configured(PathBuf),
}

impl StateDirPath {
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Disabled => None,
            Self::Default(path) | Self::Configured(path) => Some(path),
        }
    }
}

/// Returns true if this process has not logged yet that its files fail. A failing disk fails every operation, and one line
/// about it is enough.
pub(crate) fn claim_disk_warning() -> bool {
    static HAS_WARNED: AtomicBool = AtomicBool::new(false);

    !HAS_WARNED.swap(true, Ordering::Relaxed)
}

/// Returns true if the text is two numbers with a hyphen between them, as in the names of a process's files.
pub(crate) fn is_process_stem(stem: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    stem.split_once('-').is_some_and(|(one, other)| is_number(one) && is_number(other))
}

/// The state directory, or none.
#[derive(Debug, Default)]
pub(crate) struct StateDir {
    location: StateDirPath,
    /// The folders that are open.
    folders: Mutex<Vec<(&'static str, Arc<Folder>)>>,
    has_logged: OnceLock<()>,
}

impl StateDir {
    pub(crate) fn new(location: StateDirPath) -> Self {
        Self { location, ..Self::default() }
    }

    /// Returns the folder with this name, created if necessary. A folder that was removed is created again.
    /// Returns `None` if the state directory is disabled or, after a log line, if it cannot be used.
    pub(crate) fn folder(&self, name: &'static str) -> Option<Arc<Folder>> {
        self.open(name, |path| Some(Folder::open_or_create(path)))
    }

    /// Like [`folder`](Self::folder), but does not create the folder.
    pub(crate) fn existing_folder(&self, name: &'static str) -> Option<Arc<Folder>> {
        let open = |path: &Path| path.symlink_metadata().is_ok().then(|| Folder::open(path));
        self.open(name, open)
    }

    /// Returns true if this process has opened the folder at least once.
    pub(crate) fn has_opened(&self, name: &str) -> bool {
        self.folders.lock().iter().any(|(opened, _)| *opened == name)
    }

    /// Returns the open folder, or else the folder that `open` returns, if it exists.
    fn open(
        &self,
        name: &'static str,
        open: impl Fn(&Path) -> Option<io::Result<Arc<Folder>>>,
    ) -> Option<Arc<Folder>> {
        let path = self.location.path()?.join(name);
        let mut folders = self.folders.lock();
        let opened = folders.iter().find(|(opened, _)| *opened == name);
        if let Some((_, folder)) = opened.filter(|(_, folder)| folder.is_current()) {
            return Some(Arc::clone(folder));
        }
        match open(&path)? {
            Ok(folder) => {
                folders.retain(|(opened, _)| *opened != name);
                folders.push((name, Arc::clone(&folder)));
                Some(folder)
            }
            Err(error) => {
                self.has_logged.get_or_init(|| self.log(&path, error));
                None
            }
        }
    }

    /// Logs that the directory cannot be used: a warning only if the user has configured it.
    fn log(&self, path: &Path, error: io::Error) {
        let error = Error::config("cannot use the state directory")
            .at("directory", path.display())
            .caused_by(error)
            .remedy("set METRICS_PUSH_STATE_DIR to a directory of the job's user, or to off");
        let line = format_args!("{error:?}; the job runs without a state directory");
        match self.location {
            StateDirPath::Configured(_) => log::warn(line),
            StateDirPath::Default(_) | StateDirPath::Disabled => log::debug(line),
        }
    }

    /// Returns true unless the state directory is disabled.
    pub(crate) fn is_enabled(&self) -> bool {
        self.location.path().is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A directory for one test, removed on drop.
    pub(super) struct TempDir(pub(super) PathBuf);

    impl TempDir {
        pub(super) fn new(name: &str) -> Self {
            let name = format!("metrics-push-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    pub(super) fn state_dir(dir: &TempDir) -> StateDir {
        StateDir::new(StateDirPath::Configured(dir.0.clone()))
    }

    /// Returns the path of a folder in the state directory; `None` if the folder cannot be used.
    fn path(dir: &TempDir, folder: &'static str) -> Option<PathBuf> {
        state_dir(dir).folder(folder).map(|folder| folder.path().to_owned())
    }

    #[cfg(unix)]
    fn mode(path: &Path) -> u32 {
        use std::os::unix::fs::PermissionsExt as _;

        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn directory_is_created_on_first_use() {
        let dir = TempDir::new("lazy");
        let state = state_dir(&dir);
        assert!(!dir.0.exists());
        assert_eq!(state.folder("spool").unwrap().path(), dir.0.join("spool"));
        assert!(dir.0.join("spool").is_dir());
    }

    #[test]
    fn disabled_state_directory_has_no_folders() {
        assert!(StateDir::default().folder("spool").is_none());
    }

    #[test]
    fn file_in_place_of_the_directory_is_rejected() {
        let dir = TempDir::new("file");
        fs::write(&dir.0, "").unwrap();
        assert_eq!(path(&dir, "spool"), None);
        fs::remove_file(&dir.0).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn folder_becomes_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = TempDir::new("private");
        fs::create_dir(&dir.0).unwrap();
        let folder = dir.0.join("journal");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(path(&dir, "journal").as_ref(), Some(&folder));
        assert_eq!(mode(&folder), 0o700);
    }

    #[test]
    #[cfg(unix)]
    fn symbolic_link_is_not_followed() {
        let (dir, elsewhere) = (TempDir::new("linked"), TempDir::new("elsewhere"));
        fs::create_dir(&dir.0).unwrap();
        fs::create_dir(&elsewhere.0).unwrap();
        std::os::unix::fs::symlink(&elsewhere.0, dir.0.join("journal")).unwrap();
        assert_eq!(path(&dir, "journal"), None);
    }

    #[test]
    #[cfg(unix)]
    fn existing_directory_keeps_its_permissions() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = TempDir::new("shared");
        fs::create_dir(&dir.0).unwrap();
        fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o1777)).unwrap();
        state_dir(&dir).folder("journal").unwrap();
        assert_eq!(mode(&dir.0), 0o1777);
    }

    #[cfg(unix)]
    fn set_mode(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;

        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn directory_that_others_can_change_is_refused() {
        let dir = TempDir::new("parent");
        let state = dir.0.join("state");
        fs::create_dir_all(&state).unwrap();
        let state_dir = StateDir::new(StateDirPath::Configured(state.clone()));
        for (parent, own, is_used) in [
            (0o777, 0o700, false),
            (0o1777, 0o700, true),
            (0o755, 0o777, false),
            (0o755, 0o1777, true),
            (0o775, 0o775, true),
        ] {
            set_mode(&dir.0, parent);
            set_mode(&state, own);
            let _ = fs::remove_dir(state.join("journal"));
            let is_found = state_dir.folder("journal").is_some();
            assert_eq!(is_found, is_used, "{parent:o} {own:o}");
            assert_eq!(state.join("journal").exists(), is_used, "{parent:o} {own:o}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn link_of_this_user_in_the_path_is_followed() {
        let (dir, target) = (TempDir::new("link"), TempDir::new("target"));
        fs::create_dir(&target.0).unwrap();
        std::os::unix::fs::symlink(&target.0, &dir.0).unwrap();
        assert_eq!(path(&dir, "journal"), Some(target.0.join("journal")));
        fs::remove_file(&dir.0).unwrap();
        std::os::unix::fs::symlink(&dir.0, &dir.0).unwrap();
        assert_eq!(path(&dir, "journal"), None, "a link to itself");
        fs::remove_file(&dir.0).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn open_folder_does_not_follow_a_swap() {
        let dir = TempDir::new("swap");
        let folder = state_dir(&dir).folder("spool").unwrap();
        let (elsewhere, moved) = (dir.0.join("elsewhere"), dir.0.join("moved"));
        fs::create_dir(&elsewhere).unwrap();
        fs::rename(dir.0.join("spool"), &moved).unwrap();
        std::os::unix::fs::symlink(&elsewhere, dir.0.join("spool")).unwrap();
        folder.create_file("a").unwrap();
        folder.rename("a", "b").unwrap();
        assert!(moved.join("b").exists() && !folder.is_current());
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }

    #[test]
    fn removed_folder_is_created_again() {
        let dir = TempDir::new("removed");
        let state = state_dir(&dir);
        let removed = state.folder("spool").unwrap();
        fs::remove_dir_all(&dir.0).unwrap();
        assert!(state.existing_folder("spool").is_none());
        let folder = state.folder("spool").unwrap();
        assert!(folder.is_current() && folder.id() != removed.id());
        assert!(Arc::ptr_eq(&folder, &state.existing_folder("spool").unwrap()));
    }

    #[test]
    #[cfg(unix)]
    fn file_that_was_replaced_has_another_entry() {
        let dir = TempDir::new("replaced");
        let folder = state_dir(&dir).folder("spool").unwrap();
        folder.create_file("a").unwrap();
        let entry = folder.entry("a").unwrap();
        folder.create_file("b").unwrap().set_modified(entry.modified).unwrap();
        folder.rename("b", "a").unwrap();
        let replaced = folder.entry("a").unwrap();
        assert_eq!((replaced.bytes, replaced.modified), (entry.bytes, entry.modified));
        assert_ne!(replaced, entry);
    }

    #[test]
    fn name_with_a_separator_is_refused() {
        let dir = TempDir::new("names");
        let folder = state_dir(&dir).folder("spool").unwrap();
        for name in ["../a", "/a", "a/b", "..", ""] {
            assert!(folder.create_file(name).is_err() && folder.open_file(name).is_err(), "{name}");
            assert!(folder.read(name, 1).is_err() && folder.remove(name).is_err(), "{name}");
        }
    }

    /// Creates entries that another process could have planted: a FIFO, links, a hard link, a folder and a large file.
    #[cfg(unix)]
    fn plant(folder: &Path, suffix: &str) -> Vec<String> {
        use rustix::fs::{CWD, FileType, Mode, mknodat};

        let outside = folder.join("outside");
        fs::write(&outside, "outside").unwrap();
        let path = |kind: &str| folder.join(format!("{kind}{suffix}"));
        mknodat(CWD, path("1"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        std::os::unix::fs::symlink(&outside, path("2")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path("3")).unwrap();
        fs::hard_link(&outside, path("4")).unwrap();
        fs::create_dir(path("5")).unwrap();
        fs::File::create(path("6")).unwrap().set_len(1 << 32).unwrap();
        drop(std::os::unix::net::UnixListener::bind(path("7")).unwrap());
        (1..=7).map(|kind| format!("{kind}{suffix}")).collect()
    }

    #[test]
    #[cfg(unix)]
    fn only_regular_files_of_limited_size_are_read() {
        let dir = TempDir::new("kinds");
        let folder = state_dir(&dir).folder("spool").unwrap();
        for name in plant(folder.path(), ".request") {
            assert!(folder.read(&name, 1_000).is_err(), "{name}");
            let is_large = name.starts_with('6');
            assert_eq!(folder.open_or_create_file(&name).is_ok(), is_large, "{name}");
            assert!(folder.create_file(&name).is_err(), "{name}");
        }
        folder.create_file("own").unwrap();
        assert_eq!(folder.read("own", 0).unwrap(), Some(Vec::new()));
        assert_eq!(folder.read("missing", 0).unwrap(), None);
    }
}
