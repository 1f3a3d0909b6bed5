//! `Sentence`: why a job is in its state, in words.

use std::fmt;

use super::job::Job;
use super::outcome::is_failure;
use super::run_summary::{RunMark, RunSummary, count_failures};
use super::state::{STRIP_LENGTH, State};
use crate::humanize::{age, count, duration};

/// Why a job is in its state: `failing for 3 runs since 02:10 (error); last success 6h29m ago, allowed 4h27m`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sentence {
    /// The state and since when it lasts.
    pub(crate) headline: String,
    /// Further clauses.
    pub(crate) details: Vec<String>,
    /// What to do, as an imperative.
    pub(crate) remedy: Option<&'static str>,
}

/// The start of the clause about the next run.
const NEXT_RUN: &str = "next run";

impl Sentence {
    /// Removes the clause about the next run.
    pub(crate) fn without_next_run(mut self) -> Self {
        self.details.retain(|clause| !clause.starts_with(NEXT_RUN));
        self
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline)?;
        for clause in self.details.iter().map(String::as_str).chain(self.remedy) {
            write!(f, "; {clause}")?;
        }
        Ok(())
    }
}

impl Job {
    /// Why the job is in its state; `None` for a job that is fine.
    pub(crate) fn sentence(&self) -> Option<Sentence> {
        let sentence = match self.state {
            State::Vanished => self.vanished(),
            State::Failing => self.failing(),
            State::NoSuccess => self.no_success(),
            State::Overdue => self.overdue(),
            State::Refused => refused(),
            State::Running => self.running(),
            State::Flapping => self.flapping(),
            State::Skipped | State::Success | State::NoRuns => return None,
        };
        Some(sentence)
    }

    /// What is wrong beside the state: a clock, or a rejected push.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let clock = self.clock_ahead().map(|ahead| {
            let ahead = duration(ahead);
            format!("the last success is {ahead} ahead of the local clock; synchronise the clocks")
        });
        let is_refused = self.facts.is_refused && self.state != State::Refused;
        clock.into_iter().chain(is_refused.then(|| refused().to_string())).collect()
    }

    fn vanished(&self) -> Sentence {
        let limit = duration(self.facts.run_limit());
        let since = self.moment(self.since);
        let started = self.ago(self.facts.start);
        let (allowed, remedy) = match self.facts.max_runtime {
            Some(_) => ("allowed", "check whether its process hangs or was killed"),
            None => (
                "without max_runtime it may take",
                "check whether its process hangs or was killed, or set max_runtime",
            ),
        };
        let headline = format!(
            "vanished since {since}: started {started} and has not ended, {allowed} {limit}"
        );
        Sentence { remedy: Some(remedy), ..Self::with_details(headline, [self.last_heartbeat()]) }
    }

    fn failing(&self) -> Sentence {
        let failures = self.facts.failures();
        let runs = if failures > 1.0 { format!(" for {failures} runs") } else { String::new() };
        let since = self
            .since
            .map_or(String::new(), |since| format!(" since {}", self.clock.moment(since)));
        let failing = format!("failing{runs}{since}{}", self.last_outcome());
        let (headline, before) = match self.running_for() {
            Some(running) => (format!("{running} (failing before)"), Some(failing)),
            None => (failing, None),
        };
        Self::with_details(headline, [before, self.last_success(), self.next_run_clause()])
    }

    fn no_success(&self) -> Sentence {
        let runs = match self.runs.len() {
            0 => String::new(),
            runs => format!(" in {}", count(runs, "run")),
        };
        let since = self.moment(self.since);
        let outcome = self.last_outcome();
        let limit = allowed(self.facts.first_success_limit());
        let headline = format!("no success{runs} since {since}{outcome}{limit}");
        Self::with_details(headline, [self.running_for(), self.next_run_clause()])
    }

    fn overdue(&self) -> Sentence {
        let since = self.moment(self.since);
        let cause = self.missed_runs.first().map(|due| {
            let due = self.clock.moment(*due);
            match self.missed_runs.len() {
                1 => format!("not started, due at {due}"),
                missed => format!("not started for {missed} runs, due at {due}"),
            }
        });
        let is_skipped = self.facts.is_skipped() && !self.is_start_too_old();
        let (cause, remedy) = match (cause, self.running_for()) {
            (_, Some(running)) => (Some(running), None),
            (None, None) if is_skipped => (
                Some(format!("the last run was skipped {}", self.ago(self.facts.completion))),
                Some("check why its runs are skipped"),
            ),
            (None, None) if self.is_overdue_by_failures() => (self.failed_before(), None),
            (cause, None) => (cause, Some("check whether its scheduler still starts it")),
        };
        let cause = cause.map_or(String::new(), |cause| format!(": {cause}"));
        let headline = format!("overdue since {since}{cause}");
        let before = self.failed_before().filter(|_| self.facts.is_open());
        Sentence { remedy, ..Self::with_details(headline, [before, self.last_success()]) }
    }

    fn running(&self) -> Sentence {
        let headline = self.running_for().unwrap_or_default();
        Self::with_details(headline, [self.failed_before()])
    }

    /// `the last run failed 10m ago (error)`; `None` if it did not fail. A skipped run does not count.
    fn failed_before(&self) -> Option<String> {
        let failed = || {
            let ago = self.ago(self.facts.failure);
            format!("{} {ago}{}", self.last_run_failed(), self.last_outcome())
        };
        self.facts.is_failing.then(failed)
    }

    fn last_run_failed(&self) -> &'static str {
        if self.facts.is_skipped() {
            "the last unskipped run failed"
        } else {
            "the last run failed"
        }
    }

    fn flapping(&self) -> Sentence {
        let failures = count_failures(&self.runs, STRIP_LENGTH);
        let runs = self.runs.len().min(STRIP_LENGTH);
        let headline = if failures > 0 {
            format!("flapping: {failures} of the last {} failed", count(runs, "run"))
        } else {
            format!("flapping: {}{}", self.last_run_failed(), self.last_outcome())
        };
        let threshold = self.facts.threshold();
        let alerts = (threshold > 1.0).then(|| format!("it alerts after {threshold} in a row"));
        Self::with_details(headline, [alerts])
    }

    fn with_details<const N: usize>(headline: String, details: [Option<String>; N]) -> Sentence {
        let details = details.into_iter().flatten().collect();
        Sentence { headline, details, remedy: None }
    }

    /// The outcome of the last run in parentheses, if it failed.
    fn last_outcome(&self) -> String {
        let last = self.runs.last().filter(|run| run.mark() == RunMark::Failure);
        let outcome = match &self.facts.outcome {
            Some(outcome) if !is_failure(outcome) => None,
            Some(_) => self.facts.outcome_text(),
            None => last.map(RunSummary::outcome_text),
        };
        outcome.map_or(String::new(), |outcome| format!(" ({outcome})"))
    }

    fn last_success(&self) -> Option<String> {
        self.success_clause().or_else(|| Some("it has never succeeded".into()))
    }

    /// `last success 6h29m ago, allowed 4h27m`; `None` without a success.
    pub(crate) fn success_clause(&self) -> Option<String> {
        let success = self.facts.success?;
        Some(format!("last success {}{}", self.ago(Some(success)), allowed(self.facts.deadline)))
    }

    /// `next run 08:10, in 1h27m`.
    pub(crate) fn next_run_clause(&self) -> Option<String> {
        let at = self.clock.moment(self.facts.next_run?);
        Some(format!("{NEXT_RUN} {at}, {}", self.next_run_distance()?))
    }

    /// How far the next run is away: `in 1h27m`; `due 3m ago` within its grace; then `2h40m late`.
    pub(crate) fn next_run_distance(&self) -> Option<String> {
        let wait = self.facts.next_run? - self.clock.now();
        Some(match wait {
            0.0.. => format!("in {}", age(wait)),
            _ if self.is_late() => format!("{} late", age(wait)),
            _ => format!("due {} ago", age(wait)),
        })
    }

    fn last_heartbeat(&self) -> Option<String> {
        let heartbeat = self.facts.last_heartbeat()?;
        let percent = self.percent().map_or(String::new(), |percent| format!(", at {percent}%"));
        Some(format!("last heartbeat {}{percent}", self.clock.moment(heartbeat)))
    }

    fn running_for(&self) -> Option<String> {
        let start = self.facts.start.filter(|_| self.facts.is_open())?;
        Some(format!("running for {}", duration(self.clock.now() - start)))
    }

    fn ago(&self, instant: Option<f64>) -> String {
        let ago = |instant| format!("{} ago", age(self.clock.now() - instant));
        instant.map_or_else(|| "at an unknown time".to_owned(), ago)
    }

    fn moment(&self, instant: Option<f64>) -> String {
        instant.map_or_else(|| "an unknown time".to_owned(), |instant| self.clock.moment(instant))
    }
}

/// A limit as the end of a clause.
fn allowed(limit: Option<f64>) -> String {
    limit.map_or(String::new(), |limit| format!(", allowed {}", duration(limit)))
}

fn refused() -> Sentence {
    Sentence {
        headline: "the gateway rejected the last push".to_owned(),
        details: Vec::new(),
        remedy: Some("read the reason in the job's stderr"),
    }
}
