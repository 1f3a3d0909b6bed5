//! Retained timestamps: the times of a group's last success, last failure and so on, as the gateway last accepted them.
//!
//! They are restored after a push, which replaces the group, and after the restart of a gateway without persistence. There
//! is one record per sink and grouping key. Losing a record is harmless, so records are written without a sync,
//! corrupt records are ignored, and the number of records is limited.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::usage::{MAX_RECORDS, is_record, is_temp};
use super::{Spool, SpoolReason, record};
use crate::labels::GroupingKey;
use crate::log;
use crate::push_request::PushRequest;
use crate::state_dir::Folder;

/// The folder in the state directory.
const FOLDER: &str = "retained";

impl Spool {
    /// Returns the retained timestamps of a group, as an add request.
    pub(crate) fn retained(&self, key: &GroupingKey) -> Option<PushRequest> {
        let folder = self.existing_retained_folder()?;
        let bytes = self.read_record(&folder, &self.file_name(key)).ok()??;
        let record = record::decode(&bytes).ok()?;
        (record.sink == self.sink && record.request.key() == key).then_some(record.request)
    }

    /// Stores the retained timestamps of a group. Blocks.
    pub(crate) fn store_retained(&self, retained: &PushRequest) {
        let Some(folder) = self.state_dir.folder(FOLDER) else { return };
        let name = self.file_name(retained.key());
        self.make_room_for_retained(&folder, &name);
        let bytes = record::encode(&self.sink, SpoolReason::Undelivered, retained);
        if let Err(error) = self.disk.replace(&folder, &name, &bytes) {
            log::debug(format_args!("cannot store the timestamps of {}: {error}", retained.key()));
        }
    }

    /// Deletes the retained timestamps of a group that was deleted.
    pub(crate) fn delete_retained(&self, key: &GroupingKey) {
        if let Some(folder) = self.existing_retained_folder() {
            // Timestamps that could not be deleted are harmless.
            let _ = self.disk.remove(&folder, &self.file_name(key));
        }
    }

    /// Returns the folder if it exists.
    fn existing_retained_folder(&self) -> Option<Arc<Folder>> {
        self.state_dir.existing_folder(FOLDER)
    }

    /// Removes the oldest quarter of the records if there is no room for a record with this name.
    fn make_room_for_retained(&self, folder: &Folder, name: &str) {
        if folder.has_file(name) || self.retained_room.fetch_sub(1, Ordering::Relaxed) > 0 {
            return;
        }
        let mut entries =
            self.disk.list(folder, |name| is_record(name) || is_temp(name)).unwrap_or_default();
        if entries.len() >= MAX_RECORDS {
            entries.sort_by_key(|entry| entry.modified);
            for entry in entries.drain(..MAX_RECORDS / 4) {
                let _ = self.disk.remove(folder, &entry.name);
            }
        }
        let room = i64::try_from(MAX_RECORDS.saturating_sub(entries.len())).unwrap_or(0);
        self.retained_room.store(room - 1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::TempStateDir;
    use super::*;
    use crate::push_request::Verb;

    fn retained(name: &str) -> PushRequest {
        let families = [("a".to_owned(), "a 1\n".to_owned())].into();
        PushRequest::with_created_at(7, Verb::Add, GroupingKey::new(name).unwrap(), families)
    }

    #[test]
    fn retained_timestamps_last_until_they_are_deleted() {
        let state = TempStateDir::new();
        let (spool, other) = (state.spool_for("here"), state.spool_for("there"));
        assert_eq!(spool.retained(retained("a").key()), None);
        spool.store_retained(&retained("a"));
        assert_eq!(spool.retained(retained("a").key()), Some(retained("a")));
        assert_eq!(state.spool_for("here").retained(retained("a").key()), Some(retained("a")));
        assert_eq!(spool.retained(retained("b").key()), None);
        assert_eq!(other.retained(retained("a").key()), None, "another sink");
        spool.delete_retained(retained("a").key());
        assert_eq!(spool.retained(retained("a").key()), None);
    }

    #[test]
    fn retained_timestamps_of_another_process_are_deleted() {
        let state = TempStateDir::new();
        state.spool_for("here").store_retained(&retained("a"));
        state.spool_for("here").delete_retained(retained("a").key());
        assert_eq!(state.spool_for("here").retained(retained("a").key()), None);
    }

    #[test]
    fn truncated_timestamps_are_ignored() {
        let state = TempStateDir::new();
        let spool = state.spool_for("here");
        spool.store_retained(&retained("a"));
        let path = state.0.join(FOLDER).join(spool.file_name(retained("a").key()));
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(spool.retained(retained("a").key()), None, "{length} bytes");
        }
        spool.store_retained(&retained("a"));
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn number_of_retained_groups_is_limited() {
        let state = TempStateDir::new();
        let spool = state.spool_for("here");
        for number in 0..MAX_RECORDS + 10 {
            spool.store_retained(&retained(&format!("job_{number}")));
        }
        let number = std::fs::read_dir(state.0.join(FOLDER)).unwrap().count();
        assert!(number <= MAX_RECORDS && number > MAX_RECORDS / 2, "{number}");
        let last = retained(&format!("job_{}", MAX_RECORDS + 9));
        assert_eq!(spool.retained(last.key()), Some(last));
    }
}
