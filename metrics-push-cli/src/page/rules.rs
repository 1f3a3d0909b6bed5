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
    let deadline = job.facts.deadline.filter(|_| job.facts.success.is_none())?;
    let condition = format!("no success yet, allowed {}", duration(deadline));
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
