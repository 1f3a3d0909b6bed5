//! `StateDir`: the directory for data that outlives the process. `config` chooses its path.
//!
//! The directory is created on first use. Only its owner can read the folders in it. The permissions of an existing
//! state directory do not change. If the directory cannot be used, this is logged once, and callers continue without it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::error::Error;
use crate::log;

/// The path of the state directory, and which part of the configuration it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum StateDirPath {
    #[default]
    Disabled,
    /// The user did not ask for it.
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

/// The state directory, or none.
#[derive(Debug, Default)]
pub(crate) struct StateDir {
    location: StateDirPath,
    has_logged: OnceLock<()>,
}

impl StateDir {
    pub(crate) fn new(location: StateDirPath) -> Self {
        Self { location, has_logged: OnceLock::new() }
    }

    /// Returns the folder with this name, created if necessary. It belongs to the process's user and is writable.
    /// Returns `None` if the state directory is disabled or, after a log line, if it cannot be used.
    pub(crate) fn folder(&self, name: &str) -> Option<PathBuf> {
        let folder = self.location.path()?.join(name);
        if is_verified(&folder) {
            return Some(folder);
        }
        match create_private(&folder) {
            Ok(()) => Some(folder),
            Err(error) => {
                self.has_logged.get_or_init(|| self.log(&error));
                None
            }
        }
    }

    /// Logs that the directory cannot be used: a warning only if the user has configured it.
    fn log(&self, error: &Error) {
        let line = format_args!("{error:?}; the job runs without a state directory");
        match self.location {
            StateDirPath::Configured(_) => log::warn(line),
            StateDirPath::Default(_) | StateDirPath::Disabled => log::debug(line),
        }
    }

    /// Like [`folder`](Self::folder), but does not create the folder.
    pub(crate) fn existing_folder(&self, name: &str) -> Option<PathBuf> {
        let exists = self.location.path()?.join(name).is_dir();
        exists.then(|| self.folder(name)).flatten()
    }

    /// Returns true unless the state directory is disabled.
    pub(crate) fn is_enabled(&self) -> bool {
        self.location.path().is_some()
    }
}

/// Creates a folder that only its owner can read, or checks an existing one.
fn create_private(path: &Path) -> Result<(), Error> {
    create(path).and_then(|()| check(path)).map_err(|error| {
        Error::config("cannot use the state directory")
            .at("directory", path.display())
            .caused_by(error)
            .remedy("set METRICS_PUSH_STATE_DIR to a directory of the job's user, or to off")
    })
}

#[cfg(unix)]
fn create(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;

    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// The user id of this process, set by the first check.
#[cfg(unix)]
static OWN_UID: OnceLock<u32> = OnceLock::new();

/// Checks that this user owns the folder and that no other user can replace it, and makes it readable by its owner
/// only. A symbolic link is rejected, because another user may have created it.
#[cfg(unix)]
fn check(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() {
        return Err(io::Error::other("it is a symbolic link"));
    }
    // The owner of a new file is the user of this process. `std` has no other way to get it.
    let probe = path.join(format!(".probe-{}", std::process::id()));
    let own_uid = fs::File::create(&probe).and_then(|file| file.metadata()).map(|file| file.uid());
    let _ = fs::remove_file(&probe);
    let own_uid = own_uid?;
    let _ = OWN_UID.set(own_uid);
    if own_uid != found.uid() || !has_trusted_parent(path, own_uid)? {
        return Err(io::Error::other("it belongs to another user"));
    }
    if found.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Returns true if this user or the superuser owns the parent directory. Its owner could replace the folder.
#[cfg(unix)]
fn has_trusted_parent(folder: &Path, own_uid: u32) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;

    const SUPERUSER: u32 = 0;
    let Some(directory) = folder.parent() else { return Ok(true) };
    let owner = fs::metadata(directory)?.uid();
    Ok(owner == own_uid || owner == SUPERUSER)
}

/// Returns true if the folder passes the check without a probe.
#[cfg(unix)]
fn is_verified(folder: &Path) -> bool {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    fs::symlink_metadata(folder).is_ok_and(|found| {
        found.is_dir()
            && OWN_UID.get() == Some(&found.uid())
            && found.permissions().mode() & 0o077 == 0
    })
}

#[cfg(not(unix))]
fn is_verified(_: &Path) -> bool {
    false
}

#[cfg(not(unix))]
fn check(path: &Path) -> io::Result<()> {
    let probe = path.join(format!(".probe-{}", std::process::id()));
    fs::File::create(&probe)?;
    fs::remove_file(&probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory for one test, removed on drop.
    struct TempDir(PathBuf);

    impl TempDir {
        fn new(name: &str) -> Self {
            let name = format!("metrics-push-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    fn state_dir(dir: &TempDir) -> StateDir {
        StateDir::new(StateDirPath::Configured(dir.0.clone()))
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
        assert_eq!(state.folder("spool"), Some(dir.0.join("spool")));
        assert!(dir.0.join("spool").is_dir());
    }

    #[test]
    fn disabled_state_directory_has_no_folders() {
        assert_eq!(StateDir::default().folder("spool"), None);
    }

    #[test]
    fn file_in_place_of_the_directory_is_rejected() {
        let dir = TempDir::new("file");
        fs::write(&dir.0, "").unwrap();
        assert_eq!(state_dir(&dir).folder("spool"), None);
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
        assert_eq!(state_dir(&dir).folder("journal").as_ref(), Some(&folder));
        assert_eq!(mode(&folder), 0o700);
    }

    #[test]
    #[cfg(unix)]
    fn symbolic_link_is_not_followed() {
        let (dir, elsewhere) = (TempDir::new("linked"), TempDir::new("elsewhere"));
        fs::create_dir(&dir.0).unwrap();
        fs::create_dir(&elsewhere.0).unwrap();
        std::os::unix::fs::symlink(&elsewhere.0, dir.0.join("journal")).unwrap();
        assert_eq!(state_dir(&dir).folder("journal"), None);
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
}
