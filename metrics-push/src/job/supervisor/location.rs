//! `Location`: the files that a supervised job shares with its supervisor.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::state_dir::Folder;

/// The environment variable with the path of the supervisor's file.
pub(in crate::job) const VARIABLE: &str = crate::config::SUPERVISOR_VARIABLE;

/// The text that the supervisor writes to its file before it ends a job that exceeds its maximum runtime.
pub(super) const TIMEOUT_MARK: &str = "timeout";

#[derive(Debug)]
pub(in crate::job) struct Location {
    /// The folder of the job's journal.
    pub(in crate::job) folder: Arc<Folder>,
    /// The name of the supervisor's file in the folder. It is locked while the supervisor lives.
    pub(in crate::job) supervisor: String,
}

/// Returns the location if this process is supervised. The children of a job inherit the variable, but have another parent.
pub(in crate::job) fn location() -> Option<&'static Location> {
    static LOCATION: OnceLock<Option<Location>> = OnceLock::new();
    let read = || {
        let parent = parent_id()?;
        let path = PathBuf::from(std::env::var_os(VARIABLE)?);
        let process: u32 = path.file_stem()?.to_str()?.rsplit_once('-')?.1.parse().ok()?;
        let supervisor = path.file_name()?.to_str()?.to_owned();
        if process != parent {
            return None;
        }
        let folder = Folder::open(path.parent()?).ok()?;
        Some(Location { folder, supervisor })
    };
    LOCATION.get_or_init(read).as_ref()
}

#[cfg(unix)]
fn parent_id() -> Option<u32> {
    Some(std::os::unix::process::parent_id())
}

/// A supervisor exists on Unix only.
#[cfg(not(unix))]
fn parent_id() -> Option<u32> {
    None
}

/// Returns true if the supervisor is ending this job because it exceeds its maximum runtime.
pub(in crate::job) fn is_killing() -> bool {
    let read = |location: &Location| {
        location.folder.read(&location.supervisor, TIMEOUT_MARK.len() as u64).ok().flatten()
    };
    location().and_then(read).is_some_and(|text| text == TIMEOUT_MARK.as_bytes())
}
