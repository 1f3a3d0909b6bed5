//! `FileEntry`: a file in a listing of a folder.

use std::time::{Duration, SystemTime};

/// A file in a listing. After a file is changed or replaced, its entry differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileEntry {
    pub(crate) name: String,
    /// A number that no other existing file has; 0 on platforms without such numbers.
    pub(crate) id: u128,
    pub(crate) bytes: u64,
    /// By the clock of the file system.
    pub(crate) modified: SystemTime,
}

impl FileEntry {
    /// Sorts the entries, the oldest first.
    pub(crate) fn sort_by_age(entries: &mut [Self]) {
        entries.sort_unstable_by_key(|entry| entry.modified);
    }

    /// Returns the age of the file. `now` is a time of the same file system.
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        // The clock may have been set back since.
        now.duration_since(self.modified).unwrap_or_default()
    }
}
