//! The names of the files in the folder of the journals.

use crate::state_dir::Folder;

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
        name.rsplit_once('.').is_some_and(|(stem, it)| it == JOURNAL_EXTENSION && is_stem(stem))
    })
}

/// Returns true if a file with this stem belongs to a process: the time of its creation and the id of the process.
pub(super) fn is_stem(stem: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    stem.split_once('-').is_some_and(|(time, process)| is_number(time) && is_number(process))
}
