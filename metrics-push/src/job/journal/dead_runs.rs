//! `DeadRun`: a run of a dead process, compared with the newest run of its group in any journal.

use std::collections::{HashMap, VecDeque};

use super::line::{JournaledRun, Started};
use super::orphaned_journal::OrphanedJournal;
use crate::labels::GroupingKey;

/// A run of a dead process, and the position of its journal.
pub(super) struct DeadRun {
    pub(super) journal: usize,
    pub(super) run: JournaledRun,
    pub(super) is_superseded: bool,
}

/// Returns the runs of dead processes, oldest first. They may be superseded by runs of live ones.
pub(super) fn dead_runs<'a>(
    journals: &'a [OrphanedJournal],
    live: impl Iterator<Item = &'a JournaledRun>,
) -> VecDeque<DeadRun> {
    let dead = journals.iter().flat_map(|journal| &journal.runs);
    let newest = newest_starts(live.chain(dead));
    let with_journal = |(journal, found): (usize, &'a OrphanedJournal)| {
        found.runs.iter().map(move |run| (journal, run))
    };
    let mut runs: Vec<_> = journals
        .iter()
        .enumerate()
        .flat_map(with_journal)
        .map(|(journal, run)| {
            let is_superseded = is_superseded(&run.started, &newest);
            DeadRun { journal, run: run.clone(), is_superseded }
        })
        .collect();
    runs.sort_by(|a, b| a.run.started.at.total_cmp(&b.run.started.at));
    runs.into()
}

/// Returns the newest start of each group of each sink.
fn newest_starts<'a>(
    runs: impl Iterator<Item = &'a JournaledRun>,
) -> HashMap<(&'a GroupingKey, &'a str), f64> {
    let mut newest = HashMap::new();
    for run in runs.map(|run| &run.started) {
        for sink in &run.sinks {
            let at = newest.entry((&run.key, sink.as_str())).or_insert(run.at);
            *at = run.at.max(*at);
        }
    }
    newest
}

/// Returns true if a newer run of the same group is known.
fn is_superseded(run: &Started, newest: &HashMap<(&GroupingKey, &str), f64>) -> bool {
    run.sinks.iter().any(|sink| newest.get(&(&run.key, sink)).is_some_and(|at| *at > run.at))
}
