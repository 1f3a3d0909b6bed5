//! `Progress`: what the body of a run has reported so far.

use std::time::Duration;

use crate::finished_run::{FailedStage, RecordCounts};
use crate::label_text::floor_char_boundary;
use crate::outcome::Outcome;

/// The maximum size of the name of a failed stage in bytes.
const MAX_STAGE_SIZE: usize = 128;

/// The values that the body of a run has reported so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    pub(super) records: Option<RecordCounts>,
    /// The durations of the stages that have ended, ordered by name.
    pub(super) stages: Vec<(String, Duration)>,
    pub(super) ratio: Option<f64>,
    /// The stages that are open, in the order of their starts.
    pub(super) open_stages: Vec<String>,
    /// The stage that ended last. If a panic ended several stages, it is the innermost one.
    pub(super) ended_stage: Option<EndedStage>,
}

#[derive(Clone, Debug)]
pub(super) struct EndedStage {
    name: String,
    has_panicked: bool,
}

impl Progress {
    /// Returns the progress of a run that failed in this stage.
    pub(super) fn at_failure(stage: Option<&FailedStage>) -> Self {
        let mut progress = Self::default();
        match stage.cloned() {
            Some(FailedStage { name, has_ended: false }) => progress.open_stages.push(name),
            Some(FailedStage { name, .. }) => {
                progress.ended_stage = Some(EndedStage { name, has_panicked: false });
            }
            None => {}
        }
        progress
    }

    pub(super) fn start_stage(&mut self, name: &str) {
        self.open_stages.push(name.to_owned());
        self.ended_stage = None;
    }

    pub(super) fn end_stage(&mut self, name: String, elapsed: Duration, has_panicked: bool) {
        if let Some(at) = self.open_stages.iter().rposition(|open| *open == name) {
            self.open_stages.remove(at);
        }
        match self.stages.binary_search_by(|(ended, _)| ended.cmp(&name)) {
            Ok(position) => self.stages[position].1 += elapsed,
            Err(position) => self.stages.insert(position, (name.clone(), elapsed)),
        }
        if !self.ended_stage.as_ref().is_some_and(|ended| ended.has_panicked && has_panicked) {
            self.ended_stage = Some(EndedStage { name, has_panicked });
        }
    }

    /// Returns the stage in which a run with this outcome failed: the innermost open one, or the one that a panic ended. If
    /// there is none, and the run did not panic, returns the stage that ended last: a returned error ends its stage, so the
    /// run failed in it or after it.
    pub(super) fn failed_stage(&self, outcome: Outcome) -> Option<FailedStage> {
        let open = self.open_stages.last().map(|name| (name, false));
        let ended = self.ended_stage.as_ref().and_then(|ended| match outcome {
            Outcome::Panic => ended.has_panicked.then_some((&ended.name, false)),
            _ => Some((&ended.name, true)),
        });
        let (name, has_ended) = open.or(ended).filter(|_| outcome.is_failure())?;
        let name = name[..floor_char_boundary(name, MAX_STAGE_SIZE)].to_owned();
        Some(FailedStage { name, has_ended })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts (`+`) and ends (`-`) stages. A panic ends some (`!`).
    fn progress(changes: &[&str]) -> Progress {
        let mut progress = Progress::default();
        for change in changes {
            match change.split_at(1) {
                ("+", name) => progress.start_stage(name),
                (end, name) => {
                    progress.end_stage(name.to_owned(), Duration::from_secs(1), end == "!");
                }
            }
        }
        progress
    }

    fn stage(name: &str, has_ended: bool) -> Option<FailedStage> {
        Some(FailedStage { name: name.to_owned(), has_ended })
    }

    #[test]
    fn failed_stage_is_the_innermost_open_one_or_the_last_one() {
        for (changes, expected) in [
            (&[][..], None),
            (&["+load"], stage("load", false)),
            (&["+load", "-load"], stage("load", true)),
            (&["+load", "-load", "+store"], stage("store", false)),
            (&["+load", "+parse"], stage("parse", false)),
            (&["+load", "+parse", "-parse"], stage("load", false)),
            (&["+load", "+parse", "-load"], stage("parse", false)),
            (&["+load", "+parse", "-parse", "-load"], stage("load", true)),
            (&["+load", "+load", "-load"], stage("load", false)),
        ] {
            let failed = progress(changes).failed_stage(Outcome::Error);
            assert_eq!(failed, expected, "{changes:?}");
        }
    }

    #[test]
    fn stage_of_a_panic_is_the_innermost_one_that_it_has_ended() {
        for (changes, expected) in [
            (&["+load"][..], stage("load", false)),
            (&["+load", "!load"], stage("load", false)),
            (&["+load", "+parse", "!parse", "!load"], stage("parse", false)),
            (&["+load", "-load"], None),
            (&["+load", "!load", "+store", "-store"], None),
            (&["+load", "!load", "+store", "!store"], stage("store", false)),
        ] {
            let failed = progress(changes).failed_stage(Outcome::Panic);
            assert_eq!(failed, expected, "{changes:?}");
        }
    }

    #[test]
    fn stored_stage_is_restored() {
        for failed in [None, stage("load", false), stage("load", true)] {
            let restored = Progress::at_failure(failed.as_ref());
            assert_eq!(restored.failed_stage(Outcome::Error), failed);
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
        let failed = progress(&[&format!("+{name}")]).failed_stage(Outcome::Panic);
        assert_eq!(failed, stage(&"ä".repeat(MAX_STAGE_SIZE / 2), false));
    }
}
