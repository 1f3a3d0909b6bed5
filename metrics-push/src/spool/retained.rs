//! Retained timestamps: what of a group is to survive a gateway that forgets, and a push that replaces it.
//!
//! Beside the requests that wait, one record per sink and grouping key holds what the gateway has acknowledged of the
//! group's last success and its like. Nothing depends on it: it is written in place and not synced, one that is torn is
//! none, and there are only so many.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::{Spool, record};
use crate::labels::GroupingKey;
use crate::log;
use crate::push_request::PushRequest;

/// The folder in the state directory.
const FOLDER: &str = "retained";
/// How many groups are remembered: as many as may wait.
const MOST_KEPT: usize = super::MOST_RECORDS;

impl Spool {
    /// What this machine last knew of a group, as an addition to it.
    pub(crate) fn retained(&self, key: &GroupingKey) -> Option<PushRequest> {
        let bytes = self.disk.read(&self.kept_already()?.join(self.name_of(key))).ok()??;
        let record = record::decode(&bytes).ok()?;
        (record.sink == self.sink && record.request.key() == key).then_some(record.request)
    }

    /// Remembers this in place of what was known of the group. Blocks.
    pub(crate) fn store_retained(&self, retained: &PushRequest) {
        let folder = self.kept.get_or_try_init(|| self.state_dir.folder(FOLDER).ok_or(()));
        let Ok(folder) = folder else { return };
        let path = folder.join(self.name_of(retained.key()));
        self.make_room_to_keep(folder, &path);
        if let Err(error) = self.disk.overwrite(&path, &record::encode(&self.sink, retained)) {
            log::debug(format_args!("{} is not remembered: {error}", retained.key()));
        }
    }

    /// Forgets the group, which was removed on purpose.
    pub(crate) fn delete_retained(&self, key: &GroupingKey) {
        if let Some(folder) = self.kept_already() {
            // It is remembered for nothing, then.
            let _ = self.disk.remove(&folder.join(self.name_of(key)));
        }
    }

    /// The folder, if anybody has made it.
    fn kept_already(&self) -> Option<&Path> {
        let existing = || self.state_dir.existing_folder(FOLDER).ok_or(());
        self.kept.get_or_try_init(existing).ok().map(PathBuf::as_path)
    }

    /// Lets go of the oldest quarter, if there is no room for one more.
    fn make_room_to_keep(&self, folder: &Path, path: &Path) {
        if path.exists() || self.room_to_keep.fetch_sub(1, Ordering::Relaxed) > 0 {
            return;
        }
        let mut entries = self.disk.list(folder).unwrap_or_default();
        if entries.len() >= MOST_KEPT {
            entries.sort_by_key(|entry| entry.modified);
            for entry in entries.drain(..MOST_KEPT / 4) {
                let _ = self.disk.remove(&entry.path);
            }
        }
        let room = i64::try_from(MOST_KEPT.saturating_sub(entries.len())).unwrap_or(0);
        self.room_to_keep.store(room - 1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::push_request::Verb;
    use crate::state_dir::StateDir;

    /// A directory of a test's own.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let name = format!("metrics-push-kept-{}-{name}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn spool(&self, sink: &str) -> Spool {
            Spool::new(&Arc::new(StateDir::new(Some(self.0.clone()))), sink).unwrap()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn retained(name: &str) -> PushRequest {
        let families = [("a".to_owned(), "a 1\n".to_owned())].into();
        PushRequest::with_created_at(7, Verb::Add, GroupingKey::new(name).unwrap(), families)
    }

    #[test]
    fn what_is_remembered_is_known_until_it_is_forgotten() {
        let place = Place::new("known");
        let (spool, other) = (place.spool("here"), place.spool("there"));
        assert_eq!(spool.retained(retained("a").key()), None);
        spool.store_retained(&retained("a"));
        assert_eq!(spool.retained(retained("a").key()), Some(retained("a")));
        assert_eq!(place.spool("here").retained(retained("a").key()), Some(retained("a")));
        assert_eq!(spool.retained(retained("b").key()), None);
        assert_eq!(other.retained(retained("a").key()), None, "another sink");
        spool.delete_retained(retained("a").key());
        assert_eq!(spool.retained(retained("a").key()), None);
    }

    #[test]
    fn what_another_process_remembers_is_forgotten_as_well() {
        let place = Place::new("others");
        place.spool("here").store_retained(&retained("a"));
        place.spool("here").delete_retained(retained("a").key());
        assert_eq!(place.spool("here").retained(retained("a").key()), None);
    }

    #[test]
    fn what_is_torn_is_not_known() {
        let place = Place::new("torn");
        let spool = place.spool("here");
        spool.store_retained(&retained("a"));
        let path = spool.kept.get().unwrap().join(spool.name_of(retained("a").key()));
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(spool.retained(retained("a").key()), None, "{length} bytes");
        }
        spool.store_retained(&retained("a"));
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn a_label_without_bounds_is_bounded_here() {
        let place = Place::new("bounded");
        let spool = place.spool("here");
        for number in 0..MOST_KEPT + 10 {
            spool.store_retained(&retained(&format!("job_{number}")));
        }
        let number = std::fs::read_dir(spool.kept.get().unwrap()).unwrap().count();
        assert!(number <= MOST_KEPT && number > MOST_KEPT / 2, "{number}");
        let last = retained(&format!("job_{}", MOST_KEPT + 9));
        assert_eq!(spool.retained(last.key()), Some(last));
    }
}
