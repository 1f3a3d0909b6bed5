//! `History`: what became of the last runs of each group, on this machine.
//!
//! Invariants:
//! - Each group has one file. Runs are appended. A file that is replaced is complete, because it is written to a temporary
//!   file and renamed.
//! - A file is changed under the lock of the folder. Reading needs no lock.
//! - A run is counted once, whatever the number of its sinks and of the attempts to report it.
//! - The number of files and their size are limited.
//!
//! A run is recorded before its outcome is sent, so that a repeated report has the same totals. Files are not synced: a
//! lost or corrupt file costs the history of its group and a warning. Totals then start again, as a counter does after a
//! restart.

mod families;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod history_file;
mod record;
mod run_history;
mod run_line;
mod totals;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::checksum::checksum_of;
use crate::clock::Moment;
use crate::finished_run::FinishedRun;
use crate::labels::GroupingKey;
use crate::log;
use crate::push_request::{
    Families, PushRequest, RunEnding, Total, Totals, Verb, is_outcome_family,
};
use crate::state_dir::{Disk, FileRoom, Folder, StateDir, TEMP_EXTENSION, claim_disk_warning};
use history_file::{HistoryFile, InvalidHistory};
use record::{GroupRecord, Streak};
use totals::total_before;

pub(crate) use families::add_last_time;
pub use run_history::RunHistory;
pub(crate) use totals::is_summable;

/// The folder in the state directory.
const FOLDER: &str = "history";

const EXTENSION: &str = "history";

/// A larger file is corrupt.
const MAX_FILE_SIZE: u64 = 1024 * 1024;

/// The maximum number of groups: more than a scheduler has. Beyond this limit, the files that have not changed for the longest
/// time are removed.
const MAX_FILES: usize = 32_768;

/// A process holds the lock only for a few file operations. Recording a run waits for another process at most this long.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// The grouping labels that distinguish machines. Two machines with one group would overwrite each other's totals.
const MACHINE_LABELS: [&str; 6] = ["instance", "host", "hostname", "machine", "node", "pod"];

/// Which groups have totals over runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TotalsPolicy {
    /// The groups with a label that distinguishes machines.
    #[default]
    MachineLabels,
    /// All groups: the user has declared that each group has one machine.
    On,
    Off,
}

/// The histories in a state directory.
#[derive(Debug, Default)]
pub(crate) struct History {
    state_dir: Arc<StateDir>,
    totals: TotalsPolicy,
    room: FileRoom,
    max_files: usize,
    disk: Disk,
    has_warned: AtomicBool,
}

/// What the history of a group adds to requests for one sink.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    /// The runs in a row, and the totals.
    families: Families,
    /// The timestamps that outlive pushes.
    pub(crate) last_times: Families,
    /// When the sink was last found to have these timestamps, in milliseconds since the Unix epoch.
    pub(crate) checked_at: Option<u64>,
    /// The totals as they were before the runs of the request. The text is empty if that is unknown.
    pub(crate) totals_before: Totals,
    /// The id of the last run that the history had.
    last_run: Option<String>,
}

impl Recorded {
    /// Returns true if the history has stored the runs of the request.
    pub(crate) fn is_stored(&self) -> bool {
        self.last_run.is_some()
    }

    /// Returns the runs in a row and the totals.
    pub(crate) fn families(&self) -> &Families {
        &self.families
    }

    /// Adds the families to a request. A push also has the timestamps of other outcomes, because it replaces the group.
    pub(crate) fn add_to(&self, request: &mut PushRequest) {
        request.insert(self.families.clone());
        if request.verb() == Verb::Push {
            request.insert_missing(&self.last_times);
        }
    }
}

impl History {
    pub(crate) fn new(state_dir: &Arc<StateDir>, totals: TotalsPolicy) -> Self {
        Self {
            state_dir: Arc::clone(state_dir),
            totals,
            room: FileRoom::default(),
            max_files: MAX_FILES,
            disk: Disk::default(),
            has_warned: AtomicBool::new(false),
        }
    }

    /// Returns true if calls may use the disk.
    pub(crate) fn is_enabled(&self) -> bool {
        self.state_dir.is_enabled()
    }

    /// Records runs of a group, unless they are recorded already. Returns what the history adds to the request that
    /// reports them to `sink`. Blocks on the disk.
    pub(crate) fn record(
        &self,
        key: &GroupingKey,
        sink: &str,
        endings: &[Arc<RunEnding>],
    ) -> Recorded {
        let now = Moment::now();
        let has_totals = self.has_totals(key, endings);
        let add_all = |group: &mut GroupRecord| {
            let mut is_changed = false;
            for ending in endings {
                is_changed |= group.add(ending, has_totals, now.unix_seconds());
            }
            is_changed
        };
        let Some(group) = self.update(key, add_all) else { return unrecorded(endings) };
        let counted = |name: &str| endings.iter().any(|ending| ending.counted.contains_key(name));
        let totals = group
            .totals
            .iter()
            .filter(|(name, _)| has_totals && (is_outcome_family(name) || counted(name)));
        let mut families = families::streak_families(group.streak);
        let mut totals_before = Totals::new();
        for (name, total) in totals {
            families.insert(name.clone(), total.text.clone());
            totals_before.insert(name.clone(), total_before(total, name, endings));
        }
        let last_run = group.last_run().map(str::to_owned);
        Recorded { families, totals_before, last_run, ..self.times_of(&group, sink, now) }
    }

    /// Returns the values of the same families now, if other runs were recorded since. Blocks on the disk.
    pub(crate) fn newer(
        &self,
        key: &GroupingKey,
        sink: &str,
        known: &Recorded,
    ) -> Option<Recorded> {
        let last_run = known.last_run.as_deref()?;
        let group = self.read_group(key)?;
        if !group.has_runs_after(last_run) {
            return None;
        }
        let mut families = families::streak_families(group.streak);
        let totals = group.totals.iter().filter(|(name, _)| known.families.contains_key(*name));
        families.extend(totals.map(|(name, total)| (name.clone(), total.text.clone())));
        let last_run = group.last_run().map(str::to_owned);
        Some(Recorded { families, last_run, ..self.times_of(&group, sink, Moment::now()) })
    }

    /// Returns what the history adds to a request that reports no new run. Blocks on the disk.
    pub(crate) fn look_up(&self, key: &GroupingKey, sink: &str) -> Recorded {
        let Some(group) = self.read_group(key) else { return Recorded::default() };
        let recorded = self.times_of(&group, sink, Moment::now());
        let unknown = |(name, total): (&String, &Total)| {
            (name.clone(), Total { since: total.since, text: String::new() })
        };
        Recorded { totals_before: group.totals.iter().map(unknown).collect(), ..recorded }
    }

    fn times_of(&self, group: &GroupRecord, sink: &str, now: Moment) -> Recorded {
        Recorded {
            last_times: families::last_time_families(group.last, now.unix_seconds()),
            checked_at: group.checked_at(sink),
            ..Recorded::default()
        }
    }

    /// Records that a sink had the timestamps of a group at this time. Blocks on the disk.
    pub(crate) fn set_checked(&self, key: &GroupingKey, sink: &str, at: Moment) {
        self.update(key, |group| {
            group.set_checked(sink, at.unix_millis());
            true
        });
    }

    /// Records how many attempts were made to deliver the outcomes of runs. Blocks on the disk.
    pub(crate) fn set_attempts(
        &self,
        key: &GroupingKey,
        endings: &[Arc<RunEnding>],
        attempts: u32,
    ) {
        self.update(key, |group| {
            endings.iter().fold(false, |is_changed, ending| {
                let set = |run: &mut FinishedRun| {
                    run.attempts = Some(run.attempts.unwrap_or_default().max(attempts));
                };
                group.change_run(&ending.run.id, set) || is_changed
            })
        });
    }

    /// Returns the history of a group; `None` if there is none. Blocks on the disk.
    pub(crate) fn of_group(&self, key: &GroupingKey) -> Option<RunHistory> {
        let group = self.read_group(key)?;
        (group.key == *key).then(|| group.into())
    }

    /// Returns all histories, ordered by grouping key. Blocks on the disk.
    pub(crate) fn all(&self) -> Vec<RunHistory> {
        let Some(folder) = self.state_dir.existing_folder(FOLDER) else { return Vec::new() };
        let files = self.ok_or_warn(self.disk.list(&folder, is_history)).unwrap_or_default();
        let read = |name: &str| self.ok_or_warn(self.read(&folder, name)).flatten();
        let mut all: Vec<RunHistory> = files
            .iter()
            .filter_map(|file| read(&file.name))
            .map(|file| file.record.into())
            .collect();
        all.sort_by(|a, b| a.key().cmp(b.key()));
        all
    }

    /// Returns true if the group has totals. Logs a warning if its job has asked for them and it has none.
    fn has_totals(&self, key: &GroupingKey, endings: &[Arc<RunEnding>]) -> bool {
        let has_totals = match self.totals {
            TotalsPolicy::On => true,
            TotalsPolicy::Off => false,
            TotalsPolicy::MachineLabels => MACHINE_LABELS.iter().any(|label| key.has_label(label)),
        };
        let names = endings.iter().flat_map(|ending| ending.counted.keys());
        if self.totals == TotalsPolicy::MachineLabels
            && !has_totals
            && names.into_iter().any(|name| !is_outcome_family(name))
        {
            log::warn_once(format_args!(
                "the metrics of {key} do not add up over runs: two machines with this group would overwrite each \
                 other's totals; add the grouping label instance, or set METRICS_PUSH_TOTALS to on if the job runs on \
                 one machine"
            ));
        }
        has_totals
    }

    /// Changes the history of a group and writes it if `change` returns true. Returns the history; `None` if it cannot be
    /// read, so that it must not be replaced.
    fn update(
        &self,
        key: &GroupingKey,
        change: impl FnOnce(&mut GroupRecord) -> bool,
    ) -> Option<GroupRecord> {
        let folder = self.state_dir.folder(FOLDER)?;
        match self.update_in(&folder, key, change) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                self.warn_locked(&folder, &error);
                None
            }
            updated => self.ok_or_warn(updated),
        }
    }

    fn update_in(
        &self,
        folder: &Arc<Folder>,
        key: &GroupingKey,
        change: impl FnOnce(&mut GroupRecord) -> bool,
    ) -> io::Result<GroupRecord> {
        let name = file_name(key);
        let _lock = self.disk.lock(folder, LOCK_TIMEOUT)?;
        let found = self.read(folder, &name)?.filter(|file| file.record.key == *key);
        let known = found.as_ref().map(|file| file.record.clone());
        let mut group = known.unwrap_or_else(|| GroupRecord::new(key.clone()));
        if change(&mut group)
            && let Err(error) = self.write(folder, &name, found.as_ref(), &group)
        {
            self.warn_unwritten(folder, &error);
        }
        Ok(group)
    }

    /// Writes the history of a group whose file has this content.
    fn write(
        &self,
        folder: &Arc<Folder>,
        name: &str,
        found: Option<&HistoryFile>,
        group: &GroupRecord,
    ) -> io::Result<()> {
        if let Some(change) = found.and_then(|file| file.encode_change(group)) {
            return self.disk.append(folder, name, &change);
        }
        if found.is_none() {
            // Temporary files of dead processes count as well.
            let is_own = |name: &str| is_history(name) || is_temp(name);
            self.room.make_room(&self.disk, folder, self.max_files, is_own);
        }
        self.disk.replace(folder, name, &HistoryFile::encode(group))
    }

    /// Reads the file of a group; `None` if it does not exist or cannot be read.
    fn read_group(&self, key: &GroupingKey) -> Option<GroupRecord> {
        let folder = self.state_dir.existing_folder(FOLDER)?;
        let file = self.ok_or_warn(self.read(&folder, &file_name(key)))??;
        Some(file.record)
    }

    /// Reads a file; `None` if there is none, or if it is corrupt.
    fn read(&self, folder: &Folder, name: &str) -> io::Result<Option<HistoryFile>> {
        let bytes = match self.disk.read(folder, name, MAX_FILE_SIZE) {
            // It is too large, or not a regular file.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Some(Vec::new()),
            read => read?,
        };
        match bytes.map(|bytes| HistoryFile::decode(&bytes)) {
            None => Ok(None),
            Some(Ok(file)) => Ok(Some(file)),
            Some(Err(InvalidHistory::Corrupt)) => {
                let path = folder.path().join(name);
                self.warn(&format_args!(
                    "{} is corrupt, and the history of its group starts again",
                    path.display()
                ));
                Ok(None)
            }
            Some(Err(InvalidHistory::Newer)) => {
                let path = folder.path().join(name);
                let problem = "a newer version of metrics-push wrote it";
                Err(io::Error::other(format!("{}: {problem}", path.display())))
            }
        }
    }

    /// Logs that a run is missing in the history, unless such a line was logged already.
    fn warn_unwritten(&self, folder: &Folder, error: &io::Error) {
        if !self.has_warned.swap(true, Ordering::Relaxed) && claim_disk_warning() {
            log::warn(format_args!(
                "cannot write the history in {}: {error}; outcomes are reported, but the history does not have them",
                folder.path().display()
            ));
        }
    }

    /// Logs that the folder cannot be locked, unless a line about the history was logged already.
    fn warn_locked(&self, folder: &Folder, error: &io::Error) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            log::warn(format_args!(
                "cannot lock the history in {}: {error}; outcomes are reported, but the history does not have them; end \
                 a process that is stopped, or use a faster disk",
                folder.path().display()
            ));
        }
    }

    fn ok_or_warn<T>(&self, result: io::Result<T>) -> Option<T> {
        let error = match result {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        // Other folders of the same disk fail, too: one line is enough.
        if error.raw_os_error().is_none() || claim_disk_warning() {
            self.warn(&error);
        }
        None
    }

    /// Logs a problem, unless one was logged already.
    fn warn(&self, problem: &dyn fmt::Display) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            log::warn(format_args!("cannot read the history of runs: {problem}"));
        }
    }
}

/// Returns what the runs add to the request that reports them, without the runs before. It is unknown when the failures
/// began.
fn unrecorded(endings: &[Arc<RunEnding>]) -> Recorded {
    let streak = endings.iter().fold(Streak::default(), |streak, it| streak.after(&it.run));
    let families = families::streak_families(Streak { failing_since: None, ..streak });
    Recorded { families, ..Recorded::default() }
}

fn file_name(key: &GroupingKey) -> String {
    format!("{:032x}.{EXTENSION}", checksum_of(&[key.url_path().as_bytes()]))
}

fn is_history(name: &str) -> bool {
    name.strip_suffix(EXTENSION).is_some_and(|stem| stem.ends_with('.'))
}

fn is_temp(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| extension == TEMP_EXTENSION)
}

#[cfg(test)]
mod tests;
