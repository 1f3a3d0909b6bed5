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

pub(super) mod line;
mod reconcile;
pub(crate) mod recovery;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::spec::Durability;
use crate::clock::Moment;
use crate::log;
use crate::sync::Mutex;
use line::{Finished, Header, Line, Started};
use recovery::{JOURNAL_EXTENSION, boot_id};

/// The size at which a journal is rewritten with its active runs only. Rewriting a smaller one costs more than it saves.
const MAX_FILE_SIZE: u64 = 256 * 1024;

/// The number of runs in a journal. Further ones are not recorded.
const MAX_RUNS: usize = 4096;

/// The journal of this process in one folder.
pub(super) struct Journal {
    folder: PathBuf,
    supervisor: Option<String>,
    state: Mutex<JournalState>,
}

#[derive(Default)]
struct JournalState {
    file: Option<LockedFile>,
    runs: BTreeMap<u64, (Started, Option<Finished>)>,
    next_id: u64,
    /// The highest durability of the runs so far.
    durability: Durability,
    is_broken: bool,
}

struct LockedFile {
    file: File,
    path: PathBuf,
    size: u64,
}

/// The lines of one run in the journal.
pub(super) struct JournalEntry {
    journal: Arc<Journal>,
    id: u64,
    durability: Durability,
}

/// The journals of this process by folder, usually one.
static JOURNALS: Mutex<BTreeMap<PathBuf, Arc<Journal>>> = Mutex::new(BTreeMap::new());

impl Journal {
    /// Returns the journal of this process in a folder.
    pub(super) fn in_folder(folder: &Path, supervisor: Option<&str>) -> Arc<Self> {
        let mut journals = JOURNALS.lock();
        let journal = journals.entry(folder.to_owned()).or_insert_with(|| {
            let supervisor = supervisor.map(str::to_owned);
            Arc::new(Self { folder: folder.to_owned(), supervisor, state: Mutex::default() })
        });
        Arc::clone(journal)
    }

    /// Records the start of a run. The first write error is logged, and the journal is not used again.
    pub(super) fn record_start(
        self: &Arc<Self>,
        run: Started,
        durability: Durability,
    ) -> Option<JournalEntry> {
        let mut state = self.state.lock();
        if state.is_broken || state.runs.len() >= MAX_RUNS {
            return None;
        }
        let id = state.next_id;
        state.durability = state.durability.max(durability);
        let line = Line::Started(id, run.clone());
        if let Err(error) = self.append(&mut state, &line, durability) {
            state.is_broken = true;
            log::warn(format_args!(
                "cannot write the journal in {}: {error}; if this process dies without a report, its runs are not \
                 reported later",
                self.folder.display()
            ));
            return None;
        }
        state.next_id += 1;
        state.runs.insert(id, (run, None));
        Some(JournalEntry { journal: Arc::clone(self), id, durability })
    }

    /// Appends a line. The first one creates the file.
    fn append(
        &self,
        state: &mut JournalState,
        line: &Line,
        durability: Durability,
    ) -> io::Result<()> {
        match &mut state.file {
            Some(file) => file.append(&line.to_text(), durability),
            None => {
                // Journals that are sorted by name are sorted by age.
                let name = format!("{:020}-{}", Moment::now().unix_nanos(), std::process::id());
                let path = self.folder.join(name).with_extension(JOURNAL_EXTENSION);
                state.file = Some(self.create(path, &line.to_text(), durability)?);
                Ok(())
            }
        }
    }

    /// Creates a file that is locked and has these lines before it gets its name.
    fn create(&self, path: PathBuf, lines: &str, durability: Durability) -> io::Result<LockedFile> {
        let temporary = path.with_extension("new");
        let header = Header {
            process: std::process::id(),
            boot: boot_id(),
            supervisor: self.supervisor.clone(),
        };
        let created = (|| {
            let file = OpenOptions::new().append(true).create_new(true).open(&temporary)?;
            file.try_lock()?;
            let mut locked = LockedFile { file, path: path.clone(), size: 0 };
            locked.append(&(Line::Header(header).to_text() + lines), durability)?;
            fs::rename(&temporary, &path)?;
            if durability == Durability::Machine {
                sync_folder(&self.folder)?;
            }
            Ok(locked)
        })();
        if created.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        created
    }

    /// Removes the file if no run is active, and rewrites it if it is too large.
    fn compact(&self, state: &mut JournalState) {
        let Some(file) = &state.file else { return };
        if state.runs.is_empty() {
            // Removed while it is locked, so that no process takes it for that of a dead one.
            let _ = fs::remove_file(&file.path);
            state.file = None;
        } else if file.size > MAX_FILE_SIZE {
            let lines: String = state
                .runs
                .iter()
                .map(|(id, (run, finished))| lines_of(*id, run, finished))
                .collect();
            // If the rewrite fails, the large file stays in use.
            if let Ok(compacted) = self.create(file.path.clone(), &lines, state.durability) {
                state.file = Some(compacted);
            }
        }
    }
}

impl LockedFile {
    /// Appends lines with one write, so that a line is either complete or missing.
    fn append(&mut self, lines: &str, durability: Durability) -> io::Result<()> {
        self.file.write_all(lines.as_bytes())?;
        self.size += lines.len() as u64;
        match durability {
            Durability::Process => Ok(()),
            Durability::Machine => self.file.sync_data(),
        }
    }
}

impl JournalEntry {
    pub(super) fn folder(&self) -> &Path {
        &self.journal.folder
    }

    /// Returns the number of the run in the journal.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Records how the run ended, before the completion is submitted. A write error is ignored: the completion is submitted
    /// anyway.
    pub(super) fn record_finished(&self, finished: Finished) {
        let mut state = self.journal.state.lock();
        if let Some((_, current)) = state.runs.get_mut(&self.id) {
            *current = Some(finished.clone());
        }
        let line = Line::Finished(self.id, finished);
        let _ = self.journal.append(&mut state, &line, self.durability);
    }

    /// Records that the completion is delivered or spooled.
    pub(super) fn acknowledge(&self) {
        let mut state = self.journal.state.lock();
        state.runs.remove(&self.id);
        if !state.runs.is_empty() {
            // If this line cannot be written, a later process may deliver the completion a second time.
            let line = Line::Acknowledged(self.id);
            let _ = self.journal.append(&mut state, &line, Durability::Process);
        }
        self.journal.compact(&mut state);
    }
}

fn lines_of(id: u64, run: &Started, finished: &Option<Finished>) -> String {
    let mut lines = Line::Started(id, run.clone()).to_text();
    if let Some(finished) = finished {
        lines.push_str(&Line::Finished(id, finished.clone()).to_text());
    }
    lines
}

/// Syncs a folder and its parent to the disk, so that a new file and a new folder are found after a power loss.
fn sync_folder(folder: &Path) -> io::Result<()> {
    for folder in folder.ancestors().take(2) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::line::{JournalContents, parse};
    use super::*;
    use crate::job::outcome::Outcome;
    use crate::job::run_metrics::Expectations;
    use crate::job::spec::{Extent, JobSpec};
    use crate::labels::GroupingKey;

    /// A folder that is removed when the test ends.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("metrics-push-journal-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn journals(&self) -> Vec<PathBuf> {
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect()
        }

        fn contents(&self) -> JournalContents {
            parse(&fs::read_to_string(&self.journals()[0]).unwrap()).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn run(name: &str) -> Started {
        Started {
            key: GroupingKey::new(name).unwrap(),
            sinks: vec!["http://gateway:9091".into()],
            at: 1.0,
            extent: Extent::Task,
            expected: Expectations::from(&JobSpec::new(Cow::Borrowed("any"))),
        }
    }

    #[test]
    fn journal_of_a_busy_scheduler_stays_small() {
        let folder = Folder::new("busy");
        let journal = Journal::in_folder(&folder.0, None);
        let long = journal.record_start(run("long"), Durability::Process).unwrap();
        let finished = journal.record_start(run("finished"), Durability::Process).unwrap();
        let cause = Outcome::Error.into();
        finished.record_finished(Finished { cause, at: 2.0, duration: None });
        for _ in 0..4_000 {
            journal.record_start(run("short"), Durability::Process).unwrap().acknowledge();
        }
        let path = folder.journals().remove(0);
        assert!(fs::metadata(&path).unwrap().len() < MAX_FILE_SIZE + 1_000);
        let runs = folder.contents().runs;
        let names: Vec<_> = runs.iter().map(|run| run.started.key.job()).collect();
        assert_eq!(names, ["long", "finished"]);
        assert_eq!(runs[1].finished.as_ref().unwrap().cause, cause);
        assert!(File::open(&path).unwrap().try_lock().is_err(), "the new file is locked as well");
        long.acknowledge();
        finished.acknowledge();
        assert_eq!(folder.journals(), Vec::<PathBuf>::new());
    }

    #[test]
    fn unwritable_journal_is_not_used_again() {
        let folder = Folder::new("gone");
        let journal = Journal::in_folder(&folder.0.join("not there"), None);
        assert!(journal.record_start(run("any"), Durability::Process).is_none());
        assert!(journal.state.lock().is_broken);
        assert!(journal.record_start(run("any"), Durability::Process).is_none());
    }
}
