//! Assertions on the group of a job: [`FakeGateway::after_run`] and the `assert_*` methods of [`Group`].
//!
//! The message of every failed assertion contains the actual contents of the group.

use std::time::{Duration, Instant};

use super::fake_gateway::FakeGateway;
use super::family::Family;
use super::group::{DisplayLabels, Group, Selector, grouping_labels};

/// A push of a local job takes milliseconds. After this time, it is certainly lost.
pub(super) const RUN_TIMEOUT: Duration = Duration::from_secs(10);

/// The wait for the group of a run after the last request, if another run has finished. Long enough for a thread of the
/// test that has yet to start its run.
const OTHER_RUN_TIMEOUT: Duration = Duration::from_millis(500);

const OUTCOME: &str = "batch_job_last_run_outcome";
const START: &str = "batch_job_last_start_timestamp_seconds";
const COMPLETION: &str = "batch_job_last_completion_timestamp_seconds";

impl FakeGateway {
    /// Waits until a run of the group with exactly these grouping labels has finished, and returns the group.
    ///
    /// If a test runs a job twice, call [`clear`](Self::clear) between the runs. Otherwise this method returns at once
    /// with the group of the first run.
    ///
    /// # Panics
    ///
    /// Panics if no run of the group finishes within ten seconds. If the group does not exist and another run has finished,
    /// the job or a label is probably misspelled: the method then panics half a second after the last request, unless the
    /// gateway has failed requests. The message contains the groups of the gateway.
    #[must_use]
    #[track_caller]
    pub fn after_run(&self, job: &str, labels: &[(&str, &str)]) -> Group {
        let deadline = Instant::now() + RUN_TIMEOUT;
        loop {
            let seen = self.shared().changes();
            let group = self.find_group(job, labels);
            if let Some(group) = group.as_ref().filter(|group| group.has_finished_run()) {
                return group.clone();
            }
            let next = match group {
                None if self.has_only_finished_runs() => Instant::now() + OTHER_RUN_TIMEOUT,
                _ => deadline,
            };
            if self.shared().wait_for_change(seen, next.min(deadline)).is_none() {
                let wanted = grouping_labels(job, labels);
                let groups = self.list_groups();
                panic!(
                    "no run of the group {} has finished; the groups of the gateway are:{groups}\n{}",
                    DisplayLabels(&wanted),
                    self.shared().list_requests(),
                );
            }
        }
    }

    /// Returns true if at least one run has finished, no run is open, and no request has failed.
    fn has_only_finished_runs(&self) -> bool {
        let groups = self.groups();
        let mut runs = groups.iter().filter(|group| group.has_family(START)).peekable();
        runs.peek().is_some() && runs.all(Group::has_finished_run) && !self.shared().has_failed()
    }
}

impl Group {
    pub(super) fn has_finished_run(&self) -> bool {
        match (self.get(START, &[]), self.get(COMPLETION, &[])) {
            // While a run is open, the completion of the previous run is older than the start of this one.
            (Some(start), Some(completion)) => completion >= start,
            _ => false,
        }
    }

    /// Returns the outcome of the last finished run, for example `success`. Returns `None` if no run has finished.
    #[must_use]
    pub fn outcome(&self) -> Option<String> {
        let states = self.families.get(OUTCOME)?.samples();
        let current = states.into_iter().find(|state| state.value > 0.5)?;
        current.labels.get("outcome").cloned()
    }

    /// The outcomes of which the group has a series, which are all outcomes that exist.
    fn outcome_names(&self) -> Vec<String> {
        let states = self.families.get(OUTCOME).map_or(Vec::new(), Family::samples);
        states.into_iter().filter_map(|mut state| state.labels.remove("outcome")).collect()
    }

    /// Asserts that the last run finished with this outcome.
    ///
    /// # Panics
    ///
    /// Panics if it did not, or if the outcome is unknown. The message contains the whole group, or the names of all
    /// outcomes.
    #[track_caller]
    pub fn assert_outcome(&self, expected: &str) -> &Self {
        let known = self.outcome_names();
        assert!(
            known.is_empty() || known.iter().any(|name| name == expected),
            "unknown outcome {expected:?}; use one of: {}",
            known.join(", "),
        );
        let outcome = self.outcome();
        assert!(
            outcome.as_deref() == Some(expected),
            "expected outcome {expected:?}, but the last run of {} {}; contents of the group:\n{self}",
            DisplayLabels(&self.labels),
            outcome.map_or("has not finished".to_owned(), |outcome| format!(
                "finished as {outcome:?}"
            )),
        );
        self
    }

    /// Asserts the value of the sample with this name and these labels, as [`value`](Self::value) finds it.
    ///
    /// `NaN` is equal to `NaN` here.
    ///
    /// # Panics
    ///
    /// Panics if the value is different, or if there is not exactly one such sample. The message contains the actual
    /// value or samples.
    #[track_caller]
    pub fn assert_value(&self, name: &str, labels: &[(&str, &str)], expected: f64) -> &Self {
        let value = self.value(name, labels);
        let is_equal = value.total_cmp(&expected).is_eq() || value - expected == 0.0;
        assert!(
            is_equal,
            "expected {} to be {expected} in the group {}, but it is {value}",
            Selector(name, labels),
            DisplayLabels(&self.labels),
        );
        self
    }

    /// Asserts that the group has a family with this name.
    ///
    /// # Panics
    ///
    /// Panics if it does not. The message contains the names of its families.
    #[track_caller]
    pub fn assert_family(&self, name: &str) -> &Self {
        let names: Vec<_> = self.families.keys().map(String::as_str).collect();
        assert!(
            self.has_family(name),
            "expected the group {} to have the family {name}, but it has: {}",
            DisplayLabels(&self.labels),
            names.join(", "),
        );
        self
    }

    /// Asserts that the group has no family with this name.
    ///
    /// # Panics
    ///
    /// Panics if it does. The message contains the samples of the family.
    #[track_caller]
    pub fn assert_no_family(&self, name: &str) -> &Self {
        if let Some(family) = self.families.get(name) {
            let labels = DisplayLabels(&self.labels);
            panic!("expected the group {labels} to have no family {name}, but it has:\n{family}");
        }
        self
    }
}
