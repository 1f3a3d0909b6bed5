//! `RunSummary`: one run in the history of this machine. `RunMark`: its result in one character.

use super::outcome::describe_outcome;

/// One run. Timestamps are Unix time in seconds; durations are seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RunSummary {
    pub(crate) id: String,
    pub(crate) start: f64,
    pub(crate) end: Option<f64>,
    /// The duration of a run that has ended, if it is known.
    pub(crate) duration: Option<f64>,
    /// `None` if the end of the run is unknown.
    pub(crate) outcome: Option<String>,
    pub(crate) exit_code: Option<f64>,
    pub(crate) signal: Option<f64>,
    pub(crate) records: Records,
    pub(crate) stages: Vec<(String, f64)>,
    /// The number of attempts of the delivery.
    pub(crate) attempts: Option<u32>,
    /// The stage in which the run failed. It can contain any text.
    pub(crate) failed_stage: Option<String>,
    /// The stage that ended last, if the run may have failed in it or after it. It can contain any text.
    pub(crate) last_stage: Option<String>,
    /// Why the run failed. It can contain any text.
    pub(crate) reason: Option<String>,
}

/// The records of one run by result.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Records {
    pub(crate) processed: Option<f64>,
    pub(crate) failed: Option<f64>,
    pub(crate) skipped: Option<f64>,
}

/// The result of one run in a strip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunMark {
    Success,
    Failure,
    Skipped,
    Running,
    /// The run started, and its end is unknown.
    NoEnd,
    /// The run was due and did not start.
    NotStarted,
}

impl RunMark {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Skipped => "skipped",
            Self::Running => "running",
            Self::NoEnd => "no end",
            Self::NotStarted => "not started",
        }
    }
}

impl RunSummary {
    pub(crate) fn mark(&self) -> RunMark {
        match self.outcome.as_deref() {
            Some("success") => RunMark::Success,
            Some("skipped") => RunMark::Skipped,
            Some(_) => RunMark::Failure,
            None => RunMark::NoEnd,
        }
    }

    /// Where the run failed: `in stage load`, or `in or after stage load`.
    pub(crate) fn place(&self) -> Option<String> {
        let failed = self.failed_stage.as_ref().map(|stage| format!("in stage {stage}"));
        failed.or_else(|| Some(format!("in or after stage {}", self.last_stage.as_ref()?)))
    }

    /// Where and why the run failed: `in stage load: no space`.
    pub(crate) fn failure(&self) -> Option<String> {
        let parts: Vec<_> = self.place().into_iter().chain(self.reason.clone()).collect();
        (!parts.is_empty()).then(|| parts.join(": "))
    }

    /// The outcome with its exit code or signal.
    pub(crate) fn outcome_text(&self) -> String {
        match &self.outcome {
            Some(outcome) => describe_outcome(outcome, self.exit_code, self.signal),
            None => "no end".to_owned(),
        }
    }
}

/// Returns the failures since the last success, oldest first. Skipped runs and runs without an end do not count.
pub(super) fn last_streak(runs: &[RunSummary]) -> Vec<&RunSummary> {
    let since = runs.iter().rposition(|run| run.mark() == RunMark::Success);
    let since = since.map_or(0, |success| success + 1);
    runs[since..].iter().filter(|run| run.mark() == RunMark::Failure).collect()
}

/// Returns how many of the last runs have failed.
pub(super) fn count_failures(runs: &[RunSummary], last: usize) -> usize {
    last_runs(runs, last).iter().filter(|run| run.mark() == RunMark::Failure).count()
}

/// Returns the percentage of successes among the last runs, cut off. Skipped runs and runs without an end do not count.
pub(crate) fn success_rate(runs: &[RunSummary], last: usize) -> Option<usize> {
    let count = |mark| last_runs(runs, last).iter().filter(|run| run.mark() == mark).count();
    let (successes, failures) = (count(RunMark::Success), count(RunMark::Failure));
    (100 * successes).checked_div(successes + failures)
}

fn last_runs(runs: &[RunSummary], last: usize) -> &[RunSummary] {
    &runs[runs.len().saturating_sub(last)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_after_a_stage_is_not_shown_in_it() {
        let stage = || Some("load".to_owned());
        let failed = RunSummary { failed_stage: stage(), ..RunSummary::default() };
        let later = RunSummary { last_stage: stage(), reason: stage(), ..RunSummary::default() };
        assert_eq!(failed.failure().unwrap(), "in stage load");
        assert_eq!(later.failure().unwrap(), "in or after stage load: load");
        assert_eq!(RunSummary::default().failure(), None);
    }
}
