//! `GroupRecord`: the history of one group, and the format of its file.
//!
//! ```text
//! metrics-push history 1  checksum=<of the rest, 16 hexadecimal digits>
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
//! appends one and does not read the others.

use std::collections::BTreeMap;
use std::time::Duration;

use super::run_line::{RUN, end_of, read_run, write_run};
use super::totals::add_run;
use crate::checksum::fast_checksum_of;
use crate::clock::Moment;
use crate::finished_run::FinishedRun;
use crate::labels::GroupingKey;
use crate::line_fields::{LineBuilder, LineFields, split_line};
use crate::outcome::Outcome;
use crate::push_request::{RunEnding, Total, Totals};

const MAGIC: &str = "metrics-push history";

/// A change of the format needs a new version, and a file of the old version in the tests.
const VERSION: u32 = 1;

/// The number of runs in a file.
pub(crate) const MAX_RUNS: usize = 200;

/// The maximum size of the lines of all runs. Enough for [`MAX_RUNS`] runs with a long reason.
const MAX_RUNS_SIZE: usize = 256 * 1024;

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

/// Why a file cannot be read as a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InvalidHistory {
    /// The file is truncated or damaged, or it is not a history.
    Corrupt,
    /// A later version wrote it.
    Newer,
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

    /// Adds a run, and what it has counted if the group has totals. Returns false if it was added before.
    pub(super) fn add(&mut self, ending: &RunEnding, has_totals: bool, now: Moment) -> bool {
        let run = &ending.run;
        if self.counted.contains(&run.id) {
            return false;
        }
        self.last = self.last.after(run, now.unix_seconds());
        self.streak = self.streak.after(run);
        if has_totals {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a time in milliseconds fits, and a negative one becomes 0"
            )]
            add_run(&mut self.totals, &ending.counted, (run.started_at * 1_000.0) as u64);
        }
        self.counted.push(run.id.clone());
        let excess = self.counted.len().saturating_sub(MAX_COUNTED);
        self.counted.drain(..excess);
        self.run_lines.push_str(&write_run(run));
        self.remove_old_runs(now);
        true
    }

    /// Removes the oldest runs until the limits are kept.
    fn remove_old_runs(&mut self, now: Moment) {
        let oldest = now.before(RUN_TTL).unix_seconds();
        let mut count = self.run_lines.bytes().filter(|byte| *byte == b'\n').count();
        let mut start = 0;
        while let Some((line, rest)) = self.run_lines[start..].split_once('\n') {
            let is_expired = || end_of(line).is_none_or(|end| end < oldest);
            if count <= MAX_RUNS && rest.len() < MAX_RUNS_SIZE && !is_expired() {
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
        if self.checked.len() >= MAX_CHECKED {
            self.checked.clear();
        }
        self.checked.insert(sink.to_owned(), at);
    }

    pub(super) fn encode(&self) -> Vec<u8> {
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
        lines += &self.run_lines;
        let checksum = checksum(VERSION, &lines);
        format!("{MAGIC} {VERSION}\tchecksum={checksum:016x}\n{lines}").into_bytes()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, InvalidHistory> {
        let text = std::str::from_utf8(bytes).map_err(|_| InvalidHistory::Corrupt)?;
        let (version, lines) = check_header(text).ok_or(InvalidHistory::Corrupt)?;
        if version > VERSION {
            return Err(InvalidHistory::Newer);
        }
        Self::parse(lines).ok_or(InvalidHistory::Corrupt)
    }

    fn parse(mut lines: &str) -> Option<Self> {
        let (group, rest) = lines.split_once('\n')?;
        let mut record = Self::new(split_line(group).1.key()?);
        lines = rest;
        while let Some((line, rest)) = lines.split_once('\n')
            && line.split('\t').next() != Some(RUN)
        {
            // Unknown lines are skipped.
            let (word, fields) = split_line(line);
            match word {
                "last" => record.last = read_last(&fields),
                "streak" => record.streak = read_streak(&fields)?,
                "total" => drop(record.totals.insert(
                    fields.text("name")?.to_owned(),
                    Total { since: fields.number("since")?, text: fields.text("text")?.to_owned() },
                )),
                "counted" => record.counted = fields.all("id").map(str::to_owned).collect(),
                "checked" => {
                    let sink = fields.text("sink")?.to_owned();
                    record.checked.insert(sink, fields.number("at")?);
                }
                _ => {}
            }
            lines = rest;
        }
        lines.clone_into(&mut record.run_lines);
        Some(record)
    }
}

fn line(word: &str, add_fields: impl FnOnce(&mut LineBuilder)) -> String {
    let mut line = LineBuilder::default();
    line.word(word);
    add_fields(&mut line);
    line.finish()
}

/// Returns the version and the text after the header; `None` if the header is invalid or the checksum is wrong.
fn check_header(text: &str) -> Option<(u32, &str)> {
    let (header, lines) = text.split_once('\n')?;
    let (word, fields) = split_line(header);
    let version = word.strip_prefix(MAGIC)?.strip_prefix(' ')?.parse().ok()?;
    let stated = fields.text("checksum")?;
    (stated == format!("{:016x}", checksum(version, lines))).then_some((version, lines))
}

/// The checksum covers the version, so that a damaged file does not look like one of a later version.
fn checksum(version: u32, lines: &str) -> u64 {
    fast_checksum_of(lines.as_bytes()) ^ u64::from(version)
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
