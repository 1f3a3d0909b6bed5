//! `RuleState`: the alert rules about the runs of a job, judged by their limits.

use crate::humanize::duration;
use crate::jobs::{Job, LocalClock, State};

pub(super) struct RuleState {
    pub(super) name: &'static str,
    pub(super) is_firing: bool,
    pub(super) condition: String,
}

/// Returns the rules that watch the runs of the job, the ones that fire first.
pub(super) fn rules(job: &Job, clock: &LocalClock) -> Vec<RuleState> {
    let rules = [
        failed(job),
        no_recent_success(job),
        never_succeeded(job),
        missed_run(job, clock),
        vanished(job, clock),
        push_rejected(job),
    ];
    let mut rules: Vec<_> = rules.into_iter().flatten().collect();
    rules.sort_by_key(|rule| !rule.is_firing);
    rules
}

fn rule(name: &'static str, is_firing: bool, condition: String) -> RuleState {
    RuleState { name, is_firing, condition }
}

fn failed(job: &Job) -> Option<RuleState> {
    let (failures, threshold) = (job.facts.failures(), job.facts.threshold());
    let is_firing = job.facts.is_failing && failures >= threshold;
    job.facts.start.or(job.facts.completion)?;
    Some(rule("BatchJobFailed", is_firing, format!("{failures} of {threshold} failures in a row")))
}

fn no_recent_success(job: &Job) -> Option<RuleState> {
    let condition = job.success_clause().filter(|_| job.facts.deadline.is_some())?;
    Some(rule("BatchJobNoRecentSuccess", job.is_success_too_old(), condition))
}

fn never_succeeded(job: &Job) -> Option<RuleState> {
    let limit = job.facts.first_success_limit().filter(|_| job.facts.success.is_none())?;
    let condition = format!("no success yet, allowed {}", duration(limit));
    Some(rule("BatchJobNeverSucceeded", job.state == State::NoSuccess, condition))
}

fn missed_run(job: &Job, clock: &LocalClock) -> Option<RuleState> {
    let next = job.facts.next_run?;
    let grace =
        job.facts.grace.map_or(String::new(), |grace| format!(", grace {}", duration(grace)));
    Some(rule(
        "BatchJobMissedRun",
        job.is_late(),
        format!("next run {}{grace}", clock.moment(next)),
    ))
}

fn vanished(job: &Job, clock: &LocalClock) -> Option<RuleState> {
    let start = job.facts.start?;
    let limit = duration(job.facts.run_limit());
    let condition = if job.facts.is_open() {
        format!("open for {}, allowed {limit}", duration(clock.now() - start))
    } else {
        format!("no run is open, allowed {limit}")
    };
    Some(rule("BatchJobVanished", job.state == State::Vanished, condition))
}

fn push_rejected(job: &Job) -> Option<RuleState> {
    let condition = "the gateway rejected the last push";
    job.facts.is_refused.then(|| rule("BatchJobPushRejected", true, condition.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::morning;

    const FILES: [&str; 3] = [
        include_str!("../../monitoring/rules/delivery.yaml"),
        include_str!("../../monitoring/rules/runs.yaml"),
        include_str!("../../monitoring/rules/schedule.yaml"),
    ];

    /// The expression of a rule of the shipped files, without line breaks.
    fn expression(rule: &str) -> String {
        let text = FILES.concat();
        let (_, rest) = text.split_once(&format!(": {rule}\n")).unwrap_or_else(|| panic!("{rule}"));
        let (_, rest) = rest.split_once("expr:").unwrap();
        let is_end = |line: &&str| {
            ["labels:", "- record:", "- alert:", "#"].iter().any(|end| line.trim().starts_with(end))
        };
        let lines = rest.lines().take_while(|line| !is_end(line));
        lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rules_of_the_page_are_shipped_rules() {
        let morning = morning::overview();
        let mut names: Vec<_> = morning
            .jobs
            .iter()
            .flat_map(|job| rules(job, &morning.clock))
            .map(|rule| rule.name)
            .collect();
        names.push("BatchJobPushRejected");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 6, "{names:?}");
        for name in names {
            assert!(!expression(name).is_empty(), "{name}");
        }
    }

    /// The page computes these conditions in `jobs/facts.rs`, `jobs/state.rs` and `jobs/missed_runs.rs`. If this test fails,
    /// compare them with the changed rule.
    #[test]
    fn limits_of_the_page_are_those_of_the_shipped_rules() {
        for (rule, expected) in [
            (
                "batch_job:run_limit:seconds",
                "| batch_job_max_runtime_seconds or clamp_max(batch_job_success_deadline_seconds, 86400) \
                 or batch_job_last_start_timestamp_seconds * 0 + 86400",
            ),
            (
                "BatchJobVanished",
                "time() - batch_job:open_run:start_timestamp_seconds > batch_job:run_limit:seconds",
            ),
            (
                "BatchJobNoRecentSuccess",
                "time() - batch_job:last_success:timestamp_seconds > batch_job:success_deadline:seconds",
            ),
            (
                "BatchJobNeverSucceeded",
                "| time() - batch_job:first_start_seen:timestamp_seconds > clamp_max( \
                 batch_job_success_deadline_seconds or clamp_min(2 * (batch_job_next_run_timestamp_seconds - \
                 batch_job_last_start_timestamp_seconds), 3600), 7 * 86400 ) \
                 unless batch_job:last_success:timestamp_seconds",
            ),
            (
                "BatchJobMissedRun",
                "| time() - batch_job_next_run_timestamp_seconds > batch_job_start_grace_seconds \
                 unless batch_job:open_run:start_timestamp_seconds",
            ),
        ] {
            assert_eq!(expression(rule), expected, "{rule}");
        }
    }
}
