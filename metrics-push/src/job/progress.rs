//! `Progress`: what the body of a run has reported so far.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::finished_run::RecordCounts;
use crate::label_text::floor_char_boundary;
use crate::outcome::Outcome;

/// The maximum size of the name of a failed stage in bytes.
const MAX_STAGE_SIZE: usize = 128;

/// The values that the body of a run has reported so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    pub(super) records: Option<RecordCounts>,
    /// The durations of the stages that have ended.
    pub(super) stages: BTreeMap<String, Duration>,
    pub(super) ratio: Option<f64>,
    /// The stages that are open, in the order of their starts.
    pub(super) open_stages: Vec<String>,
    /// The stage that has ended last.
    pub(super) ended_stage: Option<String>,
}

impl Progress {
    pub(super) fn start_stage(&mut self, name: &str) {
        self.open_stages.push(name.to_owned());
    }

    pub(super) fn end_stage(&mut self, name: String, elapsed: Duration) {
        if let Some(at) = self.open_stages.iter().rposition(|open| *open == name) {
            self.open_stages.remove(at);
        }
        *self.stages.entry(name.clone()).or_default() += elapsed;
        self.ended_stage = Some(name);
    }

    /// Returns the stage in which a run with this outcome failed: the innermost open one. If none is open, it is the one that
    /// ended last, because an error or a panic that leaves a function ends its stages before the run.
    pub(super) fn failed_stage(&self, outcome: Outcome) -> Option<String> {
        let last = self.open_stages.last().or(self.ended_stage.as_ref());
        let name = last.filter(|_| outcome.is_failure())?;
        Some(name[..floor_char_boundary(name, MAX_STAGE_SIZE)].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts (`+`) and ends (`-`) stages.
    fn progress(changes: &[&str]) -> Progress {
        let mut progress = Progress::default();
        for change in changes {
            match change.split_at(1) {
                ("+", name) => progress.start_stage(name),
                (_, name) => progress.end_stage(name.to_owned(), Duration::from_secs(1)),
            }
        }
        progress
    }

    #[test]
    fn failed_stage_is_the_innermost_open_one_or_the_last_one() {
        for (changes, expected) in [
            (&[][..], None),
            (&["+load"], Some("load")),
            (&["+load", "-load"], Some("load")),
            (&["+load", "-load", "+store"], Some("store")),
            (&["+load", "+parse"], Some("parse")),
            (&["+load", "+parse", "-parse"], Some("load")),
            (&["+load", "+parse", "-load"], Some("parse")),
            (&["+load", "+parse", "-parse", "-load"], Some("load")),
            (&["+load", "+load", "-load"], Some("load")),
        ] {
            let failed = progress(changes).failed_stage(Outcome::Error);
            assert_eq!(failed.as_deref(), expected, "{changes:?}");
        }
    }

    #[test]
    fn run_without_a_failure_has_no_failed_stage() {
        for outcome in Outcome::ALL {
            let failed = progress(&["+load"]).failed_stage(outcome);
            assert_eq!(failed.is_some(), outcome.is_failure(), "{outcome}");
        }
    }

    #[test]
    fn name_of_a_failed_stage_is_cut() {
        let name = "ä".repeat(MAX_STAGE_SIZE);
        let failed = progress(&[&format!("+{name}")]).failed_stage(Outcome::Panic).unwrap();
        assert_eq!(failed, "ä".repeat(MAX_STAGE_SIZE / 2));
    }
}
