//! `GroupRecord`: the history of one group, and its lines in a file.
//!
//! ```text
//! group    job=import  label=region=eu
//! last     success=1763806512.5  failure=1763720101.25
//! streak   failures=0  successes=4
//! total    name=batch_job_runs_total  since=1763634000000  text=…
//! counted  id=…  id=…
//! checked  sink=http://gateway:9091  at=1763806000000
//! run      id=…  outcome=success  start=1763806500.25  end=1763806512.5
//! ```
//!
//! The fields of a line are separated by tabs. The runs come last, in the order in which they were recorded. An update
//! appends a run and does not parse the others. A change has the same lines without the group: its values replace the earlier
//! ones, and its ids and runs are appended.

use std::collections::BTreeMap;
use std::time::Duration;

use super::run_line::{RUN, end_of, read_run, write_run};
use super::totals::add_run;
use crate::finished_run::FinishedRun;
use crate::labels::GroupingKey;
use crate::line_fields::{LineBuilder, LineFields, split_line};
use crate::outcome::Outcome;
use crate::push_request::{RunEnding, Total, Totals};

/// The number of runs in a file.
pub(crate) const MAX_RUNS: usize = 200;

/// The maximum size of the lines of all runs. Enough for [`MAX_RUNS`] runs with the longest reason and the longest failed
/// stage, each with an escaped character after the other.
pub(super) const MAX_RUNS_SIZE: usize = 512 * 1024;

/// How long a run stays in a file.
const RUN_TTL: Duration = Duration::from_secs(400 * 24 * 3_600);

/// The number of runs whose id is stored, so that no run is counted twice.
const MAX_COUNTED: usize = 64;

/// The number of sinks for which a time is stored.
const MAX_CHECKED: usize = 16;

/// The history of one group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroupRecord {
    pub(super) key: GroupingKey,
    pub(super) last: LastTimes,
    pub(super) streak: Streak,
    pub(super) totals: Totals,
    /// The ids of the last runs that are counted.
    counted: Vec<String>,
    /// When each sink was last found to have the timestamps of the group, in milliseconds since the Unix epoch.
    checked: BTreeMap<String, u64>,
    /// The lines of the runs.
    run_lines: String,
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

impl GroupRecord {
    pub(super) fn new(key: GroupingKey) -> Self {
        Self {
            key,
            last: LastTimes::default(),
            streak: Streak::default(),
            totals: Totals::new(),
            counted: Vec::new(),
            checked: BTreeMap::new(),
            run_lines: String::new(),
        }
    }

    /// Adds a run, and what it has counted if the group has totals. `now` is in Unix seconds. Returns false if the run was
    /// added before.
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
        self.run_lines.push_str(&write_run(run));
        self.remove_old_runs(now);
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

    /// Returns true if other runs were added after this one. The ids of the last runs are known.
    pub(super) fn has_runs_after(&self, id: &str) -> bool {
        self.last_run() != Some(id) && self.counted.iter().any(|counted| counted == id)
    }

    /// Removes the oldest runs beyond the limits.
    pub(super) fn limit_runs(&mut self) {
        self.remove_old_runs(f64::NEG_INFINITY);
    }

    /// Removes the runs that are too old, and then the oldest runs until the limits are kept.
    fn remove_old_runs(&mut self, now: f64) {
        let oldest = now - RUN_TTL.as_secs_f64();
        let mut count = self.run_lines.bytes().filter(|byte| *byte == b'\n').count();
        let mut start = 0;
        while let Some((line, rest)) = self.run_lines[start..].split_once('\n') {
            let is_expired = || end_of(line).is_none_or(|end| end < oldest);
            let size = self.run_lines.len() - start;
            if count <= MAX_RUNS && size <= MAX_RUNS_SIZE && !is_expired() {
                break;
            }
            start = self.run_lines.len() - rest.len();
            count -= 1;
        }
        self.run_lines.drain(..start);
    }

    /// Changes a run. Returns false if the file does not have it.
    pub(super) fn change_run(&mut self, id: &str, change: impl FnOnce(&mut FinishedRun)) -> bool {
        let id_field = format!("\tid={id}\t");
        let mut start = 0;
        for line in self.run_lines.split_inclusive('\n') {
            let end = start + line.len();
            if line.contains(&id_field)
                && let Some(mut run) = read_run(line.trim_end_matches('\n'))
            {
                change(&mut run);
                self.run_lines.replace_range(start..end, &write_run(&run));
                return true;
            }
            start = end;
        }
        false
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = FinishedRun> {
        self.run_lines.lines().filter_map(read_run)
    }

    pub(super) fn checked_at(&self, sink: &str) -> Option<u64> {
        self.checked.get(sink).copied()
    }

    pub(super) fn set_checked(&mut self, sink: &str, at: u64) {
        if self.checked.len() >= MAX_CHECKED && !self.checked.contains_key(sink) {
            self.checked.clear();
        }
        self.checked.insert(sink.to_owned(), at);
    }

    /// Returns all lines.
    pub(super) fn to_lines(&self) -> String {
        let group = line("group", |line| line.key(&self.key));
        let totals = self.totals.iter();
        group + &self.lines_with(totals, self.counted.iter(), self.checked.iter(), &self.run_lines)
    }

    /// Returns the lines of the change from an earlier state; `None` if no such lines exist, because a run has changed.
    pub(super) fn change_since(&self, earlier: &Self) -> Option<String> {
        // Ids are appended, so the new ones follow the last of the earlier ones.
        let last = earlier.counted.last();
        let known = last.and_then(|last| self.counted.iter().rposition(|id| id == last));
        let counted = &self.counted[known.map_or(0, |last| last + 1)..];
        let new_runs = self.run_lines.rmatch_indices('\n').nth(counted.len());
        let (known, new_runs) = self.run_lines.split_at(new_runs.map_or(0, |(end, _)| end + 1));
        let totals = self.totals.iter().filter(|(name, it)| earlier.totals.get(*name) != Some(*it));
        let checked =
            self.checked.iter().filter(|(sink, at)| earlier.checked.get(*sink) != Some(*at));
        // The oldest runs may have been removed.
        let is_appended = earlier.run_lines.ends_with(known);
        is_appended.then(|| self.lines_with(totals, counted, checked, new_runs))
    }

    fn lines_with<'a>(
        &self,
        totals: impl Iterator<Item = (&'a String, &'a Total)>,
        counted: impl IntoIterator<Item = &'a String>,
        checked: impl Iterator<Item = (&'a String, &'a u64)>,
        run_lines: &str,
    ) -> String {
        let mut lines = line("last", |line| {
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
        for (name, total) in totals {
            lines += &line("total", |line| {
                line.field("name", name);
                line.field("since", total.since);
                line.field("text", &total.text);
            });
        }
        lines += &line("counted", |line| counted.into_iter().for_each(|id| line.field("id", id)));
        for (sink, at) in checked {
            lines += &line("checked", |line| {
                line.field("sink", sink);
                line.field("at", at);
            });
        }
        lines + run_lines
    }

    /// Parses all lines.
    pub(super) fn parse(lines: &str) -> Option<Self> {
        let (group, rest) = lines.split_once('\n')?;
        let mut record = Self::new(split_line(group).1.key()?);
        record.apply(rest)?;
        Some(record)
    }

    /// Applies the lines of a change.
    pub(super) fn apply(&mut self, mut lines: &str) -> Option<()> {
        while let Some((line, rest)) = lines.split_once('\n')
            && line.split('\t').next() != Some(RUN)
        {
            // Unknown lines are skipped.
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
                _ => {}
            }
            lines = rest;
        }
        self.run_lines.push_str(lines);
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
pub(super) use tests::{ENDED_AT, ending, longest_ending, longest_record, record};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finished_run::RecordCounts;
    use crate::push_request::Families;

    pub(in crate::history) const ENDED_AT: f64 = 1_763_806_512.5;

    pub(in crate::history) fn ending(id: &str, outcome: Outcome) -> RunEnding {
        let run = FinishedRun {
            id: id.to_owned(),
            started_at: 1_763_806_500.25,
            ended_at: ENDED_AT,
            duration: Some(Duration::from_millis(12_250)),
            outcome,
            exit_code: Some(3),
            signal: None,
            records: Some(RecordCounts { processed: 5, failed: 1, skipped: 0 }),
            stages: vec![("load = all".to_owned(), Duration::from_millis(1_500))],
            attempts: Some(2),
            failed_stage: None,
            reason: Some("no space\tleft\n".to_owned()),
        };
        let text =
            "# HELP rows_total Rows.\n# TYPE rows_total counter\nrows_total{x=\"a\\nb\"} 2\n";
        RunEnding { run, counted: Families::from([("rows_total".into(), text.into())]) }
    }

    pub(in crate::history) fn record() -> GroupRecord {
        let key = GroupingKey::new("a/b\n").unwrap().label("shard", "é=7").unwrap();
        let mut record = GroupRecord::new(key);
        assert!(record.add(&ending("1", Outcome::Success), true, ENDED_AT));
        assert!(record.add(&ending("2", Outcome::ExitCode), true, ENDED_AT));
        record.set_checked("http://gateway:9091", 1_763_806_600_000);
        record
    }

    #[test]
    fn run_is_added_once() {
        let mut record = record();
        assert!(!record.add(&ending("2", Outcome::ExitCode), true, ENDED_AT));
        assert_eq!(record, self::record());
    }

    #[test]
    fn oldest_runs_are_removed_beyond_the_limits() {
        let mut record = record();
        for number in 0..2 * MAX_RUNS {
            record.add(&ending(&number.to_string(), Outcome::Success), true, ENDED_AT);
        }
        let ids: Vec<_> = record.runs().map(|run| run.id).collect();
        assert_eq!((ids.len(), ids[0].as_str()), (MAX_RUNS, "200"));
        assert_eq!(record.counted.len(), MAX_COUNTED);
        let mut large = ending("large", Outcome::Error);
        large.run.reason = Some("x".repeat(5_000));
        for number in 0..MAX_RUNS {
            large.run.id = format!("large {number}");
            record.add(&large, true, ENDED_AT);
        }
        assert!(record.run_lines.len() <= MAX_RUNS_SIZE && record.runs().count() > 20);
        large.run.id = "later".into();
        record.add(&large, true, ENDED_AT + 2.0 * RUN_TTL.as_secs_f64());
        assert_eq!(record.runs().count(), 0, "all are too old");
    }

    /// A run with the longest texts and numbers. Each backslash takes two bytes.
    pub(in crate::history) fn longest_ending(number: usize) -> RunEnding {
        let RunEnding { run, counted } = ending(&format!("{number:016x}"), Outcome::ExitCode);
        let run = FinishedRun {
            started_at: 1_763_806_500.123_456_7,
            duration: Some(Duration::MAX),
            exit_code: Some(i32::MIN),
            signal: Some(i32::MAX),
            records: Some(RecordCounts {
                processed: u64::MAX,
                failed: u64::MAX,
                skipped: u64::MAX,
            }),
            stages: Vec::new(),
            attempts: Some(u32::MAX),
            failed_stage: Some("\\".repeat(128)),
            reason: Some("\\".repeat(1_024)),
            ..run
        };
        RunEnding { run, counted }
    }

    /// The history of [`MAX_RUNS`] runs with the longest lines.
    pub(in crate::history) fn longest_record() -> GroupRecord {
        let mut record = record();
        for number in 0..MAX_RUNS {
            assert!(record.add(&longest_ending(number), true, ENDED_AT));
        }
        record
    }

    #[test]
    fn run_that_is_too_long_has_no_reason() {
        let mut record = record();
        let mut long = ending("3", Outcome::Error);
        long.run.reason = Some("x".repeat(100_000));
        record.add(&long, true, ENDED_AT);
        let run = record.runs().last().unwrap();
        assert_eq!((run.id.as_str(), run.reason, run.stages), ("3", None, Vec::new()));
    }
}
