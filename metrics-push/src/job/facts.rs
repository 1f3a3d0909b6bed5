//! The `batch_job_` families of one run: what is known at its start, on the way and at its end.
//!
//! Names and reasons are those of Prometheus' instrumentation practices for batch jobs: everything is a gauge,
//! instants are Unix seconds, and the last success survives whatever comes after it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::ending::{Cause, Ending};
use super::usage::Usage;
use super::{Job, Outcome};
use crate::clock::Moment;
use crate::metrics::Snapshot;

// What is read back, so that nothing that is newer moves back.
pub(super) const OUTCOME: &str = "batch_job_last_run_outcome";
pub(super) const LAST_START: &str = "batch_job_last_start_timestamp_seconds";
pub(super) const LAST_SUCCESS: &str = "batch_job_last_success_timestamp_seconds";
pub(super) const LAST_FAILURE: &str = "batch_job_last_failure_timestamp_seconds";
pub(super) const LAST_ABANDONED: &str = "batch_job_last_abandoned_timestamp_seconds";

/// What a run has told of itself so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    pub(super) records: Option<Records>,
    pub(super) stages: BTreeMap<String, Duration>,
    pub(super) ratio: Option<f64>,
}

/// Counts of this run alone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Records {
    pub(super) processed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

/// What is known of a run before its end: it is pushed with the start and once more with the end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expectations<'a> {
    pub(super) deadline: Option<Duration>,
    pub(super) max_runtime: Option<Duration>,
    pub(super) heartbeat: Option<Duration>,
    pub(super) version: Cow<'a, str>,
}

impl Expectations<'static> {
    pub(super) fn of(job: &Job) -> Self {
        Self {
            deadline: job.success_deadline(),
            max_runtime: job.max_runtime,
            heartbeat: job.heartbeat,
            version: job.version.unwrap_or_default().into(),
        }
    }
}

/// What is pushed when a run begins. No outcome holds while it lasts.
pub(super) fn at_start(expected: &Expectations<'_>, started: f64) -> Snapshot {
    let mut snapshot = Snapshot::default();
    expectations(&mut snapshot, expected, started);
    outcome_states(&mut snapshot, None);
    pushed_at(&mut snapshot, started);
    snapshot
}

/// What is pushed on the way: a sign of life.
pub(super) fn on_the_way(progress: &Progress, now: Moment) -> Snapshot {
    let mut snapshot = Snapshot::default();
    told(&mut snapshot, progress);
    pushed_at(&mut snapshot, now.unix_seconds());
    snapshot
}

/// What is pushed when a run has ended. Together with [`at_start`]'s families, so that one request tells it all.
pub(super) fn at_end(
    expected: &Expectations<'_>,
    progress: &Progress,
    ending: &Ending,
) -> Snapshot {
    let mut snapshot = Snapshot::default();
    expectations(&mut snapshot, expected, ending.started);
    outcome_states(&mut snapshot, Some(ending.cause.outcome));
    instants(&mut snapshot, ending);
    if let Some(duration) = ending.duration {
        snapshot.gauge(
            "batch_job_last_run_duration_seconds",
            "How long the last run took.",
            &[(&[], duration.as_secs_f64())],
        );
    }
    said_by_the_system(&mut snapshot, ending);
    told(&mut snapshot, progress);
    used(&mut snapshot, ending.usage);
    pushed_at(&mut snapshot, ending.ended);
    snapshot
}

fn expectations(snapshot: &mut Snapshot, expected: &Expectations<'_>, started: f64) {
    snapshot.gauge(LAST_START, "When the last run started.", &[(&[], started)]);
    if let Some(deadline) = expected.deadline {
        snapshot.gauge(
            "batch_job_success_deadline_seconds",
            "How old the last success may become.",
            &[(&[], deadline.as_secs_f64())],
        );
    }
    if let Some(max_runtime) = expected.max_runtime {
        snapshot.gauge(
            "batch_job_max_runtime_seconds",
            "How long a run may take.",
            &[(&[], max_runtime.as_secs_f64())],
        );
    }
    if let Some(interval) = expected.heartbeat {
        snapshot.gauge(
            "batch_job_heartbeat_interval_seconds",
            "How often a run gives a sign of life.",
            &[(&[], interval.as_secs_f64())],
        );
    }
    let version = [("version", &*expected.version)];
    snapshot.gauge("batch_job_info", "What runs.", &[(&version, 1.0)]);
}

fn outcome_states(snapshot: &mut Snapshot, holds: Option<Outcome>) {
    let labels = Outcome::ALL.map(|outcome| [("outcome", outcome.as_str())]);
    let samples: Vec<_> = Outcome::ALL
        .iter()
        .zip(&labels)
        .map(|(outcome, labels)| (labels.as_slice(), f64::from(Some(*outcome) == holds)))
        .collect();
    snapshot.gauge(OUTCOME, "How the last run ended: 1 for what it was.", &samples);
}

/// The time stamps that alert rules compare. A skipped run is neither a success nor a failure.
fn instants(snapshot: &mut Snapshot, ending: &Ending) {
    let ended = ending.ended;
    snapshot.gauge(
        "batch_job_last_completion_timestamp_seconds",
        "When the last run ended, however it did.",
        &[(&[], ended)],
    );
    match ending.cause.outcome {
        Outcome::Success => success(snapshot, ending),
        Outcome::Skipped => {
            snapshot.gauge(
                "batch_job_last_skipped_timestamp_seconds",
                "When a run last had nothing to do.",
                &[(&[], ended)],
            );
            return;
        }
        Outcome::Abandoned => {
            failure(snapshot, ending);
            abandoned(snapshot, ending);
        }
        _ => failure(snapshot, ending),
    }
    snapshot.gauge(
        "batch_job_last_run_success",
        "Whether the last run succeeded.",
        &[(&[], f64::from(ending.cause.outcome == Outcome::Success))],
    );
}

pub(super) fn success(snapshot: &mut Snapshot, ending: &Ending) {
    snapshot.gauge(LAST_SUCCESS, "When a run last succeeded.", &[(&[], ending.ended)]);
}

pub(super) fn failure(snapshot: &mut Snapshot, ending: &Ending) {
    snapshot.gauge(LAST_FAILURE, "When a run last failed.", &[(&[], ending.ended)]);
}

/// It stays when the next run starts, which sets all outcomes to 0.
pub(super) fn abandoned(snapshot: &mut Snapshot, ending: &Ending) {
    snapshot.gauge(
        LAST_ABANDONED,
        "When a run was last found whose process is gone.",
        &[(&[], ending.ended)],
    );
}

fn told(snapshot: &mut Snapshot, progress: &Progress) {
    if let Some(records) = progress.records {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is an f64")]
        let samples = [
            (&[("result", "processed")][..], records.processed as f64),
            (&[("result", "failed")][..], records.failed as f64),
            (&[("result", "skipped")][..], records.skipped as f64),
        ];
        snapshot.gauge(
            "batch_job_last_run_records",
            "Records of the last run, by result.",
            &samples,
        );
    }
    if !progress.stages.is_empty() {
        let labels: Vec<_> =
            progress.stages.keys().map(|name| [("stage", name.as_str())]).collect();
        let samples: Vec<_> = labels
            .iter()
            .zip(progress.stages.values())
            .map(|(labels, duration)| (labels.as_slice(), duration.as_secs_f64()))
            .collect();
        snapshot.gauge(
            "batch_job_stage_duration_seconds",
            "How long each stage of the last run took.",
            &samples,
        );
    }
    if let Some(ratio) = progress.ratio {
        snapshot.gauge("batch_job_progress_ratio", "How much of the run is done.", &[(&[], ratio)]);
    }
}

/// Exit code, signal and panics, each where it is known.
fn said_by_the_system(snapshot: &mut Snapshot, ending: &Ending) {
    let mut gauge = |name: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            snapshot.gauge(name, help, &[(&[], value)]);
        }
    };
    let Cause { exit_code, signal, core_dumped, .. } = ending.cause;
    gauge(
        "batch_job_last_run_exit_code",
        "The code the last run exited with.",
        exit_code.map(f64::from),
    );
    gauge(
        "batch_job_last_run_signal",
        "The signal that ended the last run.",
        signal.map(f64::from),
    );
    gauge(
        "batch_job_last_run_core_dumped",
        "Whether the last run left a core dump.",
        core_dumped.map(f64::from),
    );
    #[expect(clippy::cast_precision_loss, reason = "a gauge is an f64")]
    gauge(
        "batch_job_last_run_panics",
        "Panics during the last run, on any thread, those that were caught included.",
        ending.panics.map(|panics| panics as f64),
    );
}

fn used(snapshot: &mut Snapshot, usage: Option<Usage>) {
    let Some(usage) = usage else { return };
    snapshot.gauge(
        "batch_job_last_run_cpu_seconds",
        "Processor time the last run used.",
        &[(&[("mode", "user")], usage.user_seconds), (&[("mode", "system")], usage.system_seconds)],
    );
    snapshot.gauge(
        "batch_job_last_run_max_resident_memory_bytes",
        "The most memory the last run had resident.",
        &[(&[], usage.max_resident_bytes)],
    );
}

/// The client's clock, to be compared with the gateway's.
fn pushed_at(snapshot: &mut Snapshot, now: f64) {
    snapshot.gauge(
        "batch_job_pushed_at_timestamp_seconds",
        "When this was pushed, by the job's clock.",
        &[(&[], now)],
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push_request::encode;

    fn names(snapshot: &Snapshot) -> Vec<String> {
        encode(snapshot).into_keys().map(|name| name.replace("batch_job_", "")).collect()
    }

    fn ending(outcome: Outcome) -> Ending {
        let mut ending = Ending::between(Moment::now(), Moment::now(), outcome.into());
        ending.duration = Some(Duration::from_millis(1_500));
        ending
    }

    fn expected() -> Expectations<'static> {
        Expectations::of(&Job::new("job"))
    }

    fn at_end_of(outcome: Outcome) -> Snapshot {
        at_end(&expected(), &Progress::default(), &ending(outcome))
    }

    #[test]
    fn only_a_success_carries_the_last_success() {
        for outcome in Outcome::ALL {
            let names = names(&at_end_of(outcome));
            let has = |name: &str| names.iter().any(|known| known == name);
            assert_eq!(
                has("last_success_timestamp_seconds"),
                outcome == Outcome::Success,
                "{outcome}: {names:?}"
            );
            let is_failure = !matches!(outcome, Outcome::Success | Outcome::Skipped);
            assert_eq!(has("last_failure_timestamp_seconds"), is_failure, "{outcome}: {names:?}");
            assert_eq!(has("last_run_success"), outcome != Outcome::Skipped, "{outcome}");
        }
    }

    #[test]
    fn exactly_one_outcome_holds_at_the_end_and_none_before() {
        let states = |snapshot: &Snapshot| encode(snapshot)["batch_job_last_run_outcome"].clone();
        for outcome in Outcome::ALL {
            let text = states(&at_end_of(outcome));
            assert!(text.contains(&format!("{{outcome=\"{outcome}\"}} 1\n")), "{text}");
            assert_eq!(text.matches(" 0\n").count(), Outcome::ALL.len() - 1, "{text}");
        }
        let text = states(&at_start(&expected(), 0.0));
        assert_eq!(text.matches(" 0\n").count(), Outcome::ALL.len(), "{text}");
    }

    #[test]
    fn the_deadline_leaves_room_for_one_more_interval() {
        let job = Job::new("job").every(Duration::from_secs(86_400));
        let text = encode(&at_start(&Expectations::of(&job), 0.0));
        assert!(text["batch_job_success_deadline_seconds"].ends_with(" 172800\n"));
    }

    #[test]
    fn the_heartbeat_is_told_from_start_to_end_by_those_who_have_one() {
        let job = Job::new("job").heartbeat(Duration::from_millis(1_500));
        let with = Expectations::of(&job);
        let end = |expected| at_end(expected, &Progress::default(), &ending(Outcome::Error));
        for snapshot in [at_start(&with, 0.0), end(&with)] {
            let text = encode(&snapshot);
            assert!(text["batch_job_heartbeat_interval_seconds"].ends_with(" 1.5\n"), "{text:?}");
        }
        for snapshot in [at_start(&expected(), 0.0), end(&expected())] {
            assert!(!names(&snapshot).contains(&"heartbeat_interval_seconds".to_owned()));
        }
    }

    #[test]
    fn duration_records_and_stages_are_told() {
        let progress = Progress {
            records: Some(Records { processed: 5, failed: 1, skipped: 0 }),
            stages: [("load".to_owned(), Duration::from_millis(250))].into(),
            ratio: Some(0.5),
        };
        let text = encode(&at_end(&expected(), &progress, &ending(Outcome::Error)));
        assert!(text["batch_job_last_run_duration_seconds"].ends_with(" 1.5\n"));
        assert!(text["batch_job_last_run_records"].contains("{result=\"processed\"} 5\n"));
        assert!(text["batch_job_stage_duration_seconds"].contains("{stage=\"load\"} 0.25\n"));
        assert!(text["batch_job_progress_ratio"].ends_with(" 0.5\n"));
    }

    #[test]
    fn only_what_the_system_said_is_told() {
        let of = |cause| {
            encode(&at_end(
                &expected(),
                &Progress::default(),
                &Ending { cause, ..ending(Outcome::ExitCode) },
            ))
        };
        let exited = of(Cause::of_exit(Outcome::ExitCode, Some(3)));
        assert!(exited["batch_job_last_run_exit_code"].ends_with(" 3\n"));
        assert!(!exited.contains_key("batch_job_last_run_signal"));
        let ended = of(Cause::of_signal(Outcome::Signal, 15));
        assert!(ended["batch_job_last_run_signal"].ends_with(" 15\n"));
        assert!(!ended.contains_key("batch_job_last_run_exit_code"));
        assert!(!ended.contains_key("batch_job_last_run_panics"));
    }

    #[test]
    fn a_run_that_counted_nothing_claims_no_zero() {
        assert!(!names(&at_end_of(Outcome::Success)).contains(&"last_run_records".to_owned()));
    }
}
