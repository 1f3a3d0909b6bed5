//! The state of each job at one moment: one model for the terminal, for JSON and for the page.
//!
//! The model is a pure function of the stored groups, the history of this machine and the time. Modules that display it
//! decide nothing about states: they print [`Job::state`], [`Job::sentence`] and the values beside them.

mod delivery;
mod facts;
mod group;
mod job;
mod local_clock;
mod missed_runs;
#[cfg(test)]
pub(crate) mod morning;
mod order;
mod outcome;
mod run_summary;
mod schedule_text;
mod sentence;
mod state;

pub(crate) use delivery::{Delivery, GatewayStatus, PendingRequests};
pub(crate) use group::{Group, Metric};
pub(crate) use job::{Job, words};
pub(crate) use local_clock::LocalClock;
pub(crate) use order::{sort_for_page, sort_for_terminal};
pub(crate) use run_summary::{Records, RunMark, RunSummary, success_rate};
pub(crate) use state::{STRIP_LENGTH, State};

/// All jobs and the delivery of their metrics.
#[derive(Clone, Debug)]
pub(crate) struct Overview {
    /// The jobs, in the order of [`sort_for_terminal`].
    pub(crate) jobs: Vec<Job>,
    pub(crate) delivery: Delivery,
    pub(crate) clock: LocalClock,
}

impl Overview {
    /// Builds the model from the groups of all sources. If several have the same group, the one with the newest run is
    /// used. `history` returns the last runs of a group on this machine, oldest first.
    pub(crate) fn new(
        groups: impl IntoIterator<Item = Group>,
        history: impl Fn(&Group) -> Vec<RunSummary>,
        delivery: Delivery,
        clock: &LocalClock,
    ) -> Self {
        let groups = group::newest_by_labels(groups);
        let new_job = |group: Group| {
            let runs = history(&group);
            Job::new(group, runs, clock)
        };
        let mut jobs: Vec<Job> = groups.into_iter().map(new_job).collect();
        sort_for_terminal(&mut jobs);
        Self { jobs, delivery, clock: clock.clone() }
    }

    /// The number of jobs that need attention.
    pub(crate) fn attention_count(&self) -> usize {
        self.jobs.iter().filter(|job| job.needs_attention()).count()
    }
}

#[cfg(test)]
mod tests;
