//! `Details`: everything about one job, ready for the template.

use super::cells::{JobName, ShownTime, glyph, records};
use super::rules::{RuleState, rules};
use super::runs::marked_runs;
use super::strip::{self, MarkedRun};
use super::timeline::Timeline;
use crate::humanize::{age, capitalized, count, duration, number, sentence};
use crate::jobs::{Job, LocalClock, Metric, RunMark, RunSummary, success_rate};

/// The number of runs that the details show.
const MAX_RUNS: usize = 30;

/// The maximum number of metrics of the job's own code.
const MAX_METRICS: usize = 50;

pub(super) struct Details {
    pub(super) id: String,
    /// The job and its other labels.
    pub(super) title: String,
    pub(super) name: JobName,
    pub(super) glyph: &'static str,
    pub(super) tone: &'static str,
    pub(super) headline: String,
    /// Further clauses and sentences.
    pub(super) sentence: String,
    pub(super) error: Option<LastError>,
    pub(super) history: Option<RunTable>,
    pub(super) stages: Vec<StageBar>,
    pub(super) rules: Vec<RuleState>,
    pub(super) sections: Vec<Section>,
    /// The command that prints the history.
    pub(super) command: String,
}

pub(super) struct LastError {
    pub(super) text: String,
    pub(super) source: String,
}

/// The last runs, newest first, and their timeline.
pub(super) struct RunTable {
    pub(super) title: String,
    pub(super) timeline: Option<Timeline>,
    /// The text of the timeline for screen readers.
    pub(super) label: String,
    pub(super) rows: Vec<RunRow>,
}

pub(super) struct RunRow {
    pub(super) start: String,
    pub(super) duration: String,
    pub(super) outcome: String,
    pub(super) records: String,
    pub(super) is_failure: bool,
}

/// The duration of a stage, relative to the longest stage.
pub(super) struct StageBar {
    pub(super) name: String,
    pub(super) duration: String,
    pub(super) share: String,
}

/// A heading with facts.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) facts: Vec<Fact>,
}

pub(super) struct Fact {
    pub(super) term: String,
    pub(super) value: String,
    pub(super) note: Option<String>,
    /// Whether the term is a name in code.
    pub(super) is_code: bool,
}

impl Fact {
    fn new(term: &str, value: impl Into<String>) -> Self {
        Self { term: term.to_owned(), value: value.into(), note: None, is_code: false }
    }

    fn note(self, note: impl Into<Option<String>>) -> Self {
        Self { note: note.into(), ..self }
    }
}

impl Details {
    pub(super) fn new(job: &Job, clock: &LocalClock) -> Self {
        let (glyph, tone) = glyph(job.state);
        let (headline, sentence) = lead(job);
        Self {
            id: format!("d-{}", job.id),
            title: job.words().join(" "),
            name: JobName::new(job),
            glyph,
            tone,
            headline,
            sentence,
            error: last_error(job, clock),
            history: RunTable::new(job, clock),
            stages: stages(&job.facts.stages),
            rules: rules(job, clock),
            sections: sections(job, clock),
            command: job.history_command(),
        }
    }
}

/// The state in words, and the clauses and warnings after it.
fn lead(job: &Job) -> (String, String) {
    let (headline, clauses) = match job.sentence() {
        Some(found) => (
            found.headline,
            [found.details, found.remedy.into_iter().map(str::to_owned).collect()].concat(),
        ),
        None => (job.state.as_str().to_owned(), job.success_clause().into_iter().collect()),
    };
    let clauses: String = clauses.iter().flat_map(|clause| ["; ", clause]).chain(["."]).collect();
    let warnings = job.warnings();
    let warnings = warnings.iter().map(|warning| format!(" {}", sentence(warning)));
    (capitalized(&headline), std::iter::once(clauses).chain(warnings).collect())
}

fn last_error(job: &Job, clock: &LocalClock) -> Option<LastError> {
    let last = job.runs.iter().rev().find(|run| run.mark() != RunMark::Skipped)?;
    let text = last.reason.clone().filter(|_| last.mark() == RunMark::Failure)?;
    let start = clock.date_and_time(last.start);
    let place = last.place().map_or(String::new(), |place| format!(", {place}"));
    let source = format!(
        "Run {}, {start}{place}. The text is from the history on this machine. No metric contains it.",
        last.id
    );
    Some(LastError { text, source })
}

impl RunTable {
    fn new(job: &Job, clock: &LocalClock) -> Option<Self> {
        let recorded = &job.runs[job.runs.len().saturating_sub(MAX_RUNS)..];
        let runs = marked_runs(job, clock, MAX_RUNS);
        let mut started: Vec<_> =
            runs.into_iter().filter(|run| run.mark != RunMark::NotStarted).collect();
        // The history has the order of their ends.
        started.sort_unstable_by(|a, b| a.start.total_cmp(&b.start));
        let label = timeline_label(&started, clock)?;
        let day = |start| clock.format(start, |_| "%a %-d");
        Some(Self {
            title: format!("Last {}: start, duration, outcome", count(recorded.len(), "run")),
            timeline: Timeline::new(&started, clock.now(), day),
            label,
            rows: recorded.iter().rev().map(|run| RunRow::new(run, clock)).collect(),
        })
    }
}

impl RunRow {
    fn new(run: &RunSummary, clock: &LocalClock) -> Self {
        Self {
            start: clock.date_and_time(run.start),
            duration: run.duration.map_or("-".to_owned(), duration),
            outcome: run.outcome_text(),
            records: run.records.processed.map_or("-".to_owned(), number),
            is_failure: run.mark() == RunMark::Failure,
        }
    }
}

/// Describes a timeline. The text ends with the newest result.
fn timeline_label(runs: &[MarkedRun], clock: &LocalClock) -> Option<String> {
    let starts = runs.iter().map(|run| run.start);
    let (first, last) = (starts.clone().reduce(f64::min)?, starts.reduce(f64::max)?);
    Some(format!("From {} to {}. {}", clock.moment(first), clock.moment(last), strip::label(runs)))
}

fn stages(stages: &[(String, f64)]) -> Vec<StageBar> {
    let longest = stages.iter().map(|(_, took)| *took).fold(0.0, f64::max);
    let bar = |(name, took): &(String, f64)| StageBar {
        name: name.clone(),
        duration: duration(*took),
        share: format!("{:.1}%", 100.0 * took.max(0.0) / longest.max(1e-9)),
    };
    stages.iter().map(bar).collect()
}

fn sections(job: &Job, clock: &LocalClock) -> Vec<Section> {
    let labels = job.labels.iter().map(|(name, value)| Fact::new(name, value));
    let sections = [
        Section { title: "Schedule and last run", facts: schedule(job, clock) },
        Section { title: "Labels", facts: labels.collect() },
        Section { title: "Other metrics of the group", facts: other_metrics(job) },
    ];
    sections.into_iter().filter(|section| !section.facts.is_empty()).collect()
}

fn schedule(job: &Job, clock: &LocalClock) -> Vec<Fact> {
    let facts = &job.facts;
    let moment = |time: f64| ShownTime::new(time, clock).text;
    let ago = |time: f64| format!("{}, {} ago", moment(time), age(clock.now() - time));
    let grace = facts.grace.map(|grace| format!("grace {}", duration(grace)));
    let success_by =
        facts.success.zip(facts.deadline).map(|(success, deadline)| success + deadline);
    let timing = job.schedule_text().map(|text| Fact::new("Schedule", text).note(grace));
    let found = [
        timing,
        facts
            .next_run
            .map(|next| Fact::new("Next run", moment(next)).note(job.next_run_distance())),
        success_by.map(|by| Fact::new("Deadline", format!("success by {}", moment(by)))),
        facts.max_runtime.map(|limit| Fact::new("Max runtime", duration(limit))),
        facts.success.map(|success| Fact::new("Last success", ago(success))),
        facts.start.map(|start| {
            let outcome = facts.outcome_text().filter(|_| !facts.is_open());
            Fact::new("Last run", ago(start)).note(outcome)
        }),
        facts.failures_in_a_row.map(|failures| {
            let threshold = format!("alert at {}", facts.threshold());
            Fact::new("Failures in a row", number(failures)).note(threshold)
        }),
        rate(job, 10).map(|rate_of_last| {
            let longer = rate(job, 100).filter(|_| job.runs.len() > 10);
            Fact::new("Success rate", rate_of_last).note(longer)
        }),
        records(facts.records).map(|records| {
            let skipped = facts.records.skipped.filter(|skipped| *skipped > 0.0);
            let skipped = skipped.map(|skipped| format!("{} skipped", number(skipped)));
            Fact::new("Records", records).note(skipped)
        }),
        facts.cpu_seconds.map(|cpu| {
            let memory = facts.max_resident_memory_bytes;
            let memory = memory.map(|bytes| format!("{} at most", mebibytes(bytes)));
            Fact::new("Resources", format!("{} CPU", duration(cpu))).note(memory)
        }),
        facts.push_attempts.map(|attempts| Fact::new("Attempts to push", number(attempts))),
        facts.info.get("version").map(|version| Fact::new("Version", version)),
    ];
    found.into_iter().flatten().collect()
}

/// The success rate of at most this many runs, the last ones.
fn rate(job: &Job, last: usize) -> Option<String> {
    let runs = job.runs.len().min(last);
    Some(format!("{}% of {}", success_rate(&job.runs, last)?, count(runs, "run")))
}

fn mebibytes(bytes: f64) -> String {
    format!("{} MiB", number((bytes / f64::from(1 << 20)).ceil()))
}

/// The metrics of the job's own code with a single value.
fn other_metrics(job: &Job) -> Vec<Fact> {
    let metrics = job
        .own_families()
        .flat_map(|(name, metrics)| metrics.iter().map(move |metric| (name, metric)));
    let fact = |(name, metric): (&str, &Metric)| {
        let value = number(metric.single()?);
        Some(Fact { is_code: true, ..Fact::new(&series(name, metric), value) })
    };
    metrics.filter_map(fact).take(MAX_METRICS).collect()
}

/// The name of a metric with its labels.
fn series(name: &str, metric: &Metric) -> String {
    let labels: Vec<_> =
        metric.labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
    if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(", ")) }
}
