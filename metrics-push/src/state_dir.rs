//! The state directory: where things wait that must outlive the process. Its location is decided elsewhere.
//!
//! It is made on first need, readable by its owner alone. One that can't be used costs one warning, and what
//! needs it is done without.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use once_cell::sync::OnceCell;

use crate::error::Error;
use crate::notice;

/// A directory of which a process may or may not have need, and that may or may not be usable.
#[derive(Debug, Default)]
pub(crate) struct StateDir {
    location: Option<PathBuf>,
    usable: OnceCell<bool>,
}

impl StateDir {
    /// At this place, or switched off.
    pub(crate) fn new(location: Option<PathBuf>) -> Self {
        Self { location, usable: OnceCell::new() }
    }

    /// A folder in it that exists, is ours and can be written to; `None` after one warning.
    pub(crate) fn folder(&self, name: &str) -> Option<PathBuf> {
        let location = self.location.as_deref()?;
        let is_usable = *self.usable.get_or_init(|| match make_private(location) {
            Ok(()) => true,
            Err(error) => {
                notice::warn(format_args!("{error:?}; the job runs on without it"));
                false
            }
        });
        let folder = location.join(name);
        let is_ready = || is_private_part(&folder, location) || make_private(&folder).is_ok();
        (is_usable && is_ready()).then_some(folder)
    }

    /// The same, if it is there: nothing is made only to look for what waits in it.
    pub(crate) fn existing_folder(&self, name: &str) -> Option<PathBuf> {
        let is_there = self.location.as_deref()?.join(name).is_dir();
        is_there.then(|| self.folder(name)).flatten()
    }

    /// Whether there may be folders at all.
    pub(crate) fn is_on(&self) -> bool {
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

/// Records of others are not to be trusted, and ours not to be shown to them.
#[cfg(unix)]
fn check(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let found = fs::metadata(path)?;
    // A new file belongs to whoever makes it: the one way to learn our own user without a call into C.
    let probe = path.join(format!(".probe-{}", std::process::id()));
    let ours = fs::File::create(&probe).and_then(|file| file.metadata()).map(|own| own.uid());
    let _ = fs::remove_file(&probe);
    if ours? != found.uid() {
        return Err(io::Error::other("it belongs to another user"));
    }
    if found.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Whether a folder is as private as the directory it is in, which was checked: two looks instead of a probe.
#[cfg(unix)]
fn is_private_part(folder: &Path, whole: &Path) -> bool {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let (Ok(part), Ok(whole)) = (fs::symlink_metadata(folder), fs::metadata(whole)) else {
        return false;
    };
    part.is_dir() && part.uid() == whole.uid() && part.permissions().mode() & 0o077 == 0
}

#[cfg(not(unix))]
fn is_private_part(_: &Path, _: &Path) -> bool {
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
        fs::set_permissions(&place.0, fs::Permissions::from_mode(0o755)).unwrap();
        let folder = StateDir::new(Some(place.0.clone())).folder("journal").unwrap();
        for path in [&place.0, &folder] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}
