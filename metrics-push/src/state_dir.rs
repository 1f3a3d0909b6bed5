//! The state directory: where things wait that must outlive the process. Its location is decided elsewhere.
//!
//! It is made on first need, and each folder in it is readable by its owner alone; a directory that was there before
//! stays as it was. One that can't be used costs one warning, and what needs it is done without.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::error::Error;
use crate::log;

/// A directory of which a process may or may not have need, and that may or may not be usable.
#[derive(Debug, Default)]
pub(crate) struct StateDir {
    location: Option<PathBuf>,
    told: OnceLock<()>,
}

impl StateDir {
    /// At this place, or switched off.
    pub(crate) fn new(location: Option<PathBuf>) -> Self {
        Self { location, told: OnceLock::new() }
    }

    /// A folder in it that exists, is ours and can be written to; `None` after one warning.
    pub(crate) fn folder(&self, name: &str) -> Option<PathBuf> {
        let folder = self.location.as_deref()?.join(name);
        if is_known_private(&folder) {
            return Some(folder);
        }
        match make_private(&folder) {
            Ok(()) => Some(folder),
            Err(error) => {
                self.told.get_or_init(|| {
                    log::warn(format_args!("{error:?}; the job runs on without it"));
                });
                None
            }
        }
    }

    /// The same, if it is there: nothing is made only to look for what waits in it.
    pub(crate) fn existing_folder(&self, name: &str) -> Option<PathBuf> {
        let is_there = self.location.as_deref()?.join(name).is_dir();
        is_there.then(|| self.folder(name)).flatten()
    }

    /// Whether there may be folders at all.
    pub(crate) fn is_enabled(&self) -> bool {
        self.location.is_some()
    }
}

/// Makes sure of a directory that only its owner can read.
fn make_private(path: &Path) -> Result<(), Error> {
    create(path).and_then(|()| check(path)).map_err(|error| {
        Error::config("the state directory can't be used")
            .at("directory", path.display())
            .caused_by(error)
            .remedy("name a directory of the job's own user in METRICS_PUSH_STATE_DIR, or set it to off")
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

/// Our own user, once a probe has told.
#[cfg(unix)]
static OURSELVES: OnceLock<u32> = OnceLock::new();

/// Records of others are not to be trusted, and ours not to be shown to them. What is no directory itself, but leads to
/// one, may have been put there by others.
#[cfg(unix)]
fn check(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() {
        return Err(io::Error::other("it is a link"));
    }
    // A new file belongs to whoever makes it: the one way to learn our own user without a call into C.
    let probe = path.join(format!(".probe-{}", std::process::id()));
    let ours = fs::File::create(&probe).and_then(|file| file.metadata()).map(|own| own.uid());
    let _ = fs::remove_file(&probe);
    let ours = ours?;
    let _ = OURSELVES.set(ours);
    if ours != found.uid() || !is_trusted(path, ours)? {
        return Err(io::Error::other("it belongs to another user"));
    }
    if found.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Whether nobody but ourselves and the superuser owns what the folder is in: its owner could replace the folder.
#[cfg(unix)]
fn is_trusted(folder: &Path, ours: u32) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;

    const SUPERUSER: u32 = 0;
    let Some(directory) = folder.parent() else { return Ok(true) };
    let owner = fs::metadata(directory)?.uid();
    Ok(owner == ours || owner == SUPERUSER)
}

/// Whether a folder is as it should be, by one look in place of a probe.
#[cfg(unix)]
fn is_known_private(folder: &Path) -> bool {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    fs::symlink_metadata(folder).is_ok_and(|found| {
        found.is_dir()
            && OURSELVES.get() == Some(&found.uid())
            && found.permissions().mode() & 0o077 == 0
    })
}

#[cfg(not(unix))]
fn is_known_private(_: &Path) -> bool {
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

    /// A place of this test's own, removed when it ends.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let name = format!("metrics-push-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    #[cfg(unix)]
    fn mode(path: &Path) -> u32 {
        use std::os::unix::fs::PermissionsExt as _;

        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn nothing_is_made_before_it_is_needed() {
        let place = Place::new("lazy");
        let state = StateDir::new(Some(place.0.clone()));
        assert!(!place.0.exists());
        assert_eq!(state.folder("spool"), Some(place.0.join("spool")));
        assert!(place.0.join("spool").is_dir());
    }

    #[test]
    fn what_is_switched_off_has_no_folders() {
        assert_eq!(StateDir::new(None).folder("spool"), None);
    }

    #[test]
    fn a_file_in_its_place_makes_it_unusable() {
        let place = Place::new("file");
        fs::write(&place.0, "").unwrap();
        assert_eq!(StateDir::new(Some(place.0.clone())).folder("spool"), None);
        fs::remove_file(&place.0).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn others_can_not_read_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let place = Place::new("private");
        fs::create_dir(&place.0).unwrap();
        let folder = place.0.join("journal");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(StateDir::new(Some(place.0.clone())).folder("journal").as_ref(), Some(&folder));
        assert_eq!(mode(&folder), 0o700);
    }

    #[test]
    #[cfg(unix)]
    fn a_link_in_a_directory_that_others_share_is_not_followed() {
        let (place, elsewhere) = (Place::new("linked"), Place::new("elsewhere"));
        fs::create_dir(&place.0).unwrap();
        fs::create_dir(&elsewhere.0).unwrap();
        std::os::unix::fs::symlink(&elsewhere.0, place.0.join("journal")).unwrap();
        assert_eq!(StateDir::new(Some(place.0.clone())).folder("journal"), None);
    }

    #[test]
    #[cfg(unix)]
    fn a_directory_that_was_there_keeps_its_permissions() {
        use std::os::unix::fs::PermissionsExt as _;

        let place = Place::new("shared");
        fs::create_dir(&place.0).unwrap();
        fs::set_permissions(&place.0, fs::Permissions::from_mode(0o1777)).unwrap();
        StateDir::new(Some(place.0.clone())).folder("journal").unwrap();
        assert_eq!(mode(&place.0), 0o1777);
    }
}
