//! `InvalidFiles`: the files of a search that cannot be read as journals.

use super::line::InvalidJournal;
use crate::log;
use crate::state_dir::Folder;

/// The files that cannot be read as journals: the first name and the number for each reason.
#[derive(Default)]
pub(super) struct InvalidFiles(Vec<(InvalidJournal, String, usize)>);

impl InvalidFiles {
    pub(super) fn add(&mut self, folder: &Folder, name: String, reason: InvalidJournal) {
        if reason == InvalidJournal::Truncated {
            let _ = folder.remove(&name);
        }
        match self.0.iter_mut().find(|(found, ..)| *found == reason) {
            Some((.., count)) => *count += 1,
            None => self.0.push((reason, name, 1)),
        }
    }

    /// Logs one line for each reason.
    pub(super) fn log(&self, folder: &Folder) {
        for (reason, name, count) in &self.0 {
            let path = folder.path().join(name);
            let files = match count - 1 {
                0 => path.display().to_string(),
                others => format!("{} and {others} more", path.display()),
            };
            match reason {
                InvalidJournal::Truncated => log::warn(format_args!(
                    "removed {files}: the journal is truncated and contains no run"
                )),
                InvalidJournal::Newer => log::warn(format_args!(
                    "skipped {files}: a newer version of metrics-push wrote this journal"
                )),
                InvalidJournal::Foreign => log::warn(format_args!(
                    "skipped {files}: it is not a journal; move it out of the state directory"
                )),
            }
        }
    }
}
