//! `SentSeries`: the series of a group that a sink has, so that a later process can end those that it does not send.
//!
//! There is one file per sink and group. It also names the processes that send the group. While several of them are alive,
//! no series ends, because one process may send series that another does not send. Until a process is in the file, other
//! processes may end its series, so its samples are newer than the time at which it was added. If a file is lost, its series do
//! not end, which is harmless. So files are written without a sync, and corrupt files are ignored. Their number and size are
//! limited.
//!
//! ```text
//! metrics-push series 1 <checksum of what follows, 16 hex digits>
//! remote-write+http://prometheus:9090/api/v1/write
//! /metrics/job/import
//! process 01763806500250000000-4711
//! rows{job="import"} NaN
//! ```

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Spool;
use crate::checksum::{checksum_of, fast_checksum_of};
use crate::clock::Moment;
use crate::labels::GroupingKey;
use crate::log;
use crate::push_request::Verb;
use crate::state_dir::{Folder, Presence};

/// The folder in the state directory.
const FOLDER: &str = "series";
const EXTENSION: &str = "series";
const VERSION: &str = "metrics-push series 1 ";
const PROCESS: &str = "process ";

/// A larger file counts as absent. Enough for about ten thousand series.
const MAX_FILE_SIZE: usize = 1024 * 1024;
/// The oldest files are removed first.
const MAX_FILES: usize = 4_096;
/// A process holds the lock only for a few file operations.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// The content of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct SentSeries {
    /// The processes that send the group. Some of them may be dead.
    processes: BTreeSet<String>,
    /// One line for each series.
    series: BTreeSet<String>,
}

/// The record of a group before a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct SentBefore {
    /// The series of the group. The set is empty while another process sends the group as well. `None` if a file operation
    /// has failed.
    pub(crate) series: Option<BTreeSet<String>>,
    /// When this process was added to the record; `None` if the record had it before.
    pub(crate) joined_at: Option<Moment>,
}

/// Which process created a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestOrigin {
    ThisProcess,
    /// An earlier one, which has spooled the request.
    EarlierProcess,
}

impl Spool {
    /// Returns the series of a group that the sink has, and records that this process sends the group. Returns `None` if this
    /// process has never been able to use the state directory. Blocks.
    pub(crate) fn sent_series(
        &self,
        key: &GroupingKey,
        origin: RequestOrigin,
    ) -> Option<SentBefore> {
        let mut before = SentBefore::default();
        let is_recorded = self.update_sent(key, |sent, others, presence| {
            let is_shared = !others.is_empty();
            before.series = Some(if is_shared { BTreeSet::new() } else { sent.series.clone() });
            if origin == RequestOrigin::ThisProcess {
                let is_new = !sent.processes.contains(presence.name());
                before.joined_at = is_new.then(Moment::now);
                sent.processes = others;
                sent.processes.insert(presence.name().to_owned());
            }
        })?;
        Some(if is_recorded { before } else { SentBefore::default() })
    }

    /// Stores the series of a group that the sink has after a request with this verb. Blocks.
    pub(crate) fn store_sent_series(
        &self,
        key: &GroupingKey,
        verb: Verb,
        series: BTreeSet<String>,
    ) {
        self.update_sent(key, |sent, others, _| {
            if verb == Verb::Add || !others.is_empty() {
                // Earlier series stay, as do those of the other processes.
                sent.series.extend(series);
            } else if series.is_empty() {
                *sent = SentSeries::default();
            } else {
                sent.series = series;
            }
        });
    }

    /// Changes the record of a group. `change` gets the other processes that are alive. Returns false if an operation fails,
    /// and `None` if this process has never been able to use the state directory.
    fn update_sent(
        &self,
        key: &GroupingKey,
        change: impl FnOnce(&mut SentSeries, BTreeSet<String>, &Presence),
    ) -> Option<bool> {
        let Some(folder) = self.state_dir.folder(FOLDER) else {
            // If the folder could be opened before, other processes may use it, too.
            return self.state_dir.has_opened(FOLDER).then_some(false);
        };
        let updated = self.try_update_sent(&folder, key, change);
        if let Err(error) = &updated {
            log::debug(format_args!("cannot store the series of {key}: {error}"));
        }
        Some(updated.is_ok())
    }

    fn try_update_sent(
        &self,
        folder: &Arc<Folder>,
        key: &GroupingKey,
        change: impl FnOnce(&mut SentSeries, BTreeSet<String>, &Presence),
    ) -> io::Result<()> {
        let presence = self.state_dir.presence()?;
        let name = self.sent_file_name(key);
        let _lock = self.disk.lock(folder, LOCK_TIMEOUT)?;
        let found = self.read_sent(folder, key)?;
        let mut sent = found.clone().unwrap_or_default();
        let is_alive = |process: &&String| presence.is_other_alive(process);
        let others = sent.processes.iter().filter(is_alive).cloned().collect();
        change(&mut sent, others, &presence);
        match found {
            Some(found) if found == sent => Ok(()),
            _ if sent == SentSeries::default() => self.disk.remove(folder, &name),
            Some(_) => self.write_sent(folder, key, &sent),
            None => {
                self.shared.series_room.make_room(&self.disk, folder, MAX_FILES, EXTENSION);
                self.write_sent(folder, key, &sent)
            }
        }
    }

    fn write_sent(
        &self,
        folder: &Arc<Folder>,
        key: &GroupingKey,
        sent: &SentSeries,
    ) -> io::Result<()> {
        let text = sent.encode(&self.server, key);
        self.disk.replace(folder, &self.sent_file_name(key), text.as_bytes())
    }

    /// Reads the record of a group; `None` if there is none, or if it is corrupt.
    fn read_sent(&self, folder: &Folder, key: &GroupingKey) -> io::Result<Option<SentSeries>> {
        match self.disk.read(folder, &self.sent_file_name(key), MAX_FILE_SIZE as u64) {
            // It is too large, or not a regular file.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            read => Ok(read?.and_then(|bytes| SentSeries::decode(&bytes, &self.server, key))),
        }
    }

    fn sent_file_name(&self, key: &GroupingKey) -> String {
        let path = key.url_path();
        let checksum = checksum_of(&[self.server.as_bytes(), b"\n", path.as_bytes()]);
        format!("{checksum:032x}.{EXTENSION}")
    }
}

impl SentSeries {
    /// Returns the text of a file, without the series if it would be too large.
    fn encode(&self, sink: &str, key: &GroupingKey) -> String {
        let content = self.content(sink, key);
        let text = format!("{VERSION}{:016x}\n{content}", fast_checksum_of(content.as_bytes()));
        if text.len() <= MAX_FILE_SIZE || self.series.is_empty() {
            return text;
        }
        log::debug(format_args!(
            "the list of the series of {key} is larger than {MAX_FILE_SIZE} bytes, so it is not stored, and these series \
             do not end; export fewer series"
        ));
        let processes = self.processes.clone();
        Self { processes, series: BTreeSet::new() }.encode(sink, key)
    }

    fn content(&self, sink: &str, key: &GroupingKey) -> String {
        let processes = self.processes.iter().map(|name| format!("{PROCESS}{name}\n"));
        let series = self.series.iter().map(|line| format!("{line}\n"));
        let lines: String = processes.chain(series).collect();
        format!("{sink}\n{}\n{lines}", key.url_path())
    }

    /// Returns `None` if the file is corrupt, of another version, or of another sink or group.
    fn decode(bytes: &[u8], sink: &str, key: &GroupingKey) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (checksum, content) = text.strip_prefix(VERSION)?.split_once('\n')?;
        if checksum != format!("{:016x}", fast_checksum_of(content.as_bytes())) {
            return None;
        }
        let lines = content.strip_prefix(sink)?.strip_prefix('\n')?;
        let lines = lines.strip_prefix(&key.url_path())?.strip_prefix('\n')?;
        let mut sent = Self::default();
        for line in lines.lines() {
            match line.strip_prefix(PROCESS) {
                Some(process) => sent.processes.insert(process.to_owned()),
                None => sent.series.insert(line.to_owned()),
            };
        }
        Some(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::TempStateDir;
    use super::*;

    const SINK: &str = "remote-write+http://receiver/api/v1/write";

    fn key(job: &str) -> GroupingKey {
        GroupingKey::new(job).unwrap()
    }

    fn series(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| format!("{name}{{job=\"x\"}} NaN")).collect()
    }

    /// A spool whose group `x` has these series.
    fn spool(state: &TempStateDir, names: &[&str]) -> Spool {
        let spool = state.spool_for(SINK);
        spool.store_sent_series(&key("x"), Verb::Push, series(names));
        spool
    }

    fn before(spool: &Spool, job: &str, origin: RequestOrigin) -> SentBefore {
        spool.sent_series(&key(job), origin).unwrap()
    }

    fn sent(spool: &Spool, job: &str) -> BTreeSet<String> {
        before(spool, job, RequestOrigin::ThisProcess).series.unwrap()
    }

    fn path(state: &TempStateDir, spool: &Spool) -> std::path::PathBuf {
        state.0.join(FOLDER).join(spool.sent_file_name(&key("x")))
    }

    /// Adds a process to the record of the group `x`. Returns its file.
    fn add_process(state: &TempStateDir, spool: &Spool, name: &str) -> std::fs::File {
        let file = std::fs::File::create(state.0.join("processes").join(name)).unwrap();
        spool.update_sent(&key("x"), |sent, _, _| {
            sent.processes.insert(name.to_owned());
        });
        file
    }

    #[test]
    fn series_are_those_of_the_sink_and_group() {
        let state = TempStateDir::new();
        let spool = spool(&state, &["a", "b"]);
        assert_eq!(sent(&spool, "x"), series(&["a", "b"]));
        assert_eq!(sent(&spool, "y"), series(&[]));
        assert_eq!(sent(&state.spool_for("remote-write+http://other/"), "x"), series(&[]));
    }

    #[test]
    fn series_of_a_group_that_another_process_sends_are_not_returned() {
        let state = TempStateDir::new();
        let spool = spool(&state, &["a"]);
        let process = add_process(&state, &spool, "0-1");
        process.lock().unwrap();
        assert_eq!(sent(&spool, "x"), series(&[]));
        spool.store_sent_series(&key("x"), Verb::Push, series(&["b"]));
        drop(process);
        assert_eq!(sent(&spool, "x"), series(&["a", "b"]), "the process is dead");
        spool.store_sent_series(&key("x"), Verb::Push, series(&["b"]));
        assert_eq!(sent(&spool, "x"), series(&["b"]));
    }

    #[test]
    fn add_ends_no_series() {
        let state = TempStateDir::new();
        let spool = spool(&state, &["a"]);
        spool.store_sent_series(&key("x"), Verb::Add, series(&["b"]));
        assert_eq!(sent(&spool, "x"), series(&["a", "b"]));
    }

    #[test]
    fn only_the_process_that_made_a_request_is_recorded() {
        let state = TempStateDir::new();
        let spool = spool(&state, &["a"]);
        let processes =
            || spool.read_sent(&state_folder(&state), &key("x")).unwrap().unwrap().processes;
        let earlier = before(&spool, "x", RequestOrigin::EarlierProcess);
        assert_eq!(earlier.series, Some(series(&["a"])));
        assert!(processes().is_empty() && earlier.joined_at.is_none());
        sent(&spool, "x");
        assert_eq!(processes().len(), 1);
    }

    #[test]
    fn process_joins_a_group_with_its_first_request() {
        let state = TempStateDir::new();
        let spool = spool(&state, &["a"]);
        let started_at = Moment::now();
        let joins = || before(&spool, "x", RequestOrigin::ThisProcess).joined_at;
        assert!(joins().is_some_and(|joined_at| joined_at.is_at_or_after(started_at)));
        assert!(joins().is_none());
        // A delete removes the record.
        spool.store_sent_series(&key("x"), Verb::Delete, BTreeSet::new());
        assert!(joins().is_some());
    }

    fn state_folder(state: &TempStateDir) -> Arc<Folder> {
        Folder::open(&state.0.join(FOLDER)).unwrap()
    }

    #[test]
    fn file_without_series_is_removed() {
        let state = TempStateDir::new();
        let spool = spool(&state, &["a"]);
        assert!(path(&state, &spool).exists());
        spool.store_sent_series(&key("x"), Verb::Push, BTreeSet::new());
        assert!(!path(&state, &spool).exists());
    }

    #[test]
    fn corrupt_or_foreign_file_counts_as_absent() {
        let state = TempStateDir::new();
        let spool = spool(&state, &["a"]);
        let path = path(&state, &spool);
        let whole = std::fs::read(&path).unwrap();
        let text = String::from_utf8(whole.clone()).unwrap();
        let mut corrupt: Vec<_> = (0..whole.len()).map(|len| whole[..len].to_vec()).collect();
        corrupt.extend(
            [text.replace("series 1", "series 2"), text.replace("a{", "b{")].map(Vec::from),
        );
        corrupt.extend([vec![b'a'; MAX_FILE_SIZE + 1], vec![0xff; 9]]);
        for bytes in corrupt {
            std::fs::write(&path, &bytes).unwrap();
            let found = before(&spool, "x", RequestOrigin::EarlierProcess).series;
            assert_eq!(found, Some(series(&[])));
        }
        assert_eq!(SentSeries::decode(&whole, "another sink", &key("x")), None);
        assert_eq!(SentSeries::decode(&whole, SINK, &key("y")), None);
    }

    #[test]
    fn too_many_series_are_not_stored() {
        let state = TempStateDir::new();
        let spool = spool(&state, &["a"]);
        let names: Vec<_> = (0..MAX_FILE_SIZE / 16).map(|number| format!("a_{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        sent(&spool, "x");
        spool.store_sent_series(&key("x"), Verb::Push, series(&names));
        let found = spool.read_sent(&state_folder(&state), &key("x")).unwrap().unwrap();
        assert_eq!((found.processes.len(), found.series.len()), (1, 0));
    }

    #[test]
    fn number_of_files_is_limited() {
        let state = TempStateDir::new();
        let spool = state.spool_for(SINK);
        for number in 0..MAX_FILES + 10 {
            spool.store_sent_series(&key(&number.to_string()), Verb::Push, series(&["a"]));
        }
        let number = std::fs::read_dir(state.0.join(FOLDER)).unwrap().count();
        assert!(number <= MAX_FILES && number > MAX_FILES / 2, "{number}");
        assert_eq!(sent(&spool, &(MAX_FILES + 9).to_string()), series(&["a"]));
    }

    #[test]
    fn series_are_unknown_if_the_folder_becomes_unusable() {
        let state = TempStateDir::new();
        let spool = spool(&state, &["a"]);
        let folder = state.0.join(FOLDER);
        std::fs::rename(&folder, state.0.join("moved")).unwrap();
        std::fs::write(&folder, "").unwrap();
        assert_eq!(before(&spool, "x", RequestOrigin::ThisProcess).series, None);
        let never_opened = state.spool_for(SINK);
        assert!(never_opened.sent_series(&key("x"), RequestOrigin::ThisProcess).is_none());
    }

    #[test]
    fn series_are_unknown_if_the_disk_fails() {
        // The operations are a lock, a read, three steps of a write, and a rename.
        for successes in 0..6 {
            let state = TempStateDir::new();
            let mut spool = spool(&state, &["a"]);
            spool.disk.failpoint = Some(Arc::new(std::sync::atomic::AtomicI64::new(successes)));
            let failed = before(&spool, "x", RequestOrigin::ThisProcess);
            assert!(failed.series.is_none() && failed.joined_at.is_none(), "{successes}");
            spool.disk.failpoint = None;
            assert_eq!(sent(&spool, "x"), series(&["a"]), "{successes}");
        }
    }
}
