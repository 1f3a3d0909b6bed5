//! The `batch_job_` families of one run: what is known at its start, on the way and at its end.
//!
//! Names and reasons are those of Prometheus' instrumentation practices for batch jobs: everything is a gauge,
//! instants are Unix seconds, and the last success survives whatever comes after it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::usage::Usage;
use super::{Job, Outcome};
use crate::clock::Moment;
use crate::metrics::Snapshot;

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

/// How and when a run came to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) outcome: Outcome,
    pub(super) started: Moment,
    pub(super) ended: Moment,
    /// Of the process, where the run is all that it did.
    pub(super) usage: Option<Usage>,
}

/// What is pushed when a run begins. No outcome holds while it lasts.
pub(super) fn at_start(job: &Job, started: Moment) -> Snapshot {
    let mut snapshot = Snapshot::default();
    expectations(&mut snapshot, job, started);
    outcome_states(&mut snapshot, None);
    pushed_at(&mut snapshot, started);
    snapshot
}

/// What is pushed on the way: a sign of life.
pub(super) fn on_the_way(progress: &Progress, now: Moment) -> Snapshot {
    let mut snapshot = Snapshot::default();
    told(&mut snapshot, progress);
    pushed_at(&mut snapshot, now);
    snapshot
}

/// What is pushed when a run has ended. Together with [`at_start`]'s families, so that one request tells it all.
pub(super) fn at_end(job: &Job, progress: &Progress, ending: &Ending) -> Snapshot {
    let mut snapshot = Snapshot::default();
    expectations(&mut snapshot, job, ending.started);
    outcome_states(&mut snapshot, Some(ending.outcome));
    instants(&mut snapshot, ending);
    snapshot.gauge(
        "batch_job_last_run_duration_seconds",
        "How long the last run took.",
        &[(&[], ending.ended.since(ending.started).as_secs_f64())],
    );
    told(&mut snapshot, progress);
    used(&mut snapshot, ending.usage);
    pushed_at(&mut snapshot, ending.ended);
    snapshot
}

fn expectations(snapshot: &mut Snapshot, job: &Job, started: Moment) {
    snapshot.gauge(
        "batch_job_last_start_timestamp_seconds",
        "When the last run started.",
        &[(&[], started.unix_seconds())],
    );
    if let Some(deadline) = job.success_deadline() {
        snapshot.gauge(
            "batch_job_success_deadline_seconds",
            "How old the last success may become.",
            &[(&[], deadline.as_secs_f64())],
        );
    }
    if let Some(max_runtime) = job.max_runtime {
        snapshot.gauge(
            "batch_job_max_runtime_seconds",
            "How long a run may take.",
            &[(&[], max_runtime.as_secs_f64())],
        );
    }
    let version = job.version.unwrap_or_default();
    snapshot.gauge("batch_job_info", "What runs.", &[(&[("version", version)], 1.0)]);
}

fn outcome_states(snapshot: &mut Snapshot, holds: Option<Outcome>) {
    let labels = Outcome::ALL.map(|outcome| [("outcome", outcome.as_str())]);
    let samples: Vec<_> = Outcome::ALL
        .iter()
        .zip(&labels)
        .map(|(outcome, labels)| (labels.as_slice(), f64::from(Some(*outcome) == holds)))
        .collect();
    snapshot.gauge(
        "batch_job_last_run_outcome",
        "How the last run ended: 1 for what it was.",
        &samples,
    );
}

/// The time stamps that alert rules compare. A skipped run is neither a success nor a failure.
fn instants(snapshot: &mut Snapshot, ending: &Ending) {
    let ended = ending.ended.unix_seconds();
    snapshot.gauge(
        "batch_job_last_completion_timestamp_seconds",
        "When the last run ended, however it did.",
        &[(&[], ended)],
    );
    let (name, help) = match ending.outcome {
        Outcome::Success => {
            ("batch_job_last_success_timestamp_seconds", "When a run last succeeded.")
        }
        Outcome::Skipped => {
            snapshot.gauge(
                "batch_job_last_skipped_timestamp_seconds",
                "When a run last had nothing to do.",
                &[(&[], ended)],
            );
            return;
        }
        _ => ("batch_job_last_failure_timestamp_seconds", "When a run last failed."),
    };
    snapshot.gauge(name, help, &[(&[], ended)]);
    snapshot.gauge(
        "batch_job_last_run_success",
        "Whether the last run succeeded.",
        &[(&[], f64::from(ending.outcome == Outcome::Success))],
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
fn pushed_at(snapshot: &mut Snapshot, now: Moment) {
    snapshot.gauge(
        "batch_job_pushed_at_timestamp_seconds",
        "When this was pushed, by the job's clock.",
        &[(&[], now.unix_seconds())],
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parcel::encode;

    fn names(snapshot: &Snapshot) -> Vec<String> {
        encode(snapshot).into_keys().map(|name| name.replace("batch_job_", "")).collect()
    }

    fn ending(outcome: Outcome) -> Ending {
        let started = Moment::now();
        Ending { outcome, started, ended: started.after(Duration::from_millis(1_500)), usage: None }
    }

    fn at_end_of(outcome: Outcome) -> Snapshot {
        at_end(&Job::new("job"), &Progress::default(), &ending(outcome))
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
        let text = states(&at_start(&Job::new("job"), Moment::now()));
        assert_eq!(text.matches(" 0\n").count(), Outcome::ALL.len(), "{text}");
    }

    #[test]
    fn the_deadline_leaves_room_for_one_more_interval() {
        let job = Job::new("job").every(Duration::from_secs(86_400));
        let text = encode(&at_start(&job, Moment::now()));
        assert!(text["batch_job_success_deadline_seconds"].ends_with(" 172800\n"));
    }

    #[test]
    fn duration_records_and_stages_are_told() {
        let progress = Progress {
            records: Some(Records { processed: 5, failed: 1, skipped: 0 }),
            stages: [("load".to_owned(), Duration::from_millis(250))].into(),
            ratio: Some(0.5),
        };
        let text = encode(&at_end(&Job::new("job"), &progress, &ending(Outcome::Error)));
        assert!(text["batch_job_last_run_duration_seconds"].ends_with(" 1.5\n"));
        assert!(text["batch_job_last_run_records"].contains("{result=\"processed\"} 5\n"));
        assert!(text["batch_job_stage_duration_seconds"].contains("{stage=\"load\"} 0.25\n"));
        assert!(text["batch_job_progress_ratio"].ends_with(" 0.5\n"));
    }

    #[test]
    fn a_run_that_counted_nothing_claims_no_zero() {
        assert!(!names(&at_end_of(Outcome::Success)).contains(&"last_run_records".to_owned()));
    }
}
