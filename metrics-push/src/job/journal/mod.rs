//! `Journal`: the active runs of a process, on disk. If the process dies, a later process reports them.
//!
//! Each process has one file in the state directory and holds a lock on it, which the kernel releases when the process
//! dies. Lines are only appended. If another process gets the lock, the owner is dead.
//!
//! ```text
//! metrics-push journal 1  process=4711  boot=…
//! started       id=0  at=1763806500.25  sink=http://gateway:9091  job=import  label=region=eu
//! finished      id=0  outcome=success  at=1763806512.5  duration=12.25
//! acknowledged  id=0
//! ```
//!
//! A new file gets its name after it is locked and has its first lines, so that other processes find only complete
//! journals. After a power loss, a journal has the lines that the file system had written, usually all except those of
//! the last seconds. With [`Job::durable_journal`](crate::Job::durable_journal), each start and completion is synced to
//! the disk.

mod abandoned_log;
mod boot_id;
mod dead_runs;
pub(super) mod ended_runs;
pub(super) mod file_names;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod invalid_files;
pub(super) mod line;
pub(super) mod orphaned_journal;
pub(crate) mod orphaned_run;
mod reconcile;
pub(crate) mod recovery;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::spec::Durability;
use crate::clock::Moment;
use crate::file_size::write_within_limit;
use crate::log;
use crate::state_dir::{Folder, claim_disk_warning};
use crate::sync::Mutex;
use boot_id::boot_id;
use file_names::{JOURNAL_EXTENSION, TEMP_EXTENSION};
use line::{Finished, Header, Line, Started};

/// A smaller journal is not rewritten, because that costs more than it saves.
const MIN_REWRITTEN_SIZE: usize = 256 * 1024;

/// The maximum size of the lines of all active runs. Further runs are not recorded. Enough for about 100,000 runs.
const MAX_LIVE_SIZE: usize = 32 * 1024 * 1024;

/// The time after a failed write before the next one. It limits what a full disk costs.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The journal of this process in one folder.
pub(super) struct Journal {
    folder: Arc<Folder>,
    supervisor: Option<String>,
    state: Mutex<JournalState>,
}

#[derive(Default)]
struct JournalState {
    file: Option<LockedFile>,
    /// The lines of each active run.
    runs: BTreeMap<u64, String>,
    /// The size of these lines.
    live_size: usize,
    next_id: u64,
    /// The highest durability of the runs so far.
    durability: Durability,
    /// Set after a failed write. The file may then end within a line and lack the lines of some runs.
    retry_at: Option<Moment>,
    has_warned: bool,
}

/// A file that this process has locked. Its size includes obsolete lines.
struct LockedFile {
    file: File,
    name: String,
    size: usize,
}

/// The lines of one run in the journal.
pub(super) struct JournalEntry {
    journal: Arc<Journal>,
    id: u64,
    durability: Durability,
}

/// The journals of this process, usually one.
static JOURNALS: Mutex<Vec<Arc<Journal>>> = Mutex::new(Vec::new());

impl Journal {
    /// Returns the journal of this process in a folder.
    pub(super) fn in_folder(folder: &Arc<Folder>, supervisor: Option<&str>) -> Arc<Self> {
        let mut journals = JOURNALS.lock();
        if let Some(journal) = journals.iter().find(|it| it.folder.id() == folder.id()) {
            return Arc::clone(journal);
        }
        let (folder, supervisor) = (Arc::clone(folder), supervisor.map(str::to_owned));
        let journal = Arc::new(Self { folder, supervisor, state: Mutex::default() });
        journals.push(Arc::clone(&journal));
        journal
    }

    /// Records the start of a run; `None` if the journal is full. A run whose lines cannot be written is recorded as soon
    /// as a later write succeeds.
    pub(super) fn record_start(
        self: &Arc<Self>,
        run: Started,
        durability: Durability,
    ) -> Option<JournalEntry> {
        let mut state = self.state.lock();
        let id = state.next_id;
        let line = Line::Started(id, run).to_text();
        if state.live_size + line.len() > MAX_LIVE_SIZE {
            let problem = format!("it has {} active runs", state.runs.len());
            self.warn(&mut state, &problem);
            return None;
        }
        state.next_id += 1;
        state.durability = state.durability.max(durability);
        self.append_live(&mut state, id, line, durability);
        Some(JournalEntry { journal: Arc::clone(self), id, durability })
    }

    /// Appends a line of an active run.
    fn append_live(&self, state: &mut JournalState, id: u64, line: String, durability: Durability) {
        state.live_size += line.len();
        state.runs.entry(id).or_default().push_str(&line);
        self.append(state, &line, durability);
    }

    /// Appends a line. The first one creates the file. After a failure, the next line rewrites the file.
    fn append(&self, state: &mut JournalState, line: &str, durability: Durability) {
        let written = match (&mut state.file, state.retry_at) {
            (_, Some(retry_at)) if !retry_at.remaining().is_zero() => return,
            (Some(file), None) => file.append(line, durability),
            _ => self.rewrite(state),
        };
        state.retry_at = written.as_ref().err().map(|_| Moment::now().after(RETRY_INTERVAL));
        if let Err(error) = written {
            self.warn(state, &error.to_string());
        }
    }

    /// Logs that runs are not recorded, once.
    fn warn(&self, state: &mut JournalState, problem: &str) {
        if !std::mem::replace(&mut state.has_warned, true) {
            let _ = claim_disk_warning();
            log::warn(format_args!(
                "cannot write the journal in {}: {problem}; if this process dies without a report, its runs are not \
                 reported later",
                self.folder.path().display()
            ));
        }
    }

    /// Writes a file with the active runs only, which replaces the current file.
    fn rewrite(&self, state: &mut JournalState) -> io::Result<()> {
        let name = match &state.file {
            Some(file) => file.name.clone(),
            // Journals that are sorted by name are sorted by age.
            None => {
                let nanos = Moment::now().unix_nanos();
                format!("{nanos:020}-{}.{JOURNAL_EXTENSION}", std::process::id())
            }
        };
        let header = Header {
            process: std::process::id(),
            boot: boot_id(),
            supervisor: self.supervisor.clone(),
        };
        let mut lines = Line::Header(header).to_text();
        lines.reserve(state.live_size);
        state.runs.values().for_each(|run| lines.push_str(run));
        state.file = Some(self.create(name, &lines, state.durability)?);
        Ok(())
    }

    /// Creates a file that is locked and has these lines before it gets its name.
    fn create(&self, name: String, lines: &str, durability: Durability) -> io::Result<LockedFile> {
        let stem = name.strip_suffix(JOURNAL_EXTENSION).unwrap_or(&name);
        let temporary = format!("{stem}{TEMP_EXTENSION}");
        let file = self.folder.create_file(&temporary)?;
        let created = (|| {
            file.try_lock()?;
            let mut locked = LockedFile { file, name, size: 0 };
            locked.append(lines, durability)?;
            self.folder.rename(&temporary, &locked.name)?;
            if durability == Durability::Machine {
                self.folder.sync()?;
            }
            Ok(locked)
        })();
        if created.is_err() {
            let _ = self.folder.remove(&temporary);
        }
        created
    }

    /// Removes the file if no run is active, and rewrites it if at least half of it is obsolete.
    fn compact(&self, state: &mut JournalState) {
        let Some(file) = &mut state.file else { return };
        if state.runs.is_empty() {
            // Removed while it is locked, so that no process takes it for that of a dead one.
            let _ = self.folder.remove(&file.name);
            (state.file, state.retry_at) = (None, None);
        } else if file.size >= MIN_REWRITTEN_SIZE.max(2 * state.live_size) {
            // If the rewrite fails, the large file stays in use until it has grown as much again.
            file.size = state.live_size;
            let _ = self.rewrite(state);
        }
    }
}

impl LockedFile {
    /// Appends lines with one write, so that a line is either complete or missing.
    fn append(&mut self, lines: &str, durability: Durability) -> io::Result<()> {
        write_within_limit(&self.file, lines.as_bytes())?;
        self.size += lines.len();
        match durability {
            Durability::Process => Ok(()),
            Durability::Machine => self.file.sync_data(),
        }
    }
}

impl JournalEntry {
    pub(super) fn folder(&self) -> &Arc<Folder> {
        &self.journal.folder
    }

    /// Records how the run ended, before the completion is submitted. A write error does not matter, because the completion
    /// is submitted anyway.
    pub(super) fn record_finished(&self, finished: Finished) {
        let mut state = self.journal.state.lock();
        let line = Line::Finished(self.id, finished).to_text();
        self.journal.append_live(&mut state, self.id, line, self.durability);
    }

    /// Records that the completion is delivered or spooled.
    pub(super) fn acknowledge(&self) {
        let mut state = self.journal.state.lock();
        let Some(lines) = state.runs.remove(&self.id) else { return };
        state.live_size -= lines.len();
        if !state.runs.is_empty() {
            // If this line cannot be written, a later process may deliver the completion a second time.
            let line = Line::Acknowledged(self.id).to_text();
            self.journal.append(&mut state, &line, Durability::Process);
        }
        self.journal.compact(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::fs;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::line::{JournalContents, parse};
    use super::*;
    use crate::job::run_metrics::Expectations;
    use crate::job::spec::{Extent, JobSpec};
    use crate::labels::GroupingKey;
    use crate::outcome::Outcome;

    /// A folder that is removed when the test ends.
    struct TempFolder(PathBuf);

    impl TempFolder {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("metrics-push-journal-{}-{number}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn journal(&self) -> Arc<Journal> {
            Journal::in_folder(&Folder::open_or_create(&self.0).unwrap(), None)
        }

        fn journals(&self) -> Vec<PathBuf> {
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect()
        }

        fn contents(&self) -> JournalContents {
            parse(&fs::read_to_string(&self.journals()[0]).unwrap()).unwrap()
        }

        /// The jobs of the runs in the journal.
        fn jobs(&self) -> Vec<String> {
            let runs = self.contents().runs;
            runs.iter().map(|run| run.started.key.job().to_owned()).collect()
        }
    }

    impl Drop for TempFolder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn run(name: &str) -> Started {
        Started {
            run: String::new(),
            key: GroupingKey::new(name).unwrap(),
            sinks: vec!["http://gateway:9091".into()],
            at: 1.0,
            extent: Extent::Task,
            expected: Expectations::from(&JobSpec::new(Cow::Borrowed("any"))),
        }
    }

    fn start(journal: &Arc<Journal>, name: &str) -> JournalEntry {
        journal.record_start(run(name), Durability::Process).unwrap()
    }

    fn finished(outcome: Outcome) -> Finished {
        Finished::new(outcome.into(), 2.0, None)
    }

    #[test]
    fn journal_of_a_busy_scheduler_stays_small() {
        let folder = TempFolder::new();
        let journal = folder.journal();
        let long = start(&journal, "long");
        let other = start(&journal, "finished");
        other.record_finished(finished(Outcome::Error));
        for _ in 0..4_000 {
            start(&journal, "short").acknowledge();
        }
        let path = folder.journals().remove(0);
        assert!(fs::metadata(&path).unwrap().len() < MIN_REWRITTEN_SIZE as u64 + 1_000);
        assert_eq!(folder.jobs(), ["long", "finished"]);
        let cause = folder.contents().runs[1].finished.as_ref().unwrap().cause;
        assert_eq!(cause, Outcome::Error.into());
        assert!(File::open(&path).unwrap().try_lock().is_err(), "the new file is locked as well");
        long.acknowledge();
        other.acknowledge();
        assert_eq!(folder.journals(), Vec::<PathBuf>::new());
    }

    /// The bytes that a process writes do not depend on the number of runs that are active at the same time.
    #[test]
    fn journal_is_rewritten_rarely_with_many_active_runs() {
        const RUNS: usize = 20_000;
        let folder = TempFolder::new();
        let journal = folder.journal();
        let entries: Vec<_> = (0..RUNS).map(|run| start(&journal, &run.to_string())).collect();
        let (mut rewrites, mut size) = (0, 0);
        for entry in &entries {
            entry.record_finished(finished(Outcome::Success));
            entry.acknowledge();
            let found = journal.state.lock().file.as_ref().map_or(0, |file| file.size);
            rewrites += usize::from(found < size);
            size = found;
        }
        assert!((1..30).contains(&rewrites), "{rewrites} rewrites");
        assert_eq!(folder.journals(), Vec::<PathBuf>::new());
    }

    #[test]
    fn journal_is_used_again_after_a_failed_write() {
        let folder = TempFolder::new();
        let journal = folder.journal();
        let before = start(&journal, "before");
        // A file that does not accept writes.
        let read_only = File::open(&folder.journals()[0]).unwrap();
        journal.state.lock().file.as_mut().unwrap().file = read_only;
        let failed = start(&journal, "failed");
        assert!(journal.state.lock().has_warned);
        let waiting = start(&journal, "waiting");
        assert_eq!(folder.jobs(), ["before"]);
        before.record_finished(finished(Outcome::Success));
        before.acknowledge();
        journal.state.lock().retry_at = Some(Moment::now());
        let after = start(&journal, "after");
        assert_eq!(folder.jobs(), ["failed", "waiting", "after"]);
        [failed, waiting, after].iter().for_each(JournalEntry::acknowledge);
        assert_eq!(folder.journals(), Vec::<PathBuf>::new());
    }

    #[test]
    fn journal_of_a_removed_folder_is_created_again() {
        let folder = TempFolder::new();
        let old = start(&folder.journal(), "old");
        fs::remove_dir_all(&folder.0).unwrap();
        let new = start(&folder.journal(), "new");
        assert_eq!(folder.jobs(), ["new"]);
        old.acknowledge();
        new.acknowledge();
        assert_eq!(folder.journals(), Vec::<PathBuf>::new());
    }
}
