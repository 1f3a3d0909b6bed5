//! What a test of a job asks for: the group after a run, and whether it is as it should be.
//!
//! Every answer that is not the expected one comes with what is there instead.

use std::time::Duration;

use super::group::Braces;
use super::{FakeGateway, Group};

/// How long a run's outcome may be under way. Nothing takes this long unless it is lost.
const PATIENCE: Duration = Duration::from_secs(10);

const OUTCOME: &str = "batch_job_last_run_outcome";
const START: &str = "batch_job_last_start_timestamp_seconds";
const COMPLETION: &str = "batch_job_last_completion_timestamp_seconds";

impl FakeGateway {
    /// The group with exactly these labels, as soon as a run has ended there.
    ///
    /// Before a test runs a job for a second time, it can [`clear`](Self::clear) what the first run has left.
    ///
    /// # Panics
    /// If none ends within ten seconds, with what came and what is there.
    #[must_use]
    #[track_caller]
    pub fn after_run(&self, job: &str, labels: &[(&str, &str)]) -> Group {
        self.wait_for(PATIENCE, |gateway| {
            gateway.find_group(job, labels).is_some_and(|group| has_ended(&group))
        });
        self.group(job, labels)
    }
}

fn has_ended(group: &Group) -> bool {
    match (group.get(START, &[]), group.get(COMPLETION, &[])) {
        // Both come with the end; an earlier run has left a completion that is older than the start.
        (Some(start), Some(completion)) => completion >= start,
        _ => false,
    }
}

impl Group {
    /// How the last run ended; none, while it lasts or if there was none.
    #[must_use]
    pub fn outcome(&self) -> Option<String> {
        let states = self.families.get(OUTCOME)?.samples();
        let holds = states.into_iter().find(|state| state.value > 0.5)?;
        holds.labels.get("outcome").cloned()
    }

    /// Checks how the last run ended.
    ///
    /// # Panics
    /// If it ended otherwise, with all that the group holds.
    #[track_caller]
    pub fn assert_outcome(&self, expected: &str) -> &Self {
        let outcome = self.outcome();
        assert!(
            outcome.as_deref() == Some(expected),
            "the last run of {} should have ended with {expected:?}, and {}; the group holds:\n{self}",
            Braces(&self.labels),
            outcome.map_or("has not ended".to_owned(), |outcome| format!("ended with {outcome:?}")),
        );
        self
    }

    /// Checks the value of the one sample of that name that has these labels, as [`value`](Self::value) finds it.
    ///
    /// # Panics
    /// If it has another value, or there is none, with what is there.
    #[track_caller]
    pub fn assert_value(&self, name: &str, labels: &[(&str, &str)], expected: f64) -> &Self {
        let value = self.value(name, labels);
        // Not a number is equal to itself here: a test that expects it means it.
        let is_equal = value.total_cmp(&expected).is_eq() || value - expected == 0.0;
        assert!(
            is_equal,
            "{name} with {labels:?} should be {expected} in {}, and is {value}",
            Braces(&self.labels),
        );
        self
    }

    /// Checks that a family of that name is there.
    ///
    /// # Panics
    /// If it is not, with the names of those that are.
    #[track_caller]
    pub fn assert_family(&self, name: &str) -> &Self {
        assert!(
            self.has_family(name),
            "{} should hold {name}, and holds {}",
            Braces(&self.labels),
            self.names(),
        );
        self
    }

    /// Checks that no family of that name is there.
    ///
    /// # Panics
    /// If it is, with its samples.
    #[track_caller]
    pub fn assert_no_family(&self, name: &str) -> &Self {
        if let Some(family) = self.families.get(name) {
            panic!("{} should not hold {name}, and has:\n{family}", Braces(&self.labels));
        }
        self
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.families.keys().map(String::as_str).collect();
        names.join(", ")
    }
}
