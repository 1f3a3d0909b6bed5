//! The names of the files in the folder of the journals.

use crate::state_dir::{Folder, is_process_stem};

/// The folder in the state directory.
pub(in crate::job) const FOLDER: &str = "journal";

/// The extension of a journal.
pub(super) const JOURNAL_EXTENSION: &str = "journal";

/// The extension of a supervisor's file.
pub(in crate::job) const SUPERVISOR_EXTENSION: &str = "supervisor";

/// The extension of a file that does not have its first lines yet.
pub(in crate::job) const TEMP_EXTENSION: &str = "new";

/// Returns the names of the journals in a folder.
pub(super) fn journal_names(folder: &Folder) -> impl Iterator<Item = String> {
    let names = folder.names().into_iter().flatten();
    names.filter(|name| {
        name.rsplit_once('.')
            .is_some_and(|(stem, it)| it == JOURNAL_EXTENSION && is_process_stem(stem))
    })
}
