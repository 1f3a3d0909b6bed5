//! The cells of the tables: texts and drawings of one job, ready for the templates.

use super::deadline_bar::DeadlineBar;
use super::sparkline::Sparkline;
use super::strip::MarkedRun;
use crate::humanize::{age, capitalized, count, duration, number, quantity, sentence};
use crate::jobs::{Job, LocalClock, Records, RunMark, State};

/// The length from which a name may break after its separators.
const MIN_BREAKABLE_LENGTH: usize = 20;

/// A time for people and for machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShownTime {
    pub(super) text: String,
    pub(super) datetime: String,
}

impl ShownTime {
    pub(super) fn new(unix_seconds: f64, clock: &LocalClock) -> Self {
        Self { text: clock.moment(unix_seconds), datetime: clock.rfc3339(unix_seconds) }
    }
}

/// The name of a job, with the places where it may break, and its other labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JobName {
    pub(super) parts: Vec<String>,
    pub(super) labels: Vec<String>,
}

impl JobName {
    pub(super) fn new(job: &Job) -> Self {
        let name = job.name();
        let parts = if name.chars().count() < MIN_BREAKABLE_LENGTH {
            vec![name.to_owned()]
        } else {
            name.split_inclusive(['_', '.', '/', '-']).map(str::to_owned).collect()
        };
        let labels = job.other_labels().map(|(name, value)| format!("{name}={value}"));
        Self { parts, labels: labels.collect() }
    }
}

/// The state in a word, with its shape and its colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StateCell {
    /// The id of the symbol.
    pub(super) glyph: &'static str,
    /// The class of the colour.
    pub(super) tone: &'static str,
    pub(super) word: String,
    pub(super) detail: Option<String>,
    pub(super) since: Option<Since>,
}

/// Since when a state lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Since {
    pub(super) time: ShownTime,
    pub(super) age: String,
}

impl StateCell {
    pub(super) fn new(job: &Job, clock: &LocalClock) -> Self {
        let word = match job.state {
            State::Failing if job.facts.is_open() => "running (failing before)",
            state => state.as_str(),
        };
        let since = job.since.map(|since| Since {
            time: ShownTime::new(since, clock),
            age: age(clock.now() - since),
        });
        let (glyph, tone) = glyph(job.state);
        Self { glyph, tone, word: capitalized(word), detail: detail(job), since }
    }
}

/// Returns the symbol and the colour of a state. The symbols differ in shape, so that they can be read without colours.
pub(super) fn glyph(state: State) -> (&'static str, &'static str) {
    match state {
        State::Vanished => ("g-gone", "bad"),
        State::Failing | State::Refused => ("g-fail", "bad"),
        State::NoSuccess => ("g-none", "bad"),
        State::Overdue => ("g-late", "bad"),
        State::Running => ("g-run", "busy"),
        State::Flapping => ("g-flap", "warn"),
        State::Skipped | State::NoRuns => ("g-skip", "ok"),
        State::Success => ("g-ok", "ok"),
    }
}

fn detail(job: &Job) -> Option<String> {
    let marks = job.strip();
    let failures = marks.iter().filter(|mark| **mark == RunMark::Failure).count();
    match job.state {
        State::Failing => Some(format!("{} in a row", job.facts.failures())),
        State::Vanished => Some("no end".to_owned()),
        State::Overdue => {
            let missed = job.missed_runs.len();
            (missed > 0).then(|| format!("{} missed", count(missed, "run")))
        }
        State::NoSuccess if !marks.is_empty() => {
            Some(format!("{failures} of {} failed", marks.len()))
        }
        State::Refused => Some("push rejected".to_owned()),
        State::Running => job.duration().map(|elapsed| format!("for {}", duration(elapsed))),
        State::Flapping if failures > 0 => Some(format!("{failures} of {} failed", marks.len())),
        State::Flapping if job.facts.is_skipped() => Some("failed, then skipped".to_owned()),
        State::Flapping => Some("last run failed".to_owned()),
        State::NoSuccess | State::Skipped | State::Success | State::NoRuns => None,
    }
}

/// Why a job needs attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Why {
    /// The start of the run that failed, with its outcome.
    pub(super) failure: Option<(ShownTime, String)>,
    pub(super) text: String,
    pub(super) reason: Option<String>,
    pub(super) remedy: Option<String>,
}

impl Why {
    pub(super) fn new(job: &Job, clock: &LocalClock) -> Option<Self> {
        let found = job.sentence()?;
        if let Some(run) = job.current_failure() {
            let took = run.duration.map(|took| format!("after {}", duration(took)));
            return Some(Self {
                failure: Some((ShownTime::new(run.start, clock), run.outcome_text())),
                text: took.into_iter().chain(run.place()).collect::<Vec<_>>().join(", "),
                reason: run.reason.clone(),
                remedy: None,
            });
        }
        // The cell of the state has the state and since when it lasts.
        let headline = found.headline.split_once(": ").map_or(&*found.headline, |(_, cause)| cause);
        let clauses: Vec<_> =
            std::iter::once(headline).chain(found.details.iter().map(String::as_str)).collect();
        Some(Self {
            failure: None,
            text: sentence(&clauses.join("; ")),
            reason: None,
            remedy: found.remedy.map(sentence),
        })
    }
}

/// The start of the last run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LastRun {
    pub(super) time: ShownTime,
    pub(super) age: String,
    /// Why it was skipped.
    pub(super) note: Option<String>,
}

impl LastRun {
    pub(super) fn new(job: &Job, clock: &LocalClock) -> Option<Self> {
        let start = job.facts.start.or(job.facts.completion)?;
        let skipped = job.runs.last().filter(|_| job.state == State::Skipped);
        Some(Self {
            time: ShownTime::new(start, clock),
            age: format!("{} ago", age(clock.now() - start)),
            note: skipped.and_then(|run| run.reason.clone()),
        })
    }
}

/// The progress of the open run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) text: String,
    pub(super) percent: Option<u8>,
    /// The stages so far, with their durations.
    pub(super) stages: Option<String>,
}

impl Progress {
    pub(super) fn new(job: &Job, clock: &LocalClock) -> Option<Self> {
        let start = job.facts.start.filter(|_| job.state == State::Running)?;
        let percent = job.percent();
        let stages = job.facts.last_heartbeat().map_or(&[][..], |_| &job.facts.stages);
        let stages: Vec<_> =
            stages.iter().map(|(name, took)| format!("{name} {}", duration(*took))).collect();
        let text = match percent {
            Some(percent) => format!("{percent}%"),
            None => format!("since {}", clock.moment(start)),
        };
        Some(Self { text, percent, stages: (!stages.is_empty()).then(|| stages.join(", ")) })
    }
}

/// The duration of the last run, and of those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Took {
    pub(super) sparkline: Option<Sparkline>,
    pub(super) text: String,
    pub(super) note: Option<String>,
}

impl Took {
    pub(super) fn new(job: &Job, runs: &[MarkedRun]) -> Option<Self> {
        let is_counted = |mark| matches!(mark, RunMark::Success | RunMark::Failure);
        let ended = runs.iter().filter(|run| is_counted(run.mark));
        let durations: Vec<f64> = ended.filter_map(|run| run.duration).collect();
        let is_running = job.state == State::Running;
        let last = job.facts.duration.filter(|_| !is_running).or(durations.last().copied())?;
        let note =
            if is_running { Some("last run".to_owned()) } else { records(job.facts.records) };
        Some(Self { sparkline: Sparkline::new(&durations), text: duration(last), note })
    }
}

/// The processed records, and the failed ones if there are any: `1,155 records, 3 failed`.
pub(super) fn records(records: Records) -> Option<String> {
    let processed = records.processed.map(|processed| quantity(processed, "record"));
    let failed = records.failed.filter(|failed| *failed > 0.0);
    let failed = failed.map(|failed| format!("{} failed", number(failed)));
    let texts: Vec<_> = processed.into_iter().chain(failed).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// The age of the last success, and its deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SuccessCell {
    pub(super) age: String,
    pub(super) is_bad: bool,
    pub(super) allowed: Option<String>,
    pub(super) bar: Option<DeadlineBar>,
}

impl SuccessCell {
    pub(super) fn new(job: &Job, clock: &LocalClock) -> Self {
        let seconds = job.facts.success.map(|success| clock.now() - success);
        let deadline = job.facts.deadline;
        Self {
            age: seconds.map_or("never".to_owned(), |seconds| format!("{} ago", age(seconds))),
            is_bad: job.is_success_too_old() || job.state == State::NoSuccess,
            allowed: deadline.map(duration),
            bar: deadline.map(|deadline| DeadlineBar::new(seconds, deadline)),
        }
    }
}

/// When the next run is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NextRun {
    pub(super) time: ShownTime,
    pub(super) distance: String,
    pub(super) is_late: bool,
}

impl NextRun {
    pub(super) fn new(job: &Job, clock: &LocalClock) -> Option<Self> {
        let next = job.facts.next_run?;
        let distance = job.next_run_distance()?;
        Some(Self { time: ShownTime::new(next, clock), distance, is_late: job.is_late() })
    }
}
