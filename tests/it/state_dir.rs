//! State directories of tests, and the journals in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A state directory, removed on drop.
pub(crate) struct StateDir(PathBuf);

impl StateDir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("state-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // A process that was killed leaves its directories, and another one may get its id.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("journal")).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into the journal folder and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join("journal").join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Returns the paths of all journals, sorted.
    pub(crate) fn journals(&self) -> Vec<PathBuf> {
        let entries =
            fs::read_dir(self.0.join("journal")).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<_> =
            entries.filter(|path| path.extension().is_some_and(|it| it == "journal")).collect();
        found.sort();
        found
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}
