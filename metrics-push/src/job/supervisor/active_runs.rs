//! `ActiveRuns`: the active runs of a job, as the lines on its link describe them.
//!
//! The job may write anything to the link. Invalid lines are skipped, and the memory is bounded.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::link::{ENDING, LOST};
use crate::clock::Moment;
use crate::job::journal::line::{Finished, Line, Started};
use crate::job::spec::Extent;

/// The maximum size of a line. A longer one is skipped.
const MAX_LINE_SIZE: usize = 64 << 10;

/// The maximum size of the lines of all active runs. Later runs are skipped.
const MAX_SIZE: usize = 64 << 20;

/// The maximum number of bytes that one call reads, so that a job that writes without a pause delays nothing else.
const MAX_READ_SIZE: usize = 4 << 20;

#[derive(Debug, Default)]
pub(super) struct ActiveRuns {
    runs: BTreeMap<u64, ReceivedRun>,
    /// The id of the run of the whole process, also after its end.
    process_run: Option<String>,
    /// [`ENDING`] was received for `process_run`.
    is_ending: bool,
    /// The size of the lines of `runs`.
    size: usize,
    /// The start of a line whose end is not received yet.
    partial: Vec<u8>,
}

/// A run whose start, and possibly whose completion, was received.
#[derive(Clone, Debug)]
pub(super) struct ReceivedRun {
    pub(super) started: Started,
    /// When its start was received, which is shortly after the start. A step of the wall clock does not change it.
    pub(super) received: Moment,
    pub(super) finished: Option<Finished>,
    size: usize,
}

impl ReceivedRun {
    pub(super) fn new(started: Started, received: Moment) -> Self {
        Self { started, received, finished: None, size: 0 }
    }
}

/// Whether more can be read later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkStatus {
    Open,
    Closed,
}

impl ActiveRuns {
    /// Reads what the job has written. `link` does not block.
    pub(super) fn read_from(&mut self, mut link: impl Read) -> LinkStatus {
        let mut buffer = [0; 16 << 10];
        let mut left = MAX_READ_SIZE;
        while left > 0 {
            match link.read(&mut buffer) {
                Ok(0) => return LinkStatus::Closed,
                Ok(length) => {
                    self.receive(&buffer[..length], Moment::now());
                    left = left.saturating_sub(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return LinkStatus::Closed,
            }
        }
        LinkStatus::Open
    }

    /// Returns the id of the run of the whole process, if it has started.
    pub(super) fn process_run(&self) -> Option<&str> {
        self.process_run.as_deref()
    }

    /// Returns the start of the run of the whole process, unless it is acknowledged.
    pub(super) fn process_start(&self) -> Option<&Started> {
        let mut starts = self.runs.values().map(|run| &run.started);
        starts.find(|started| started.extent == Extent::Process)
    }

    /// Returns true if the run of the whole process has started and ended.
    pub(super) fn has_process_run_ended(&self) -> bool {
        let mut runs = self.runs.values();
        let is_active =
            |run: &ReceivedRun| run.started.extent == Extent::Process && run.finished.is_none();
        self.process_run.is_some() && (self.is_ending || !runs.any(is_active))
    }

    /// Returns the runs that are not acknowledged, oldest first.
    pub(super) fn into_runs(self) -> impl Iterator<Item = ReceivedRun> {
        self.runs.into_values()
    }

    fn receive(&mut self, bytes: &[u8], now: Moment) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.partial.len() <= MAX_LINE_SIZE {
                self.partial.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.partial);
                if line.len() <= MAX_LINE_SIZE {
                    self.apply(&String::from_utf8_lossy(&line), now);
                }
            }
        }
    }

    fn apply(&mut self, line: &str, received: Moment) {
        if line == LOST {
            return self.runs.retain(|_, run| run.started.extent == Extent::Process);
        }
        if line == ENDING {
            self.is_ending = true;
            return;
        }
        let size = line.len();
        match Line::from_text(line.trim_end_matches('\n')) {
            Some(Line::Started(id, started)) if self.size + size <= MAX_SIZE => {
                self.remove(id);
                self.size += size;
                if started.extent == Extent::Process {
                    self.process_run = Some(started.run.clone());
                    self.is_ending = false;
                }
                let run = ReceivedRun { size, ..ReceivedRun::new(started, received) };
                self.runs.insert(id, run);
            }
            Some(Line::Finished(id, mut finished)) => {
                if let Some(run) = self.runs.get_mut(&id) {
                    if self.size + size <= MAX_SIZE {
                        self.size += size;
                        run.size += size;
                    } else {
                        // Only these texts count towards the size.
                        (finished.failed_stage, finished.reason) = (None, None);
                    }
                    run.finished = Some(finished);
                }
            }
            Some(Line::Acknowledged(id)) => self.remove(id),
            _ => {}
        }
    }

    fn remove(&mut self, id: u64) {
        if let Some(run) = self.runs.remove(&id) {
            self.size -= run.size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::run_metrics::Expectations;
    use crate::job::spec::JobSpec;
    use crate::labels::GroupingKey;
    use crate::outcome::Outcome;

    fn started(name: &str, extent: Extent) -> Started {
        Started {
            run: String::new(),
            key: GroupingKey::new(name).unwrap(),
            sinks: vec!["http://gateway:9091".into()],
            at: 1.0,
            extent,
            expected: Expectations::from(&JobSpec::new(name.to_owned().into())),
        }
    }

    fn start(id: u64) -> String {
        Line::Started(id, started("job", Extent::Task)).to_text()
    }

    fn ids(runs: ActiveRuns) -> Vec<u64> {
        runs.runs.into_keys().collect()
    }

    fn read(text: &[u8]) -> ActiveRuns {
        let mut runs = ActiveRuns::default();
        assert_eq!(runs.read_from(text), LinkStatus::Closed);
        runs
    }

    #[test]
    fn active_runs_are_those_that_are_not_acknowledged() {
        let finished = Finished::new(Outcome::Error.into(), 2.0, None);
        let lines = [
            start(7),
            start(8),
            Line::Finished(7, finished.clone()).to_text(),
            Line::Acknowledged(8).to_text(),
            start(9),
        ];
        let text = lines.concat();
        for chunk in [1, 7, 1_000] {
            let mut runs = ActiveRuns::default();
            for bytes in text.as_bytes().chunks(chunk) {
                runs.receive(bytes, Moment::now());
            }
            let found: Vec<_> = runs.runs.into_iter().map(|(id, run)| (id, run.finished)).collect();
            assert_eq!(found, [(7, Some(finished.clone())), (9, None)], "{chunk}");
        }
    }

    #[test]
    fn active_runs_skip_invalid_and_long_lines() {
        let long = "x".repeat(MAX_LINE_SIZE * 3);
        let text = [start(1), long, "\n\0\u{1}\nstarted\tid=2\n".into(), start(3)].concat();
        assert_eq!(ids(read(text.as_bytes())), [1, 3]);
        assert_eq!(ids(read(&[0xff; 100_000])), [0; 0]);
    }

    #[test]
    fn active_runs_after_lost_lines_are_whole_processes_only() {
        let process = Line::Started(1, started("main", Extent::Process)).to_text();
        let text = [process, start(2), LOST.into(), start(3)].concat();
        assert_eq!(ids(read(text.as_bytes())), [1, 3]);
    }

    #[test]
    fn active_runs_are_bounded() {
        let line = start(1);
        let mut runs = ActiveRuns { size: MAX_SIZE - 2 * line.len(), ..ActiveRuns::default() };
        (1..10).for_each(|id| runs.receive(start(id).as_bytes(), Moment::now()));
        assert_eq!(runs.runs.len(), 2);
    }

    #[test]
    fn reasons_of_active_runs_are_bounded() {
        let reason = Some("x".repeat(MAX_LINE_SIZE / 2));
        let finished = Finished { reason, ..Finished::new(Outcome::Error.into(), 2.0, None) };
        let line = Line::Finished(1, finished.clone()).to_text();
        let mut runs = ActiveRuns { size: MAX_SIZE - line.len() - 1_000, ..Default::default() };
        for id in 1..=2 {
            runs.receive(start(id).as_bytes(), Moment::now());
            runs.receive(Line::Finished(id, finished.clone()).to_text().as_bytes(), Moment::now());
        }
        let has_reason = |run: &ReceivedRun| {
            let finished = run.finished.as_ref();
            finished.is_some_and(|finished| finished.reason.is_some())
        };
        assert_eq!(runs.runs.values().map(has_reason).collect::<Vec<_>>(), [true, false]);
        assert!(runs.size <= MAX_SIZE);
    }

    #[test]
    fn one_call_reads_a_limited_amount_from_a_job_that_never_pauses() {
        let mut runs = ActiveRuns::default();
        assert_eq!(runs.read_from(io::repeat(b'\n')), LinkStatus::Open);
        assert_eq!(runs.read_from(io::repeat(b'x')), LinkStatus::Open);
        assert!(runs.partial.len() < 2 * MAX_LINE_SIZE);
    }
}
