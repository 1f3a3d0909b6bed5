//! `GroupRecord`: the whole history of one group.
//!
//! The runs are lines, in the order in which they were recorded. They are parsed only if a caller reads the history.

use std::time::Duration;

use super::history_state::HistoryState;
use super::run_line::{end_of, read_run, write_run};
use crate::finished_run::FinishedRun;

/// The number of runs in a file.
pub(super) const MAX_RUNS: usize = 200;

/// The maximum size of the lines of all runs. Enough for [`MAX_RUNS`] runs with the longest reason and the longest failed
/// stage, each with an escaped character after the other.
pub(super) const MAX_RUNS_SIZE: usize = 512 * 1024;

/// How long a run stays in a file.
pub(super) const RUN_TTL: Duration = Duration::from_secs(400 * 24 * 3_600);

/// The state of a group and its last runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GroupRecord {
    pub(super) state: HistoryState,
    /// The lines of the runs.
    pub(super) run_lines: String,
}

impl GroupRecord {
    /// Removes the runs that are too old, and then the oldest runs until the limits are met. `now` is in Unix seconds.
    pub(super) fn remove_old_runs(&mut self, now: f64) {
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

    /// Changes a run. Returns false if the record does not have it.
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
}

#[cfg(test)]
pub(super) use tests::{ENDED_AT, add, ending, longest_ending, longest_record, record};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finished_run::{FailedStage, RecordCounts};
    use crate::labels::GroupingKey;
    use crate::outcome::Outcome;
    use crate::push_request::{Families, RunEnding};

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
        let mut record = GroupRecord { state: HistoryState::new(key), run_lines: String::new() };
        add(&mut record, &ending("1", Outcome::Success));
        add(&mut record, &ending("2", Outcome::ExitCode));
        record.state.set_checked("http://gateway:9091", 1_763_806_600_000);
        record
    }

    /// Adds a run that ended at [`ENDED_AT`]. Returns its line.
    pub(in crate::history) fn add(record: &mut GroupRecord, ending: &RunEnding) -> String {
        assert!(record.state.add(ending, true, ENDED_AT), "{}", ending.run.id);
        let line = write_run(&ending.run);
        record.run_lines += &line;
        line
    }

    #[test]
    fn oldest_runs_are_removed_beyond_the_limits() {
        let mut record = record();
        for number in 0..2 * MAX_RUNS {
            let ending = ending(&format!("later {number}"), Outcome::Success);
            record.run_lines += &write_run(&ending.run);
        }
        record.remove_old_runs(ENDED_AT);
        let ids: Vec<_> = record.runs().map(|run| run.id).collect();
        assert_eq!((ids.len(), ids[0].as_str()), (MAX_RUNS, "later 200"));
        let mut large = ending("large", Outcome::Error);
        large.run.reason = Some("x".repeat(5_000));
        for number in 0..MAX_RUNS {
            large.run.id = format!("large {number}");
            record.run_lines += &write_run(&large.run);
        }
        record.remove_old_runs(ENDED_AT);
        assert!(record.run_lines.len() <= MAX_RUNS_SIZE && record.runs().count() > 20);
        record.remove_old_runs(ENDED_AT + 2.0 * RUN_TTL.as_secs_f64());
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
            failed_stage: Some(FailedStage { name: "\\".repeat(128), has_ended: false }),
            reason: Some("\\".repeat(1_024)),
            ..run
        };
        RunEnding { run, counted }
    }

    /// The history of [`MAX_RUNS`] runs with the longest lines.
    pub(in crate::history) fn longest_record() -> GroupRecord {
        let mut record = record();
        for number in 0..MAX_RUNS {
            add(&mut record, &longest_ending(number));
        }
        record.remove_old_runs(ENDED_AT);
        record
    }

    #[test]
    fn run_that_is_too_long_has_no_reason() {
        let mut record = record();
        let mut long = ending("3", Outcome::Error);
        long.run.reason = Some("x".repeat(100_000));
        add(&mut record, &long);
        let run = record.runs().last().unwrap();
        assert_eq!((run.id.as_str(), run.reason, run.stages), ("3", None, Vec::new()));
    }
}
