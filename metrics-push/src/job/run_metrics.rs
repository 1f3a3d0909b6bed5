//! The `batch_job_` families of one run: at its start, at each heartbeat and at its completion.
//!
//! They follow Prometheus' instrumentation practices for batch jobs: all are gauges, timestamps are Unix seconds, and a
//! later failure does not change the time of the last success.

use std::borrow::Cow;
use std::time::Duration;

use super::completion::{Cause, Completion};
use super::progress::Progress;
use super::resource_usage::{CpuSeconds, ResourceUsage};
use super::spec::JobSpec;
use super::timing::Timing;
use crate::clock::Moment;
use crate::finished_run::RecordCounts;
use crate::history::add_last_time;
use crate::metrics::Snapshot;
use crate::outcome::Outcome;
use crate::push_request::{
    LAST_ABANDONED, LAST_COMPLETION, LAST_FAILURE, LAST_SKIPPED, LAST_START, LAST_SUCCESS,
};

/// The minimum time that a deadline allows for the second run after a success, if the job has no `max_runtime`. Without
/// this time, the deadline would pass when that run starts, although one failure is allowed.
const MIN_RUNTIME: Duration = Duration::from_secs(60);

/// The values that the settings of a job determine. They are pushed with the start and again with the completion.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expectations<'a> {
    pub(super) timing: Option<Timing<'a>>,
    pub(super) grace: Option<Duration>,
    pub(super) failure_threshold: Option<u32>,
    pub(super) recovery_threshold: Option<u32>,
    pub(super) max_runtime: Option<Duration>,
    pub(super) heartbeat: Option<Duration>,
    pub(super) version: Cow<'a, str>,
}

impl From<&JobSpec> for Expectations<'static> {
    fn from(spec: &JobSpec) -> Self {
        Self {
            timing: spec.timing(),
            grace: spec.grace,
            failure_threshold: spec.failure_threshold,
            recovery_threshold: spec.recovery_threshold,
            max_runtime: spec.max_runtime,
            heartbeat: spec.heartbeat,
            version: spec.version.unwrap_or_default().into(),
        }
    }
}

/// Returns the families of a start. The completion exports each of them with the same value, so a start that the gateway
/// applies after the completion changes nothing. A run is open while its start is later than the last completion.
pub(super) fn start_metrics(expected: &Expectations<'_>, started_at: f64) -> Snapshot {
    let mut snapshot = Snapshot::default();
    add_expectations(&mut snapshot, expected, started_at);
    snapshot
}

/// Returns the families of a heartbeat.
pub(super) fn heartbeat_metrics(progress: &Progress, now: Moment) -> Snapshot {
    let mut snapshot = Snapshot::default();
    add_progress(&mut snapshot, progress);
    add_pushed_at(&mut snapshot, now.unix_seconds());
    snapshot
}

/// Returns the families of a completion. They include those of the start, so that one request is enough.
pub(super) fn completion_metrics(
    expected: &Expectations<'_>,
    progress: &Progress,
    completion: &Completion,
) -> Snapshot {
    let mut snapshot = Snapshot::default();
    add_expectations(&mut snapshot, expected, completion.started_at);
    add_outcome_states(&mut snapshot, completion.cause.outcome);
    add_timestamps(&mut snapshot, completion);
    if completion.cause.outcome == Outcome::Success {
        add_deadline_after(&mut snapshot, expected, completion);
    }
    if let Some(duration) = completion.duration {
        snapshot.gauge(
            "batch_job_last_run_duration_seconds",
            "Duration of the last run.",
            &[(&[], duration.as_secs_f64())],
        );
    }
    add_system_report(&mut snapshot, completion);
    add_progress(&mut snapshot, progress);
    add_usage(&mut snapshot, completion.usage);
    add_pushed_at(&mut snapshot, completion.finished_at);
    snapshot
}

fn add_expectations(snapshot: &mut Snapshot, expected: &Expectations<'_>, started_at: f64) {
    snapshot.gauge(LAST_START, "Time when the last run started.", &[(&[], started_at)]);
    if let Some(timing) = &expected.timing {
        add_timing(snapshot, timing, expected.grace, started_at);
    }
    for (name, help, threshold) in [
        (
            "batch_job_failure_threshold",
            "Number of failures in a row after which an alert fires.",
            expected.failure_threshold,
        ),
        (
            "batch_job_recovery_threshold",
            "Number of successes in a row after which the alert ends.",
            expected.recovery_threshold,
        ),
    ] {
        if let Some(threshold) = threshold {
            snapshot.gauge(name, help, &[(&[], threshold.into())]);
        }
    }
    if let Some(max_runtime) = expected.max_runtime {
        snapshot.gauge(
            "batch_job_max_runtime_seconds",
            "Longest time that a run may take.",
            &[(&[], max_runtime.as_secs_f64())],
        );
    }
    if let Some(interval) = expected.heartbeat {
        snapshot.gauge(
            "batch_job_heartbeat_interval_seconds",
            "Interval between the heartbeats of a run.",
            &[(&[], interval.as_secs_f64())],
        );
    }
    let (schedule, timezone) = match &expected.timing {
        Some(Timing::Schedule { expression, timezone }) => (&**expression, &**timezone),
        Some(Timing::Every(_)) | None => ("", ""),
    };
    let labels = [("schedule", schedule), ("timezone", timezone), ("version", &*expected.version)];
    snapshot.gauge("batch_job_info", "Version and schedule of the job.", &[(&labels, 1.0)]);
}

/// Adds when the next run is due, and the deadline of a success if it is always the same.
fn add_timing(
    snapshot: &mut Snapshot,
    timing: &Timing<'_>,
    grace: Option<Duration>,
    started_at: f64,
) {
    // The start of the run logs why a schedule is invalid.
    if let Ok(next_run) = timing.next_run(started_at) {
        snapshot.gauge(
            "batch_job_next_run_timestamp_seconds",
            "Time when the next run is due.",
            &[(&[], next_run)],
        );
        let grace = grace.unwrap_or_else(|| timing.default_grace());
        snapshot.gauge(
            "batch_job_start_grace_seconds",
            "How late a run may start.",
            &[(&[], grace.as_secs_f64())],
        );
    }
    if let Some(deadline) = timing.fixed_deadline() {
        add_deadline(snapshot, deadline);
    }
}

/// Adds the deadline of a success that depends on its time.
fn add_deadline_after(
    snapshot: &mut Snapshot,
    expected: &Expectations<'_>,
    completion: &Completion,
) {
    let Completion { started_at, finished_at, duration, .. } = *completion;
    let similar = || duration.unwrap_or_default().saturating_mul(2).max(MIN_RUNTIME);
    let runtime = expected.max_runtime.unwrap_or_else(similar);
    let timing = expected.timing.as_ref();
    let deadline =
        timing.and_then(|timing| timing.deadline_after(started_at, finished_at, runtime));
    if let Some(deadline) = deadline {
        add_deadline(snapshot, deadline);
    }
}

fn add_deadline(snapshot: &mut Snapshot, deadline: Duration) {
    snapshot.gauge(
        "batch_job_success_deadline_seconds",
        "Largest age that the last success may reach.",
        &[(&[], deadline.as_secs_f64())],
    );
}

fn add_outcome_states(snapshot: &mut Snapshot, current: Outcome) {
    let labels = Outcome::ALL.map(|outcome| [("outcome", outcome.as_str())]);
    let samples: Vec<_> = Outcome::ALL
        .iter()
        .zip(&labels)
        .map(|(outcome, labels)| (labels.as_slice(), f64::from(*outcome == current)))
        .collect();
    snapshot.gauge(
        "batch_job_last_run_outcome",
        "Outcome of the last completed run: 1 for the one that applies.",
        &samples,
    );
}

/// Adds the timestamps that alert rules compare. A skipped run is neither a success nor a failure.
fn add_timestamps(snapshot: &mut Snapshot, completion: &Completion) {
    let finished_at = completion.finished_at;
    snapshot.gauge(
        LAST_COMPLETION,
        "Time when the last run ended, with any outcome.",
        &[(&[], finished_at)],
    );
    match completion.cause.outcome {
        Outcome::Success => add_success(snapshot, completion),
        Outcome::Skipped => {
            add_last_time(snapshot, LAST_SKIPPED, finished_at);
            return;
        }
        Outcome::Abandoned => {
            add_failure(snapshot, completion);
            add_abandoned(snapshot, completion);
        }
        _ => add_failure(snapshot, completion),
    }
    snapshot.gauge(
        "batch_job_last_run_success",
        "Whether the last run succeeded.",
        &[(&[], f64::from(completion.cause.outcome == Outcome::Success))],
    );
}

pub(super) fn add_success(snapshot: &mut Snapshot, completion: &Completion) {
    add_last_time(snapshot, LAST_SUCCESS, completion.finished_at);
}

pub(super) fn add_failure(snapshot: &mut Snapshot, completion: &Completion) {
    add_last_time(snapshot, LAST_FAILURE, completion.finished_at);
}

/// Adds the time of an abandoned run. Unlike the outcome state, it stays when the next run ends.
pub(super) fn add_abandoned(snapshot: &mut Snapshot, completion: &Completion) {
    add_last_time(snapshot, LAST_ABANDONED, completion.finished_at);
}

fn add_progress(snapshot: &mut Snapshot, progress: &Progress) {
    if let Some(records) = progress.records {
        snapshot.gauge(
            "batch_job_last_run_records",
            "Number of records of the last run, by result.",
            &record_samples(records),
        );
    }
    if !progress.stages.is_empty() {
        let labels: Vec<_> =
            progress.stages.iter().map(|(name, _)| [("stage", name.as_str())]).collect();
        let samples: Vec<_> = labels
            .iter()
            .zip(&progress.stages)
            .map(|(labels, (_, duration))| (labels.as_slice(), duration.as_secs_f64()))
            .collect();
        snapshot.gauge(
            "batch_job_stage_duration_seconds",
            "Duration of each stage of the last run.",
            &samples,
        );
    }
    if let Some(ratio) = progress.ratio {
        snapshot.gauge(
            "batch_job_progress_ratio",
            "Completed fraction of the run, from 0 to 1.",
            &[(&[], ratio)],
        );
    }
}

/// Returns the samples of a family with the label `result`.
#[expect(clippy::cast_precision_loss, reason = "a sample is an f64")]
pub(super) fn record_samples(
    records: RecordCounts,
) -> [(&'static [(&'static str, &'static str)], f64); 3] {
    [
        (&[("result", "failed")], records.failed as f64),
        (&[("result", "processed")], records.processed as f64),
        (&[("result", "skipped")], records.skipped as f64),
    ]
}

/// Adds exit code, signal and core dump, 0 if there is none, so that they replace those of an earlier run. Adds the number
/// of panics if it is known.
fn add_system_report(snapshot: &mut Snapshot, completion: &Completion) {
    let mut gauge =
        |name: &str, help: &str, value: f64| snapshot.gauge(name, help, &[(&[], value)]);
    let Cause { exit_code, signal, core_dumped, .. } = completion.cause;
    gauge(
        "batch_job_last_run_exit_code",
        "Exit code of the last run, 0 if there is none.",
        exit_code.unwrap_or(0).into(),
    );
    gauge(
        "batch_job_last_run_signal",
        "Number of the signal that ended the last run, 0 if there is none.",
        signal.unwrap_or(0).into(),
    );
    gauge(
        "batch_job_last_run_core_dumped",
        "Whether the last run dumped core.",
        core_dumped.unwrap_or(false).into(),
    );
    if let Some(panics) = completion.panics {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is an f64")]
        gauge(
            "batch_job_last_run_panics",
            "Number of panics during the last run on any thread, including caught ones.",
            panics as f64,
        );
    }
}

fn add_usage(snapshot: &mut Snapshot, usage: ResourceUsage) {
    if let Some(CpuSeconds { user, system }) = usage.cpu {
        snapshot.gauge(
            "batch_job_last_run_cpu_seconds",
            "CPU time of the last run, by mode.",
            &[(&[("mode", "system")], system), (&[("mode", "user")], user)],
        );
    }
    if let Some(bytes) = usage.max_resident_bytes {
        snapshot.gauge(
            "batch_job_last_run_max_resident_memory_bytes",
            "Peak resident memory of the last run.",
            &[(&[], bytes)],
        );
    }
}

/// Adds the time of the push by the client's clock. Alert rules compare it with the gateway's clock.
fn add_pushed_at(snapshot: &mut Snapshot, now: f64) {
    snapshot.gauge(
        "batch_job_pushed_at_timestamp_seconds",
        "Time of the last heartbeat or completion, by the clock of the job's machine.",
        &[(&[], now)],
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(snapshot: &Snapshot) -> Vec<String> {
        snapshot.clone().encode().into_keys().map(|name| name.replace("batch_job_", "")).collect()
    }

    fn completion(outcome: Outcome) -> Completion {
        let now = Moment::now();
        let mut completion = Completion::between(now, now, now, outcome.into());
        completion.duration = Some(Duration::from_millis(1_500));
        completion
    }

    fn spec() -> JobSpec {
        JobSpec::new(Cow::Borrowed("job"))
    }

    fn expected() -> Expectations<'static> {
        Expectations::from(&spec())
    }

    fn metrics_of(outcome: Outcome) -> Snapshot {
        completion_metrics(&expected(), &Progress::default(), &completion(outcome))
    }

    #[test]
    fn last_success_is_set_by_a_success_only() {
        for outcome in Outcome::ALL {
            let names = names(&metrics_of(outcome));
            let has = |name: &str| names.iter().any(|known| known == name);
            assert_eq!(
                has("last_success_timestamp_seconds"),
                outcome == Outcome::Success,
                "{outcome}: {names:?}"
            );
            assert_eq!(
                has("last_failure_timestamp_seconds"),
                outcome.is_failure(),
                "{outcome}: {names:?}"
            );
            assert_eq!(has("last_run_success"), outcome != Outcome::Skipped, "{outcome}");
        }
    }

    #[test]
    fn completion_sets_one_outcome() {
        let states =
            |snapshot: &Snapshot| snapshot.clone().encode()["batch_job_last_run_outcome"].clone();
        for outcome in Outcome::ALL {
            let text = states(&metrics_of(outcome));
            assert!(text.contains(&format!("{{outcome=\"{outcome}\"}} 1\n")), "{text}");
            assert_eq!(text.matches(" 0\n").count(), Outcome::ALL.len() - 1, "{text}");
        }
    }

    #[test]
    fn start_after_its_completion_changes_nothing() {
        let job = JobSpec {
            every: Some(Duration::from_secs(60)),
            max_runtime: Some(Duration::from_secs(7)),
            heartbeat: Some(Duration::from_secs(1)),
            version: Some("1"),
            ..spec()
        };
        let expected = Expectations::from(&job);
        for outcome in Outcome::ALL {
            let completion = completion(outcome);
            let start = start_metrics(&expected, completion.started_at).encode();
            let end = completion_metrics(&expected, &Progress::default(), &completion).encode();
            for (name, text) in start {
                assert_eq!(end.get(&name), Some(&text), "{outcome}: {name}");
            }
        }
    }

    #[test]
    fn deadline_is_twice_the_interval() {
        let job = JobSpec { every: Some(Duration::from_secs(86_400)), ..spec() };
        let text = start_metrics(&Expectations::from(&job), 0.0).encode();
        assert!(text["batch_job_success_deadline_seconds"].ends_with(" 172800\n"));
    }

    #[test]
    fn next_run_is_exported_with_the_start_and_every_completion() {
        let job = JobSpec { every: Some(Duration::from_secs(86_400)), ..spec() };
        let with = Expectations::from(&job);
        let graced = Expectations { grace: Some(Duration::from_secs(5)), ..with.clone() };
        let ended = Completion::at(Outcome::Error.into(), 10.0, 20.0);
        for (expected, grace) in [(with, " 43200\n"), (graced, " 5\n")] {
            for snapshot in [
                start_metrics(&expected, 10.0),
                completion_metrics(&expected, &Progress::default(), &ended),
            ] {
                let text = snapshot.clone().encode();
                assert!(text["batch_job_next_run_timestamp_seconds"].ends_with(" 86410\n"));
                assert!(text["batch_job_start_grace_seconds"].ends_with(grace), "{text:?}");
            }
        }
        let names = names(&start_metrics(&expected(), 10.0));
        for name in ["next_run_timestamp_seconds", "start_grace_seconds"] {
            assert!(!names.contains(&name.to_owned()), "{names:?}");
        }
    }

    #[test]
    fn thresholds_are_exported_if_configured() {
        let job = JobSpec { failure_threshold: Some(3), recovery_threshold: Some(2), ..spec() };
        let text = start_metrics(&Expectations::from(&job), 0.0).encode();
        assert!(text["batch_job_failure_threshold"].ends_with(" 3\n"));
        assert!(text["batch_job_recovery_threshold"].ends_with(" 2\n"));
        let names = names(&start_metrics(&expected(), 0.0));
        assert!(!names.iter().any(|name| name.ends_with("threshold")), "{names:?}");
    }

    #[cfg(feature = "schedule")]
    mod schedule {
        use super::*;

        fn scheduled() -> Expectations<'static> {
            let schedule = Some("0 3 * * 1-5");
            Expectations::from(&JobSpec { schedule, timezone: "Europe/Berlin", ..spec() })
        }

        #[test]
        fn deadline_of_a_schedule_is_exported_with_a_success_only() {
            for outcome in Outcome::ALL {
                let names = names(&completion_metrics(
                    &scheduled(),
                    &Progress::default(),
                    &completion(outcome),
                ));
                let has_deadline = names.contains(&"success_deadline_seconds".to_owned());
                assert_eq!(has_deadline, outcome == Outcome::Success, "{outcome}: {names:?}");
                assert!(names.contains(&"next_run_timestamp_seconds".to_owned()), "{outcome}");
            }
            let start = names(&start_metrics(&scheduled(), 0.0));
            assert!(!start.contains(&"success_deadline_seconds".to_owned()), "{start:?}");
        }

        #[test]
        fn deadline_of_a_schedule_leaves_time_for_the_second_run() {
            let hourly = JobSpec { schedule: Some("0 * * * *"), timezone: "UTC", ..spec() };
            let limited = JobSpec { max_runtime: Some(Duration::from_secs(7)), ..hourly.clone() };
            for (job, duration, runtime) in
                [(&hourly, 5.0, 60), (&hourly, 600.0, 1_200), (&limited, 600.0, 7)]
            {
                let duration = Duration::from_secs_f64(duration);
                let ended = Completion::at(Outcome::Success.into(), 0.0, duration.as_secs_f64());
                let ended = Completion { duration: Some(duration), ..ended };
                let expected = Expectations::from(job);
                let text = completion_metrics(&expected, &Progress::default(), &ended).encode();
                let deadline = 7_200 - duration.as_secs() + runtime;
                let text = &text["batch_job_success_deadline_seconds"];
                assert!(text.ends_with(&format!(" {deadline}\n")), "{text}");
            }
        }

        #[test]
        fn info_has_the_schedule_and_its_time_zone() {
            for (expected, sample) in [
                (
                    scheduled(),
                    r#"batch_job_info{schedule="0 3 * * 1-5",timezone="Europe/Berlin"} 1"#,
                ),
                (expected(), "batch_job_info 1"),
            ] {
                let info = start_metrics(&expected, 0.0).encode()["batch_job_info"].clone();
                assert!(info.contains(sample), "{info}");
            }
        }

        #[test]
        fn invalid_schedule_exports_no_times() {
            let names = names(&completion_metrics(
                &Expectations::from(&JobSpec { schedule: Some("never"), ..spec() }),
                &Progress::default(),
                &completion(Outcome::Success),
            ));
            for name in
                ["next_run_timestamp_seconds", "start_grace_seconds", "success_deadline_seconds"]
            {
                assert!(!names.contains(&name.to_owned()), "{names:?}");
            }
        }
    }

    #[test]
    fn heartbeat_interval_is_exported_if_configured() {
        let job = JobSpec { heartbeat: Some(Duration::from_millis(1_500)), ..spec() };
        let with = Expectations::from(&job);
        let end = |expected| {
            completion_metrics(expected, &Progress::default(), &completion(Outcome::Error))
        };
        for snapshot in [start_metrics(&with, 0.0), end(&with)] {
            let text = snapshot.clone().encode();
            assert!(text["batch_job_heartbeat_interval_seconds"].ends_with(" 1.5\n"), "{text:?}");
        }
        for snapshot in [start_metrics(&expected(), 0.0), end(&expected())] {
            assert!(!names(&snapshot).contains(&"heartbeat_interval_seconds".to_owned()));
        }
    }

    #[test]
    fn completion_exports_duration_records_and_stages() {
        let progress = Progress {
            records: Some(RecordCounts { processed: 5, failed: 1, skipped: 0 }),
            stages: vec![("load".to_owned(), Duration::from_millis(250))],
            ratio: Some(0.5),
            ..Progress::default()
        };
        let text = completion_metrics(&expected(), &progress, &completion(Outcome::Error)).encode();
        assert!(text["batch_job_last_run_duration_seconds"].ends_with(" 1.5\n"));
        assert!(text["batch_job_last_run_records"].contains("{result=\"processed\"} 5\n"));
        assert!(text["batch_job_stage_duration_seconds"].contains("{stage=\"load\"} 0.25\n"));
        assert!(text["batch_job_progress_ratio"].ends_with(" 0.5\n"));
    }

    #[test]
    fn every_completion_exports_exit_code_signal_and_core_dump() {
        let metrics = |cause| {
            completion_metrics(
                &expected(),
                &Progress::default(),
                &Completion { cause, ..completion(Outcome::ExitCode) },
            )
            .encode()
        };
        let exited = metrics(Cause::from_exit(Outcome::ExitCode, Some(3)));
        assert!(exited["batch_job_last_run_exit_code"].ends_with(" 3\n"));
        assert!(exited["batch_job_last_run_signal"].ends_with(" 0\n"));
        assert!(exited["batch_job_last_run_core_dumped"].ends_with(" 0\n"));
        let signalled = metrics(Cause::from_signal(Outcome::Signal, 15));
        assert!(signalled["batch_job_last_run_signal"].ends_with(" 15\n"));
        assert!(signalled["batch_job_last_run_exit_code"].ends_with(" 0\n"));
        // Only a whole process counts its panics.
        assert!(!signalled.contains_key("batch_job_last_run_panics"));
        for outcome in Outcome::ALL {
            let families = metrics_of(outcome).encode();
            for name in ["exit_code", "signal", "core_dumped"] {
                let family = &families[&format!("batch_job_last_run_{name}")];
                assert!(family.ends_with(" 0\n"), "{outcome}: {family}");
            }
        }
    }

    #[test]
    fn records_are_left_out_if_none_were_counted() {
        assert!(!names(&metrics_of(Outcome::Success)).contains(&"last_run_records".to_owned()));
    }
}
