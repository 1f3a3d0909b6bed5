//! `Strip`: the last runs of a job as a row of marks, the newest on the right.
//!
//! The outcomes differ in shape, so that the strip can be read without colours.

use std::fmt::Write as _;

use crate::humanize::{count, duration};
use crate::jobs::{RunMark, STRIP_LENGTH};

/// The distance between two marks, in pixels; the script of the page uses the same number.
const STEP: usize = 8;

/// A run, as the page describes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MarkedRun {
    pub(super) mark: RunMark,
    /// The start in Unix seconds. A missed run has the time of its schedule.
    pub(super) start: f64,
    /// The duration in seconds.
    pub(super) duration: Option<f64>,
    /// The outcome, such as `error`.
    pub(super) outcome: String,
    /// Where and why it failed.
    pub(super) failure: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Strip {
    /// The text for screen readers. It ends with the newest result.
    pub(super) label: String,
    /// The runs in the format of [`encode`].
    pub(super) runs: String,
    pub(super) paths: Vec<MarkPath>,
}

/// All marks of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MarkPath {
    pub(super) class: &'static str,
    /// The attribute `d` of the path.
    pub(super) data: String,
    pub(super) stroke: Stroke,
}

/// How the marks of a kind are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stroke {
    /// A dashed line of this width: one bar for each dash.
    Bars(u8),
    Outline,
    Dots,
}

impl Strip {
    /// Draws the last runs, oldest first. Returns `None` without runs.
    pub(super) fn new(runs: &[MarkedRun]) -> Option<Self> {
        let runs = &runs[runs.len().saturating_sub(STRIP_LENGTH)..];
        (!runs.is_empty()).then(|| Self {
            label: label(runs),
            runs: encode(runs),
            paths: KINDS.into_iter().filter_map(|mark| path(runs, STRIP_LENGTH, mark)).collect(),
        })
    }
}

/// The marks in the order of the legend.
const KINDS: [RunMark; 6] = [
    RunMark::Success,
    RunMark::Failure,
    RunMark::NoEnd,
    RunMark::Running,
    RunMark::Skipped,
    RunMark::NotStarted,
];

/// One mark of each kind with its meaning.
pub(super) fn legend() -> Vec<(MarkPath, &'static str)> {
    let entry = |mark: RunMark| {
        let outcome = mark.as_str();
        let run = MarkedRun {
            mark,
            start: 0.0,
            duration: None,
            outcome: outcome.to_owned(),
            failure: None,
        };
        path(&[run], 1, mark).map(|path| (path, outcome))
    };
    KINDS.into_iter().filter_map(entry).collect()
}

/// Draws the marks of one kind at the right end of `places` places. Returns `None` if no run has this mark.
fn path(runs: &[MarkedRun], places: usize, mark: RunMark) -> Option<MarkPath> {
    let first = places - runs.len();
    let is_marked = |at: &usize| runs[*at].mark == mark;
    let mut data = String::new();
    let mut at = 0;
    while at < runs.len() {
        let count = (at..runs.len()).take_while(is_marked).count();
        // Writing to a string does not fail.
        let _ = match mark {
            _ if count == 0 => Ok(()),
            RunMark::Success => bars(&mut data, first + at, count, "13"),
            RunMark::Failure => bars(&mut data, first + at, count, "9.5"),
            RunMark::NotStarted => (at..at + count)
                .try_for_each(|at| write!(data, "M{}.5 16.5h0", (first + at) * STEP + 2)),
            RunMark::NoEnd => outlines(&mut data, first + at, count, "15.5"),
            RunMark::Running => outlines(&mut data, first + at, count, "8.5"),
            RunMark::Skipped => outlines(&mut data, first + at, count, "3.5"),
        };
        at += count.max(1);
    }
    let (class, stroke) = match mark {
        RunMark::Success => ("success", Stroke::Bars(10)),
        RunMark::Failure => ("failure", Stroke::Bars(17)),
        RunMark::NoEnd => ("no-end", Stroke::Outline),
        RunMark::Running => ("running", Stroke::Outline),
        RunMark::Skipped => ("skipped", Stroke::Outline),
        RunMark::NotStarted => ("missed", Stroke::Dots),
    };
    (!data.is_empty()).then_some(MarkPath { class, data, stroke })
}

/// Adds a line through the middle of adjacent bars.
fn bars(data: &mut String, first: usize, count: usize, middle: &str) -> std::fmt::Result {
    write!(data, "M{} {middle}h{}", first * STEP, count * STEP - 3)
}

fn outlines(data: &mut String, first: usize, count: usize, height: &str) -> std::fmt::Result {
    (first..first + count)
        .try_for_each(|at| write!(data, "M{}.75 17.25h3.5v-{height}h-3.5z", at * STEP))
}

/// Describes the runs: `Last 20 runs: 17 success, 3 error. Newest: 3 error.`
pub(super) fn label(runs: &[MarkedRun]) -> String {
    let started = runs.iter().filter(|run| run.mark != RunMark::NotStarted).count();
    let last = format!("Last {}", count(started, "run"));
    let outcomes = counts(runs);
    if let [(outcome, _)] = &outcomes[..] {
        return format!("{last}: all {outcome}.");
    }
    let outcomes: Vec<_> =
        outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    let newest = &runs[runs.len() - 1].outcome;
    let streak = runs.iter().rev().take_while(|run| run.outcome == *newest).count();
    format!("{last}: {}. Newest: {streak} {newest}.", outcomes.join(", "))
}

/// The number of runs with each outcome, in the order of their first run.
fn counts(runs: &[MarkedRun]) -> Vec<(&str, usize)> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for run in runs {
        match counts.iter_mut().find(|(outcome, _)| *outcome == run.outcome) {
            Some((_, count)) => *count += 1,
            None => counts.push((&run.outcome, 1)),
        }
    }
    counts
}

/// Encodes runs for the script of the page, one line each, with three fields: the minutes since the start of the previous run,
/// omitted if they are the same as in the line before; the duration; the outcome with its failure, omitted for a success.
pub(super) fn encode(runs: &[MarkedRun]) -> String {
    let mut lines = Vec::with_capacity(runs.len());
    let (mut minute, mut step) = (0, 0);
    for run in runs {
        let next = minutes(run.start);
        let mut line =
            if next - minute == step { String::new() } else { (next - minute).to_string() };
        step = next - minute;
        minute = next;
        line.push(' ');
        line.extend(run.duration.map(duration));
        if run.outcome != "success" {
            line.extend([" ", &run.outcome]);
            line.extend(run.failure.iter().flat_map(|failure| [": ", failure]));
        }
        lines.push(line.replace(['\n', '\r'], " "));
    }
    lines.join("\n")
}

#[expect(clippy::cast_possible_truncation, reason = "rounded down; the cast saturates")]
fn minutes(unix_seconds: f64) -> i64 {
    (unix_seconds / 60.0).floor() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mark: RunMark, outcome: &str, minute: u32, seconds: Option<f64>) -> MarkedRun {
        let start = f64::from(minute) * 60.0 + 7.0;
        MarkedRun { mark, start, duration: seconds, outcome: outcome.to_owned(), failure: None }
    }

    fn hourly(count: u32) -> Vec<MarkedRun> {
        (0..count)
            .map(|hour| run(RunMark::Success, "success", 600 + hour * 60, Some(43.0)))
            .collect()
    }

    #[test]
    fn strip_has_one_mark_for_each_run() {
        let mut runs = hourly(25);
        for at in [10, 23, 24] {
            runs[at] = run(RunMark::Failure, "error", 600, Some(3.0));
        }
        runs[20] = run(RunMark::Skipped, "skipped", 600, Some(1.0));
        let strip = Strip::new(&runs).unwrap();
        let path = |at: usize| (strip.paths[at].class, &*strip.paths[at].data);
        assert_eq!(path(0), ("success", "M0 13h37M48 13h69M128 13h13"));
        assert_eq!(path(1), ("failure", "M40 9.5h5M144 9.5h13"));
        assert_eq!(path(2), ("skipped", "M120.75 17.25h3.5v-3.5h-3.5z"));
        assert_eq!(strip.paths.len(), 3);
        assert_eq!(strip.label, "Last 20 runs: 16 success, 3 error, 1 skipped. Newest: 2 error.");
    }

    #[test]
    fn few_runs_are_on_the_right() {
        let strip = Strip::new(&hourly(1)).unwrap();
        assert_eq!(strip.paths[0].data, "M152 13h5");
        assert_eq!(strip.label, "Last 1 run: all success.");
        assert_eq!(Strip::new(&[]), None);
    }

    #[test]
    fn missed_runs_follow_the_runs_that_started() {
        let mut runs = hourly(2);
        runs.push(run(RunMark::NotStarted, "not started", 720, None));
        let strip = Strip::new(&runs).unwrap();
        assert_eq!(strip.paths[1].data, "M154.5 16.5h0");
        assert_eq!(strip.label, "Last 2 runs: 2 success, 1 not started. Newest: 1 not started.");
    }

    #[test]
    fn runs_are_encoded_by_their_differences() {
        let mut runs = hourly(3);
        runs[2].outcome = "error".to_owned();
        runs[2].failure = Some("a\nb".to_owned());
        runs.push(run(RunMark::Running, "running", 725, None));
        assert_eq!(encode(&runs), "600 43s\n60 43s\n 43s error: a b\n5  running");
    }
}
