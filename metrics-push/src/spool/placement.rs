//! `Placement`: the shards that may have a group, so that a delivery after a change of the ring can delete it from others.
//!
//! There is one file per group, with one line per ring: its URL and those of the shards, separated by spaces. Losing a file is
//! harmless until the ring changes, so files are written without a sync, and corrupt files are ignored. The number of files
//! is limited.

use super::Spool;
use crate::checksum::checksum_of;
use crate::labels::GroupingKey;
use crate::log;
use crate::state_dir::Folder;

/// The folder in the state directory.
const FOLDER: &str = "shards";
const EXTENSION: &str = "shards";
const VERSION: &str = "metrics-push shards 1";

/// A larger file counts as absent.
const MAX_FILE_SIZE: u64 = 64 * 1024;
/// Enough for every group of a large scheduler. The oldest files are removed first.
const MAX_PLACEMENTS: usize = 16_384;
/// The number of rings per group. The oldest one is forgotten first.
const MAX_RINGS: usize = 8;

/// The shards of a ring that may have a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    /// The URL of the ring.
    pub(crate) ring: String,
    /// The URLs of the shards. The group belongs to the last one.
    pub(crate) shards: Vec<String>,
}

impl Spool {
    /// Returns the placement of a group in the ring whose URL, now or before a change, `is_ring` accepts. Blocks.
    pub(crate) fn placement(
        &self,
        key: &GroupingKey,
        is_ring: impl Fn(&str) -> bool,
    ) -> Option<Placement> {
        let folder = self.state_dir.existing_folder(FOLDER)?;
        self.read_placements(&folder, key).into_iter().find(|placement| is_ring(&placement.ring))
    }

    /// Stores the placement of a group in place of the one that `is_ring` accepts. Blocks.
    pub(crate) fn store_placement(
        &self,
        key: &GroupingKey,
        placement: &Placement,
        is_ring: impl Fn(&str) -> bool,
    ) {
        let Some(folder) = self.state_dir.folder(FOLDER) else { return };
        let mut placements = self.read_placements(&folder, key);
        placements.retain(|stored| !is_ring(&stored.ring));
        placements.insert(0, placement.clone());
        placements.truncate(MAX_RINGS);
        let name = file_name(key);
        if folder.entry(&name).is_none() {
            self.shared.placement_room.make_room(&self.disk, &folder, MAX_PLACEMENTS, EXTENSION);
        }
        if let Err(error) = self.disk.replace(&folder, &name, encode(&placements).as_bytes()) {
            log::debug(format_args!("cannot store the shard of {key}: {error}"));
        }
    }

    fn read_placements(&self, folder: &Folder, key: &GroupingKey) -> Vec<Placement> {
        let bytes = self.disk.read(folder, &file_name(key), MAX_FILE_SIZE).ok().flatten();
        bytes.and_then(|bytes| decode(&bytes)).unwrap_or_default()
    }
}

fn file_name(key: &GroupingKey) -> String {
    format!("{:032x}.{EXTENSION}", checksum_of(&[key.url_path().as_bytes()]))
}

fn encode(placements: &[Placement]) -> String {
    let line = |placement: &Placement| {
        let words = [&placement.ring].into_iter().chain(&placement.shards);
        words.map(String::as_str).collect::<Vec<_>>().join(" ") + "\n"
    };
    format!("{VERSION}\n{}", placements.iter().map(line).collect::<String>())
}

/// Returns `None` if the file is corrupt or of another version.
fn decode(bytes: &[u8]) -> Option<Vec<Placement>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let lines = text.strip_prefix(VERSION)?.strip_prefix('\n')?.strip_suffix('\n')?;
    let placement = |line: &str| {
        let mut words = line.split(' ').map(ToOwned::to_owned);
        Some(Placement { ring: words.next()?, shards: words.collect() })
    };
    lines.split('\n').map(placement).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::TempStateDir;
    use super::*;

    fn placement(ring: &str, shards: &[&str]) -> Placement {
        let shards = shards.iter().map(|shard| (*shard).to_owned()).collect();
        Placement { ring: ring.to_owned(), shards }
    }

    fn key(name: &str) -> GroupingKey {
        GroupingKey::new(name).unwrap()
    }

    #[test]
    fn placement_is_visible_to_other_processes() {
        let state = TempStateDir::new();
        let stored = placement("shards+http://a;b", &["http://a", "http://b"]);
        assert_eq!(state.spool_for("here").placement(&key("x"), |_| true), None);
        state.spool_for("here").store_placement(&key("x"), &stored, |_| true);
        assert_eq!(state.spool_for("here").placement(&key("x"), |_| true), Some(stored));
        assert_eq!(state.spool_for("here").placement(&key("y"), |_| true), None);
    }

    #[test]
    fn placement_replaces_only_that_of_the_same_ring() {
        let state = TempStateDir::new();
        let spool = state.spool_for("here");
        let (one, other) = (placement("one", &["http://a"]), placement("other", &["http://b"]));
        let is = |name: &'static str| move |ring: &str| ring.starts_with(name);
        spool.store_placement(&key("x"), &one, is("one"));
        spool.store_placement(&key("x"), &other, is("other"));
        let changed = placement("one_changed", &["http://c"]);
        spool.store_placement(&key("x"), &changed, is("one"));
        assert_eq!(spool.placement(&key("x"), is("one")), Some(changed));
        assert_eq!(spool.placement(&key("x"), is("other")), Some(other));
        for number in 0..2 * MAX_RINGS {
            spool.store_placement(&key("x"), &placement(&number.to_string(), &[]), |_| false);
        }
        assert_eq!(spool.placement(&key("x"), is("other")), None, "the number is limited");
    }

    #[test]
    fn truncated_placement_is_ignored() {
        let whole = encode(&[placement("one", &["http://a"]), placement("other", &["http://b"])]);
        assert_eq!(decode(whole.as_bytes()).map(|found| found.len()), Some(2));
        for length in 0..whole.len() {
            let found = decode(&whole.as_bytes()[..length]).unwrap_or_default();
            assert!(found.len() <= 1 && found.iter().all(|it| it.ring == "one"), "{length}");
        }
    }

    #[test]
    fn number_of_placements_is_limited() {
        let state = TempStateDir::new();
        let spool = state.spool_for("here");
        for number in 0..MAX_PLACEMENTS + 10 {
            let key = key(&format!("job_{number}"));
            spool.store_placement(&key, &placement("one", &["http://a"]), |_| true);
        }
        let number = std::fs::read_dir(state.0.join(FOLDER)).unwrap().count();
        assert!(number <= MAX_PLACEMENTS && number > MAX_PLACEMENTS / 2, "{number}");
        assert!(spool.placement(&key(&format!("job_{}", MAX_PLACEMENTS + 9)), |_| true).is_some());
    }
}
