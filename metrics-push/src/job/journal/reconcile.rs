//! Selects the families to report for a run whose process died, by comparing the run with the group on the gateway.
//!
//! Values that the gateway already has are not reported again, and newer values are not replaced.

use super::line::{Finished, JournaledRun};
use crate::clock::Moment;
use crate::delivery::past_timestamp;
use crate::job::completion::Completion;
use crate::job::progress::Progress;
use crate::job::run_ending::run_ending;
use crate::job::run_metrics::{add_abandoned, add_failure, add_success, completion_metrics};
use crate::metrics::Snapshot;
use crate::outcome::Outcome;
use crate::push_request::{
    Families, LAST_ABANDONED, LAST_COMPLETION, LAST_FAILURE, LAST_START, LAST_SUCCESS, RunEnding,
};
use crate::sink::GroupState;

/// The values of a group on the gateway that describe the runs of a job.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GatewayState {
    started_at: Option<f64>,
    /// True if `started_at` is missing or in the future, so that it does not order the runs.
    is_start_wrong: bool,
    completed_at: Option<f64>,
    success_at: Option<f64>,
    failure_at: Option<f64>,
    abandoned_at: Option<f64>,
}

impl GatewayState {
    /// Reads the state of a group. A missing group has no state.
    pub(super) fn read(group: Option<&GroupState>) -> Self {
        let Some(group) = group else { return Self::default() };
        let now = Moment::now();
        let value = |name: &str| past_timestamp(group, name, now);
        Self {
            started_at: group.value(LAST_START),
            is_start_wrong: value(LAST_START).is_none(),
            completed_at: value(LAST_COMPLETION),
            success_at: value(LAST_SUCCESS),
            failure_at: value(LAST_FAILURE),
            abandoned_at: value(LAST_ABANDONED),
        }
    }

    /// Returns true if the gateway has the outcome of the run that started at this time.
    fn has_outcome_of(&self, started_at: f64) -> bool {
        self.started_at == Some(started_at) && self.completed_at >= Some(started_at)
    }
}

/// Whether a newer run of the same group is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recency {
    Newest,
    Superseded,
}

/// Returns the families to report for a run that was found at `found_at`; none if the gateway has all of them.
/// `gateway` is `None` if the gateway could not be queried.
pub(super) fn unreported_families(
    run: &JournaledRun,
    found_at: f64,
    recency: Recency,
    gateway: Option<&GatewayState>,
) -> Families {
    let started_at = run.started.at;
    if gateway.is_some_and(|state| state.has_outcome_of(started_at)) {
        return Families::default();
    }
    let completion = completion(run, found_at);
    let is_superseded = recency == Recency::Superseded
        || gateway
            .is_some_and(|state| !state.is_start_wrong && state.started_at > Some(started_at));
    let mut metrics = if is_superseded {
        lasting_families(&completion, gateway)
    } else {
        completion_metrics(&run.started.expected, &progress(run), &completion)
    };
    let mut families = metrics.encode();
    let state = gateway.copied().unwrap_or_default();
    for (name, at) in [
        (LAST_SUCCESS, state.success_at),
        (LAST_FAILURE, state.failure_at),
        (LAST_ABANDONED, state.abandoned_at),
    ] {
        if at >= Some(completion.finished_at) {
            families.remove(name);
        }
    }
    families
}

/// Returns what the history of the group stores about a run.
pub(super) fn ending(run: &JournaledRun, found_at: f64) -> RunEnding {
    let reason = run.finished.as_ref().and_then(|finished| finished.reason.clone());
    run_ending(&run.started.run, &completion(run, found_at), &progress(run), reason)
}

/// Returns the progress of a run at its end. It is empty if the process died earlier.
fn progress(run: &JournaledRun) -> Progress {
    run.finished.as_ref().map(Finished::progress).unwrap_or_default()
}

/// Returns how a run ended. Without a known ending, it was abandoned.
fn completion(run: &JournaledRun, found_at: f64) -> Completion {
    let started_at = run.started.at;
    match &run.finished {
        Some(finished) => finished.completion(started_at),
        None => Completion::at(Outcome::Abandoned.into(), started_at, found_at.max(started_at)),
    }
}

/// Returns the families of a run that are still valid after a newer run. If the state of the gateway is unknown, a
/// success or failure could replace a newer one; no other process reports that a run was abandoned.
fn lasting_families(completion: &Completion, gateway: Option<&GatewayState>) -> Snapshot {
    let is_state_known = gateway.is_some();
    let mut snapshot = Snapshot::default();
    match completion.cause.outcome {
        Outcome::Abandoned => add_abandoned(&mut snapshot, completion),
        Outcome::Success if is_state_known => add_success(&mut snapshot, completion),
        Outcome::Success | Outcome::Skipped => {}
        _ if is_state_known => add_failure(&mut snapshot, completion),
        _ => {}
    }
    snapshot
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::line::Started;
    use super::*;
    use crate::finished_run::RecordCounts;
    use crate::job::run_metrics::Expectations;
    use crate::job::spec::{Extent, JobSpec};
    use crate::labels::GroupingKey;

    const OUTCOME: &str = "batch_job_last_run_outcome";

    /// A run that started at 10 and ended with this outcome at 11.
    fn run(outcome: Option<Outcome>) -> JournaledRun {
        let started = Started {
            run: String::new(),
            key: GroupingKey::new("job").unwrap(),
            sinks: Vec::new(),
            at: 10.0,
            extent: Extent::Process,
            expected: Expectations::from(&JobSpec::new(Cow::Borrowed("job"))),
        };
        let finished = |outcome: Outcome| Finished::new(outcome.into(), 11.0, None);
        JournaledRun { id: 0, started, finished: outcome.map(finished), found_at: None }
    }

    fn unreported(
        run: &JournaledRun,
        recency: Recency,
        gateway: Option<GatewayState>,
    ) -> Vec<String> {
        unreported_families(run, 20.0, recency, gateway.as_ref()).into_keys().collect()
    }

    #[test]
    fn reported_run_is_not_reported_again() {
        let gateway = GatewayState {
            started_at: Some(10.0),
            completed_at: Some(11.0),
            ..GatewayState::default()
        };
        for outcome in [None, Some(Outcome::Success), Some(Outcome::Error)] {
            assert_eq!(
                unreported(&run(outcome), Recency::Newest, Some(gateway)),
                Vec::<String>::new()
            );
            for completed_at in [None, Some(9.5)] {
                let unfinished = GatewayState { completed_at, ..gateway };
                assert!(
                    unreported(&run(outcome), Recency::Newest, Some(unfinished))
                        .contains(&OUTCOME.to_owned())
                );
            }
            let other = GatewayState { started_at: Some(9.0), ..gateway };
            assert!(
                unreported(&run(outcome), Recency::Newest, Some(other))
                    .contains(&OUTCOME.to_owned())
            );
        }
    }

    #[test]
    fn timestamp_older_than_that_of_the_gateway_is_left_out() {
        for (outcome, name) in [(Outcome::Success, LAST_SUCCESS), (Outcome::Error, LAST_FAILURE)] {
            for (instant, is_reported) in [(10.5, true), (11.0, false), (11.5, false)] {
                let (success_at, failure_at) = (Some(instant), Some(instant));
                // This run is the newest by its start, but did not end last.
                let gateway = GatewayState {
                    started_at: Some(9.0),
                    success_at,
                    failure_at,
                    ..GatewayState::default()
                };
                let families = unreported(&run(Some(outcome)), Recency::Newest, Some(gateway));
                assert_eq!(families.contains(&name.to_owned()), is_reported, "{outcome} {instant}");
                assert!(families.contains(&OUTCOME.to_owned()));
            }
        }
        let gateway = GatewayState {
            abandoned_at: Some(20.5),
            failure_at: Some(20.5),
            ..GatewayState::default()
        };
        let families = unreported(&run(None), Recency::Newest, Some(gateway));
        assert!(!families.contains(&LAST_ABANDONED.to_owned()), "{families:?}");
        assert!(!families.contains(&LAST_FAILURE.to_owned()), "{families:?}");
    }

    #[test]
    fn abandoned_run_is_not_found_before_its_start() {
        // The clock went back after the start at 10.
        let families = unreported_families(&run(None), 5.0, Recency::Newest, None);
        for name in [LAST_FAILURE, LAST_ABANDONED, "batch_job_last_completion_timestamp_seconds"] {
            assert!(families[name].ends_with(" 10\n"), "{}", families[name]);
        }
    }

    #[test]
    fn run_reports_the_records_that_it_counted_before_its_process_died() {
        let mut run = run(Some(Outcome::Error));
        let records = RecordCounts { processed: 5, failed: 2, skipped: 0 };
        run.finished = run.finished.map(|it| Finished { records: Some(records), ..it });
        let families = unreported_families(&run, 20.0, Recency::Newest, None);
        let text = &families["batch_job_last_run_records"];
        assert!(text.contains("{result=\"processed\"} 5\n"), "{text}");
        assert!(text.contains("{result=\"failed\"} 2\n"), "{text}");
    }

    #[test]
    fn superseded_run_reports_only_its_timestamp() {
        let newer = GatewayState {
            started_at: Some(12.0),
            completed_at: Some(13.0),
            ..GatewayState::default()
        };
        for (outcome, name) in [
            (None, Some(LAST_ABANDONED)),
            (Some(Outcome::Success), Some(LAST_SUCCESS)),
            (Some(Outcome::Panic), Some(LAST_FAILURE)),
            (Some(Outcome::Skipped), None),
        ] {
            let expected: Vec<_> = name.map(str::to_owned).into_iter().collect();
            assert_eq!(
                unreported(&run(outcome), Recency::Newest, Some(newer)),
                expected,
                "{outcome:?}"
            );
        }
        // A gateway that cannot be queried may have any state.
        assert_eq!(unreported(&run(None), Recency::Superseded, None), [LAST_ABANDONED]);
        assert_eq!(
            unreported(&run(Some(Outcome::Success)), Recency::Superseded, None),
            Vec::<String>::new()
        );
    }
}
