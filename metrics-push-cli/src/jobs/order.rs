//! The orders of jobs on the terminal and on the page.

use std::cmp::Ordering;

use super::job::Job;
use super::state::State;

/// Sorts the most urgent job last, so that the end of a long table shows what needs attention. Jobs that need no
/// attention are sorted by name.
pub(crate) fn sort_for_terminal(jobs: &mut [Job]) {
    jobs.sort_by(|a, b| by_urgency(a, b).then_with(|| by_name(a, b)));
}

/// Sorts the most urgent job first.
pub(crate) fn sort_for_page(jobs: &mut [&Job]) {
    jobs.sort_by(|a, b| by_urgency(b, a).then_with(|| by_name(a, b)));
}

fn by_urgency(a: &Job, b: &Job) -> Ordering {
    urgency(a).cmp(&urgency(b)).then_with(|| since(a, b))
}

/// Compares the names, then the other labels.
fn by_name(a: &Job, b: &Job) -> Ordering {
    a.name().cmp(b.name()).then_with(|| a.other_labels().cmp(b.other_labels()))
}

fn urgency(job: &Job) -> u8 {
    match job.state {
        State::NoSuccess => 4,
        State::Overdue => 5,
        State::Vanished => 6,
        State::Failing => 7,
        _ if job.needs_attention() => 3,
        State::Success | State::Skipped | State::NoRuns => 0,
        State::Running => 1,
        State::Flapping => 2,
        State::Refused => 3,
    }
}

/// Compares since when two jobs in the same state need attention.
fn since(a: &Job, b: &Job) -> Ordering {
    let since =
        |job: &Job| job.since.filter(|_| job.needs_attention()).unwrap_or(f64::NEG_INFINITY);
    since(a).total_cmp(&since(b))
}
