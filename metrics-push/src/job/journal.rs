//! Journal: the runs that are open, on disk, so that those whose process died are reported by a later one.
//!
//! Each process has one file in the state directory, and a lock on it that the kernel releases when the process dies,
//! however it does. Lines are only ever appended: a run was opened, it ended, its end was delivered. Whoever gets the
//! lock of somebody else's file knows that its owner is dead.
//!
//! ```text
//! metrics-push journal 1  process=4711  boot=…
//! open   id=0  started=1763806500.25  sink=http://gateway:9091  job=import  label=region=eu
//! ended  id=0  outcome=success  at=1763806512.5  duration=12.25
//! done   id=0
//! ```
//!
//! A new file gets its name when its lock is held and its first line written, so nobody sees one without. What survives
//! a power loss is what the file system had written by then, usually all but the last seconds;
//! [`Job::durable_journal`](super::Job::durable_journal) waits for the disk.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::entry::{Ended, Entry, Head, Opened};
use crate::clock::Moment;
use crate::log;

/// The end of a journal's name.
pub(super) const EXTENSION: &str = "journal";

/// A journal longer than this is written anew, with what is still open. A short one costs less than that would.
const LONGEST: u64 = 256 * 1024;

/// How many runs may be open at once, or over and not delivered: further ones are not written down.
const MOST_OPEN: usize = 4096;

/// What a line survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Durability {
    /// The death of the process.
    #[default]
    Process,
    /// A power loss, too.
    Machine,
}

/// This process' journal in one folder.
pub(super) struct Journal {
    folder: PathBuf,
    supervisor: Option<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    file: Option<Locked>,
    open: BTreeMap<u64, (Opened, Option<Ended>)>,
    next_id: u64,
    /// What the most careful run so far has asked for.
    durability: Durability,
    is_broken: bool,
}

/// A file whose lock is held.
struct Locked {
    file: File,
    path: PathBuf,
    length: u64,
}

/// A run's place in the journal.
pub(super) struct Page {
    journal: Arc<Journal>,
    id: u64,
    durability: Durability,
}

/// The journals of this process, by their folders: usually one.
static OWN: Mutex<BTreeMap<PathBuf, Arc<Journal>>> = Mutex::new(BTreeMap::new());

impl Journal {
    /// The one in this folder.
    pub(super) fn of_folder(folder: &Path, supervisor: Option<&str>) -> Arc<Self> {
        let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
        let journal = own.entry(folder.to_owned()).or_insert_with(|| {
            let supervisor = supervisor.map(str::to_owned);
            Arc::new(Self { folder: folder.to_owned(), supervisor, state: Mutex::default() })
        });
        Arc::clone(journal)
    }

    /// Writes down that a run is open. A journal that can't be written costs one warning.
    pub(super) fn open(self: &Arc<Self>, run: Opened, durability: Durability) -> Option<Page> {
        let mut state = self.lock();
        if state.is_broken || state.open.len() >= MOST_OPEN {
            return None;
        }
        let id = state.next_id;
        state.durability = state.durability.max(durability);
        let entry = Entry::Opened(id, run.clone());
        if let Err(error) = self.append(&mut state, &entry, durability) {
            state.is_broken = true;
            log::warn(format_args!(
                "the journal in {} can't be written: {error}; runs that die unseen are not reported by later ones",
                self.folder.display()
            ));
            return None;
        }
        state.next_id += 1;
        state.open.insert(id, (run, None));
        Some(Page { journal: Arc::clone(self), id, durability })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line; the first one makes the file.
    fn append(&self, state: &mut State, entry: &Entry, durability: Durability) -> io::Result<()> {
        match &mut state.file {
            Some(locked) => locked.append(&entry.to_line(), durability),
            None => {
                // Sorted by name, journals are sorted by age.
                let name = format!("{:020}-{}", Moment::now().unix_nanos(), std::process::id());
                let path = self.folder.join(name).with_extension(EXTENSION);
                state.file = Some(self.create(path, &entry.to_line(), durability)?);
                Ok(())
            }
        }
    }

    /// Makes a file that is locked and has these lines when it gets its name.
    fn create(&self, path: PathBuf, lines: &str, durability: Durability) -> io::Result<Locked> {
        let hidden = path.with_extension("new");
        let head = Head {
            process: std::process::id(),
            boot: boot_id(),
            supervisor: self.supervisor.clone(),
        };
        let made = (|| {
            let file = OpenOptions::new().append(true).create_new(true).open(&hidden)?;
            file.try_lock()?;
            let mut locked = Locked { file, path: path.clone(), length: 0 };
            locked.append(&(Entry::Head(head).to_line() + lines), durability)?;
            fs::rename(&hidden, &path)?;
            if durability == Durability::Machine {
                sync_names(&self.folder)?;
            }
            Ok(locked)
        })();
        if made.is_err() {
            // Without a name of its own it is nothing yet.
            let _ = fs::remove_file(&hidden);
        }
        made
    }

    /// Keeps the file short: what is not open any more need not be in it, and without open runs it need not be.
    fn shorten(&self, state: &mut State) {
        let Some(locked) = &state.file else { return };
        if state.open.is_empty() {
            // Unlinked while its lock is held: nobody takes it for a dead one's.
            let _ = fs::remove_file(&locked.path);
            state.file = None;
        } else if locked.length > LONGEST {
            let lines: String =
                state.open.iter().map(|(id, (run, end))| lines_of(*id, run, end)).collect();
            // If it can't be replaced, the long one does.
            if let Ok(short) = self.create(locked.path.clone(), &lines, state.durability) {
                state.file = Some(short);
            }
        }
    }
}

impl Locked {
    /// One write, so that a line is there or is not.
    fn append(&mut self, lines: &str, durability: Durability) -> io::Result<()> {
        self.file.write_all(lines.as_bytes())?;
        self.length += lines.len() as u64;
        match durability {
            Durability::Process => Ok(()),
            Durability::Machine => self.file.sync_data(),
        }
    }
}

impl Page {
    pub(super) fn folder(&self) -> &Path {
        &self.journal.folder
    }

    /// The run's number in the journal.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Writes down how the run ended, before anybody is told. If that fails, somebody is told all the same.
    pub(super) fn ended(&self, ended: Ended) {
        let mut state = self.journal.lock();
        if let Some((_, end)) = state.open.get_mut(&self.id) {
            *end = Some(ended.clone());
        }
        let entry = Entry::Ended(self.id, ended);
        let _ = self.journal.append(&mut state, &entry, self.durability);
    }

    /// Writes down that the end was delivered, or is kept elsewhere until it is.
    pub(super) fn done(&self) {
        let mut state = self.journal.lock();
        state.open.remove(&self.id);
        if !state.open.is_empty() {
            // The line that is missing would only have the end delivered twice.
            let _ = self.journal.append(&mut state, &Entry::Done(self.id), Durability::Process);
        }
        self.journal.shorten(&mut state);
    }
}

fn lines_of(id: u64, run: &Opened, end: &Option<Ended>) -> String {
    let mut lines = Entry::Opened(id, run.clone()).to_line();
    if let Some(end) = end {
        lines.push_str(&Entry::Ended(id, end.clone()).to_line());
    }
    lines
}

/// Has the names in a folder survive a power loss, and the folder's own. Those above it were there before.
fn sync_names(folder: &Path) -> io::Result<()> {
    for folder in folder.ancestors().take(2) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Tells one start of the machine from another.
pub(super) fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Contents, parse};
    use super::super::facts::Expectations;
    use super::super::{Extent, Job};
    use super::*;
    use crate::labels::GroupingKey;

    /// A folder of this test's own, removed when it ends.
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

        fn contents(&self) -> Contents {
            parse(&fs::read_to_string(&self.journals()[0]).unwrap()).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn run(name: &str) -> Opened {
        Opened {
            key: GroupingKey::new(name).unwrap(),
            sinks: vec!["http://gateway:9091".into()],
            started: 1.0,
            extent: Extent::Task,
            expected: Expectations::of(&Job::new("any")),
        }
    }

    #[test]
    fn a_scheduler_that_is_never_idle_keeps_its_journal_short() {
        let folder = Folder::new("busy");
        let journal = Journal::of_folder(&folder.0, None);
        let long = journal.open(run("long"), Durability::Process).unwrap();
        let ended = journal.open(run("ended"), Durability::Process).unwrap();
        let cause = super::super::Outcome::Error.into();
        ended.ended(Ended { cause, at: 2.0, duration: None });
        for _ in 0..4_000 {
            journal.open(run("short"), Durability::Process).unwrap().done();
        }
        let path = folder.journals().remove(0);
        assert!(fs::metadata(&path).unwrap().len() < LONGEST + 1_000);
        let runs = folder.contents().runs;
        let names: Vec<_> = runs.iter().map(|run| run.opened.key.job()).collect();
        assert_eq!(names, ["long", "ended"]);
        assert_eq!(runs[1].ended.as_ref().unwrap().cause, cause);
        assert!(File::open(&path).unwrap().try_lock().is_err(), "the new file is locked as well");
        long.done();
        ended.done();
        assert_eq!(folder.journals(), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_journal_that_can_not_be_written_costs_the_runs_nothing_else() {
        let folder = Folder::new("gone");
        let journal = Journal::of_folder(&folder.0.join("not there"), None);
        assert!(journal.open(run("any"), Durability::Process).is_none());
        assert!(journal.lock().is_broken);
        assert!(journal.open(run("any"), Durability::Process).is_none());
    }
}
