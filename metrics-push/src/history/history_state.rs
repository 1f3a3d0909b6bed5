//! `HistoryState`: the part of the history of a group that an ending needs, and its lines in a file.
//!
//! ```text
//! group    job=import  label=region=eu
//! last     success=1763806512.5  failure=1763720101.25
//! streak   failures=0  successes=4
//! total    name=batch_job_runs_total  since=1763634000000  text=…
//! counted  id=…  id=…
//! checked  sink=http://gateway:9091  at=1763806000000
//! ```
//!
//! The fields of a line are separated by tabs. The lines of runs follow.

use super::totals::add_run;
use crate::finished_run::FinishedRun;
use crate::labels::GroupingKey;
use crate::line_fields::{LineBuilder, LineFields, split_line};
use crate::outcome::Outcome;
use crate::push_request::{RunEnding, Total, Totals};

/// The number of runs whose id is stored, so that no run is counted twice.
const MAX_COUNTED: usize = 64;

/// The number of sinks for which a time is stored.
const MAX_CHECKED: usize = 16;

/// The last times, the runs in a row and the totals of one group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HistoryState {
    pub(super) key: GroupingKey,
    pub(super) last: LastTimes,
    pub(super) streak: Streak,
    pub(super) totals: Totals,
    /// The ids of the last runs that are counted.
    counted: Vec<String>,
    /// When each sink was last found to have the timestamps of the group, in milliseconds since the Unix epoch.
    checked: Vec<(String, u64)>,
}

/// When a run last ended with each kind of outcome, in Unix seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LastTimes {
    pub(crate) success: Option<f64>,
    pub(crate) failure: Option<f64>,
    pub(crate) abandoned: Option<f64>,
    pub(crate) skipped: Option<f64>,
}

/// How many runs in a row have succeeded or failed. Skipped runs do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Streak {
    pub(crate) failures: u64,
    pub(crate) successes: u64,
    /// When the first failed run of the streak started, in Unix seconds.
    pub(crate) failing_since: Option<f64>,
}

impl LastTimes {
    /// Returns the times after a run. A time in the future was recorded while a clock was wrong, and is replaced.
    fn after(self, run: &FinishedRun, now: f64) -> Self {
        let ended = |last: Option<f64>| {
            let earlier = last.filter(|last| *last <= now);
            Some(earlier.map_or(run.ended_at, |earlier| earlier.max(run.ended_at)))
        };
        match run.outcome {
            Outcome::Success => Self { success: ended(self.success), ..self },
            Outcome::Skipped => Self { skipped: ended(self.skipped), ..self },
            Outcome::Abandoned => {
                Self { abandoned: ended(self.abandoned), failure: ended(self.failure), ..self }
            }
            _ => Self { failure: ended(self.failure), ..self },
        }
    }
}

impl Streak {
    pub(super) fn after(self, run: &FinishedRun) -> Self {
        match run.outcome {
            Outcome::Success => Self { successes: self.successes + 1, ..Self::default() },
            Outcome::Skipped => self,
            _ => Self {
                failures: self.failures + 1,
                successes: 0,
                failing_since: self.failing_since.or(Some(run.started_at)),
            },
        }
    }
}

impl HistoryState {
    pub(super) fn new(key: GroupingKey) -> Self {
        Self {
            key,
            last: LastTimes::default(),
            streak: Streak::default(),
            totals: Totals::new(),
            counted: Vec::new(),
            checked: Vec::new(),
        }
    }

    /// Adds a run. If the group has totals, also adds what the run has counted. `now` is in Unix seconds. Returns false if the
    /// run was added before.
    pub(super) fn add(&mut self, ending: &RunEnding, has_totals: bool, now: f64) -> bool {
        let run = &ending.run;
        if self.counted.contains(&run.id) {
            return false;
        }
        self.last = self.last.after(run, now);
        self.streak = self.streak.after(run);
        if has_totals {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a time in milliseconds fits, and a negative one becomes 0"
            )]
            add_run(&mut self.totals, &ending.counted, (run.started_at * 1_000.0) as u64);
        }
        self.set_counted([run.id.clone()]);
        true
    }

    fn set_counted(&mut self, ids: impl IntoIterator<Item = String>) {
        self.counted.extend(ids);
        let excess = self.counted.len().saturating_sub(MAX_COUNTED);
        self.counted.drain(..excess);
    }

    /// Returns the id of the run that was added last.
    pub(super) fn last_run(&self) -> Option<&str> {
        self.counted.last().map(String::as_str)
    }

    /// Returns true if the id of this run is stored and other runs were added after it.
    pub(super) fn has_runs_after(&self, id: &str) -> bool {
        self.last_run() != Some(id) && self.counted.iter().any(|counted| counted == id)
    }

    pub(super) fn checked_at(&self, sink: &str) -> Option<u64> {
        self.checked.iter().find(|(checked, _)| checked == sink).map(|(_, at)| *at)
    }

    pub(super) fn set_checked(&mut self, sink: &str, at: u64) {
        if let Some((_, earlier)) = self.checked.iter_mut().find(|(checked, _)| checked == sink) {
            *earlier = at;
            return;
        }
        if self.checked.len() >= MAX_CHECKED {
            self.checked.clear();
        }
        self.checked.push((sink.to_owned(), at));
    }

    /// Returns the lines of the state.
    pub(super) fn to_lines(&self) -> String {
        let mut lines = line("group", |line| line.key(&self.key));
        lines += &line("last", |line| {
            let LastTimes { success, failure, abandoned, skipped } = self.last;
            line.optional("success", success);
            line.optional("failure", failure);
            line.optional("abandoned", abandoned);
            line.optional("skipped", skipped);
        });
        lines += &line("streak", |line| {
            line.field("failures", self.streak.failures);
            line.field("successes", self.streak.successes);
            line.optional("since", self.streak.failing_since);
        });
        for (name, total) in &self.totals {
            lines += &line("total", |line| {
                line.field("name", name);
                line.field("since", total.since);
                line.field("text", &total.text);
            });
        }
        lines += &line("counted", |line| self.counted.iter().for_each(|id| line.field("id", id)));
        for (sink, at) in &self.checked {
            lines += &line("checked", |line| {
                line.field("sink", sink);
                line.field("at", at);
            });
        }
        lines
    }

    pub(super) fn parse(lines: &str) -> Option<Self> {
        let (group, lines) = lines.split_once('\n')?;
        let mut state = Self::new(split_line(group).1.key()?);
        lines.lines().try_for_each(|line| state.apply(line))?;
        Some(state)
    }

    fn apply(&mut self, line: &str) -> Option<()> {
        let (word, fields) = split_line(line);
        match word {
            "last" => self.last = read_last(&fields),
            "streak" => self.streak = read_streak(&fields)?,
            "total" => drop(self.totals.insert(
                fields.text("name")?.to_owned(),
                Total { since: fields.number("since")?, text: fields.text("text")?.to_owned() },
            )),
            "counted" => self.set_counted(fields.all("id").map(str::to_owned)),
            "checked" => self.set_checked(fields.text("sink")?, fields.number("at")?),
            // A later version may add lines.
            _ => {}
        }
        Some(())
    }
}

fn line(word: &str, add_fields: impl FnOnce(&mut LineBuilder)) -> String {
    let mut line = LineBuilder::default();
    line.word(word);
    add_fields(&mut line);
    line.finish()
}

fn read_last(fields: &LineFields<'_>) -> LastTimes {
    LastTimes {
        success: fields.number("success"),
        failure: fields.number("failure"),
        abandoned: fields.number("abandoned"),
        skipped: fields.number("skipped"),
    }
}

fn read_streak(fields: &LineFields<'_>) -> Option<Streak> {
    Some(Streak {
        failures: fields.number("failures")?,
        successes: fields.number("successes")?,
        failing_since: fields.number("since"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::record::{ENDED_AT, ending, record};
    use super::*;

    #[test]
    fn run_is_added_once() {
        let mut state = record().state;
        assert!(!state.add(&ending("2", Outcome::ExitCode), true, ENDED_AT));
        assert_eq!(state, record().state);
    }

    #[test]
    fn ids_of_the_last_runs_are_stored() {
        let mut state = record().state;
        for number in 0..MAX_COUNTED {
            assert!(state.add(
                &ending(&format!("later {number}"), Outcome::Success),
                true,
                ENDED_AT
            ));
        }
        assert_eq!(state.counted.len(), MAX_COUNTED);
        assert!(state.has_runs_after("later 0") && !state.has_runs_after("2"));
    }
}
