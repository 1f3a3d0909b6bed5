//! `Job`: one group with its state and its last runs.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::facts::Facts;
use super::group::{Group, Metric};
use super::local_clock::LocalClock;
use super::missed_runs::missed_runs;
use super::run_summary::{RunMark, RunSummary};
use super::state::{STRIP_LENGTH, State, is_success_too_old};

/// How far a clock may be ahead of the local clock, in seconds.
const CLOCK_TOLERANCE: f64 = 300.0;

/// The prefix of the metrics that the library pushes itself.
const OWN_PREFIX: &str = "batch_job_";

/// The metrics that the gateway adds to a group.
const GATEWAY_FAMILIES: [&str; 2] = ["push_time_seconds", "push_failure_time_seconds"];

#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Distinguishes the job in URLs and documents. It is a hash, because labels can contain any text.
    pub(crate) id: String,
    /// The grouping labels, including `job`.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) state: State,
    /// Since when the state lasts, as Unix time in seconds.
    pub(crate) since: Option<f64>,
    pub(crate) facts: Facts,
    /// The runs in the history of this machine, oldest first; empty if it has none.
    pub(crate) runs: Vec<RunSummary>,
    /// When the runs were due that did not start, oldest first; empty within the grace of the first one.
    pub(crate) missed_runs: Vec<f64>,
    /// All metrics of the group.
    pub(crate) families: BTreeMap<String, Vec<Metric>>,
    pub(super) clock: LocalClock,
}

impl Job {
    pub(super) fn new(group: Group, runs: Vec<RunSummary>, clock: &LocalClock) -> Self {
        let mut facts = Facts::new(&group);
        facts.update(&runs);
        let missed_runs = missed_runs(&facts, clock.now());
        let (state, since) = State::new(&facts, &runs, &missed_runs, clock.now());
        let Group { labels, families, .. } = group;
        Self {
            id: id(&labels),
            labels,
            state,
            since,
            facts,
            runs,
            missed_runs,
            families,
            clock: clock.clone(),
        }
    }

    /// Returns true if the state needs attention, or a wrong clock hides whether it does.
    pub(crate) fn needs_attention(&self) -> bool {
        self.state.needs_attention() || self.clock_ahead().is_some()
    }

    /// How far the last success is ahead of the local clock, in seconds.
    pub(super) fn clock_ahead(&self) -> Option<f64> {
        let ahead = self.facts.success? - self.clock.now();
        (ahead > CLOCK_TOLERANCE).then_some(ahead)
    }

    /// The name of the job, without its other labels.
    pub(crate) fn name(&self) -> &str {
        self.labels.get("job").map_or("", String::as_str)
    }

    /// The grouping labels other than `job`.
    pub(crate) fn other_labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let labels = self.labels.iter().filter(|(name, _)| *name != "job");
        labels.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The job and its other labels in the syntax of `--grouping`, each as one word: `orders_export`, `region=eu`.
    pub(crate) fn words(&self) -> Vec<String> {
        words(&self.labels)
    }

    /// The command that prints the history of the job.
    pub(crate) fn history_command(&self) -> String {
        let words = self.words();
        let grouping = words[1..].iter().flat_map(|label| [" --grouping ", label]);
        ["metrics-push history ", &words[0]].into_iter().chain(grouping).collect()
    }

    /// The families that the job's own code has pushed.
    pub(crate) fn own_families(&self) -> impl Iterator<Item = (&str, &[Metric])> {
        let is_own =
            |name: &str| !name.starts_with(OWN_PREFIX) && !GATEWAY_FAMILIES.contains(&name);
        let families = self.families.iter().filter(move |(name, _)| is_own(name));
        families.map(|(name, metrics)| (name.as_str(), metrics.as_slice()))
    }

    /// The state with its number or its percentage: `failing 3x`, `running 62%`.
    pub(crate) fn state_text(&self) -> String {
        let name = self.state.as_str();
        match (self.state, self.percent()) {
            (State::Failing, _) if self.facts.failures() > 1.0 => {
                format!("{name} {}x", self.facts.failures())
            }
            (State::Running, Some(percent)) => format!("{name} {percent}%"),
            _ => name.to_owned(),
        }
    }

    /// The progress of the open run in percent.
    pub(crate) fn percent(&self) -> Option<u8> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 100"
        )]
        self.facts.open_progress().map(|ratio| (ratio * 100.0) as u8)
    }

    /// How long the open run lasts so far, in seconds; the duration of the last run if none is open.
    pub(crate) fn duration(&self) -> Option<f64> {
        match self.facts.start {
            Some(_) if self.state == State::Vanished => None,
            Some(start) if self.facts.is_open() => Some(self.clock.now() - start),
            _ => self.facts.duration,
        }
    }

    /// Returns true if the last success is older than the deadline.
    pub(crate) fn is_success_too_old(&self) -> bool {
        is_success_too_old(&self.facts, self.clock.now())
    }

    /// Returns true if the next run is due, and its grace has passed.
    pub(crate) fn is_late(&self) -> bool {
        !self.missed_runs.is_empty()
    }

    /// Returns true if the last start is older than the deadline.
    pub(super) fn is_start_too_old(&self) -> bool {
        let start = self.facts.start.zip(self.facts.deadline);
        start.is_some_and(|(start, deadline)| self.clock.now() - start > deadline)
    }

    /// Returns true if the job is overdue only because of failures that are fewer in a row than `failure_threshold`.
    pub(super) fn is_overdue_by_failures(&self) -> bool {
        let is_failure = self.facts.is_failing && !self.facts.is_skipped();
        self.state == State::Overdue && is_failure && !self.is_late() && !self.is_start_too_old()
    }

    /// The results of the last runs, the newest last; empty without a history.
    pub(crate) fn strip(&self) -> Vec<RunMark> {
        let mut marks: Vec<RunMark> = self.runs.iter().map(RunSummary::mark).collect();
        if marks.is_empty() {
            return marks;
        }
        if self.facts.is_open() {
            let is_recorded = self.runs.last().is_some_and(|run| run.outcome.is_none());
            if is_recorded {
                marks.pop();
            }
            let is_vanished = self.state == State::Vanished;
            marks.push(if is_vanished { RunMark::NoEnd } else { RunMark::Running });
        }
        let missed = self.missed_runs.len().min(STRIP_LENGTH);
        marks.extend(std::iter::repeat_n(RunMark::NotStarted, missed));
        marks.split_off(marks.len().saturating_sub(STRIP_LENGTH))
    }

    /// The last failed run of the history.
    fn last_failure(&self) -> Option<&RunSummary> {
        self.runs.iter().rev().find(|run| run.mark() == RunMark::Failure)
    }

    /// The last failed run of the history, if it is why the job needs attention.
    pub(crate) fn current_failure(&self) -> Option<&RunSummary> {
        let is_current = matches!(self.state, State::Failing | State::NoSuccess)
            || self.is_overdue_by_failures();
        self.last_failure().filter(|_| is_current)
    }
}

fn id(labels: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    let digits = hash.finalize().into_iter().take(8).map(|byte| format!("{byte:02x}"));
    format!("j{}", digits.collect::<String>())
}

/// The job and its other labels, each as one word.
pub(crate) fn words(labels: &BTreeMap<String, String>) -> Vec<String> {
    let name = labels.get("job").map_or("", String::as_str);
    let others = labels.iter().filter(|(name, _)| *name != "job");
    let others = others.map(|(name, value)| {
        if is_label_name(name) {
            format!("{name}={}", quoted(value))
        } else {
            quoted(&format!("{name}={value}"))
        }
    });
    std::iter::once(quoted(name)).chain(others).collect()
}

/// Returns true for a classic label name. A server may also store other names.
fn is_label_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Quotes a value unless a shell reads it as one word and executes nothing in it.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-.:/@%+".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        value.to_owned()
    } else if value.contains(['$', '`', '!', '\\', '"']) {
        format!("'{}'", value.replace('\'', r"'\''"))
    } else {
        format!("{value:?}")
    }
}
