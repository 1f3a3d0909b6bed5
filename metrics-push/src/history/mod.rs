//! `History`: what became of the last runs of each group, on this machine.
//!
//! Invariants:
//! - Each group has one file. Runs are appended. A file that is replaced is complete, because it is written to a temporary
//!   file and renamed.
//! - An ending reads and writes only the end of the file, unless the file must be replaced.
//! - A file is changed under the lock of the folder. Reading needs no lock.
//! - A run is counted once, whatever the number of its sinks and of the attempts to report it.
//! - The number of files and their size are limited.
//!
//! A run is recorded before its outcome is sent, so that a repeated report has the same totals. Files are not synced: a
//! lost or corrupt file costs the history of its group and a warning. Totals then start again, as a counter does after a
//! restart. Totals that cannot be stored are not sent.

mod families;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod history_file;
mod history_state;
mod record;
mod run_history;
mod run_line;
mod store;
mod totals;

use std::sync::Arc;

use crate::clock::Moment;
use crate::finished_run::FinishedRun;
use crate::labels::GroupingKey;
use crate::log;
use crate::push_request::{
    Families, PushRequest, RunEnding, Totals, Verb, is_outcome_family, unknown_totals,
};
use crate::state_dir::{FileEntry, StateDir};
use history_state::{HistoryState, Streak};
use run_line::write_run;
use store::{HistoryStore, UpdatedState};
use totals::total_before;

pub(crate) use families::add_last_time;
pub use run_history::RunHistory;
pub(crate) use totals::is_summable;

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
    store: HistoryStore,
    totals: TotalsPolicy,
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
    /// The entry of the file with these values: after it was updated, or before it was read.
    file: Option<FileEntry>,
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
        Self { store: HistoryStore::new(state_dir), totals }
    }

    /// Returns true if calls may use the disk.
    pub(crate) fn is_enabled(&self) -> bool {
        self.store.is_enabled()
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
        let add_all = |group: &mut HistoryState| {
            let mut add = |run: &RunEnding| group.add(run, has_totals, now.unix_seconds());
            let added = endings.iter().filter(|ending| add(ending));
            let run_lines: String = added.map(|ending| write_run(&ending.run)).collect();
            (!run_lines.is_empty()).then_some(run_lines)
        };
        let updated = self.store.update(key, add_all);
        let Some(UpdatedState { state: group, entry: file }) = updated else {
            return unrecorded(endings);
        };
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
        Recorded { families, totals_before, last_run, file, ..times_of(&group, sink, now) }
    }

    /// Returns the values of the same families now, if other runs were recorded since. Blocks on the disk.
    pub(crate) fn newer(
        &self,
        key: &GroupingKey,
        sink: &str,
        known: &Recorded,
    ) -> Option<Recorded> {
        let last_run = known.last_run.as_deref()?;
        let file = self.store.entry(key);
        if file == known.file {
            return None;
        }
        let group = self.store.read_state(key)?;
        if !group.has_runs_after(last_run) {
            return None;
        }
        let mut families = families::streak_families(group.streak);
        let totals = group.totals.iter().filter(|(name, _)| known.families.contains_key(*name));
        families.extend(totals.map(|(name, total)| (name.clone(), total.text.clone())));
        let last_run = group.last_run().map(str::to_owned);
        Some(Recorded { families, last_run, file, ..times_of(&group, sink, Moment::now()) })
    }

    /// Returns what the history adds to a request that reports no new run. Blocks on the disk.
    pub(crate) fn look_up(&self, key: &GroupingKey, sink: &str) -> Recorded {
        let Some(group) = self.store.read_state(key) else { return Recorded::default() };
        let recorded = times_of(&group, sink, Moment::now());
        Recorded { totals_before: unknown_totals(&group.totals), ..recorded }
    }

    /// Records that a sink had the timestamps of a group at this time. Blocks on the disk.
    pub(crate) fn set_checked(&self, key: &GroupingKey, sink: &str, at: Moment) {
        self.store.update(key, |group| {
            group.set_checked(sink, at.unix_millis());
            Some(String::new())
        });
    }

    /// Records how many attempts were made to deliver the outcomes of runs. Blocks on the disk.
    pub(crate) fn set_attempts(
        &self,
        key: &GroupingKey,
        endings: &[Arc<RunEnding>],
        attempts: u32,
    ) {
        self.store.change_record(key, |group| {
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
        let record = self.store.read_record(key)?;
        Some(RunHistory::new(record, Moment::now().unix_seconds()))
    }

    /// Returns all histories, ordered by grouping key. Blocks on the disk.
    pub(crate) fn all(&self) -> Vec<RunHistory> {
        let now = Moment::now().unix_seconds();
        let records = self.store.read_all().into_iter();
        let mut all: Vec<_> = records.map(|record| RunHistory::new(record, now)).collect();
        all.sort_unstable_by(|a, b| a.key().cmp(b.key()));
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
}

/// Returns the last times of a group, and when the sink was last found to have them.
fn times_of(group: &HistoryState, sink: &str, now: Moment) -> Recorded {
    Recorded {
        last_times: families::last_time_families(group.last, now.unix_seconds()),
        checked_at: group.checked_at(sink),
        ..Recorded::default()
    }
}

/// Returns what the runs add to the request that reports them, without the runs before. It is unknown when the failures
/// began.
fn unrecorded(endings: &[Arc<RunEnding>]) -> Recorded {
    let streak = endings.iter().fold(Streak::default(), |streak, it| streak.after(&it.run));
    let families = families::streak_families(Streak { failing_since: None, ..streak });
    Recorded { families, ..Recorded::default() }
}

#[cfg(test)]
mod tests;
