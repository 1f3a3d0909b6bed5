//! `Line`: one line of a journal; and the parser of a whole journal.
//!
//! A line is a word and `name=value` fields, separated by tabs. Unknown words and fields are skipped, so that a later
//! version can add some; an incompatible version has another number in the header.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::finished_run::{FailedStage, RecordCounts};
use crate::job::completion::{Cause, Completion};
use crate::job::progress::Progress;
use crate::job::run_metrics::Expectations;
use crate::job::spec::Extent;
use crate::job::timing::Timing;
use crate::labels::GroupingKey;
use crate::line_fields::{LineBuilder, LineFields, split_line};
use crate::outcome::Outcome;

const MAGIC: &str = "metrics-push journal";
const VERSION: u32 = 1;

/// The value of the field `extent`. Without the field, a run is a task.
const PROCESS: &str = "process";

#[derive(Clone, Debug, PartialEq)]
pub(in crate::job) enum Line {
    Header(Header),
    Started(u64, Started),
    Finished(u64, Finished),
    Acknowledged(u64),
    /// The run has these sinks from now on.
    Moved(u64, Vec<String>),
    /// Another process found the run of a dead process at this time, in Unix seconds.
    Abandoned(u64, f64),
}

/// The owner of a journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::job) struct Header {
    pub(in crate::job) process: u32,
    /// The boot id of the machine.
    pub(super) boot: String,
    /// The file that the supervisor of the process has locked. While it is locked, the supervisor reports the runs.
    pub(in crate::job) supervisor: Option<String>,
}

/// A started run, with all that is needed to report it without its process.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::job) struct Started {
    /// The id of the run, which no other run has.
    pub(in crate::job) run: String,
    pub(in crate::job) key: GroupingKey,
    /// The URLs of its sinks, without credentials.
    pub(in crate::job) sinks: Vec<String>,
    /// Unix seconds.
    pub(in crate::job) at: f64,
    pub(in crate::job) extent: Extent,
    pub(in crate::job) expected: Expectations<'static>,
}

impl Started {
    /// Returns what identifies the run among those of its process: its group and the exact time of its start.
    pub(in crate::job) fn identity(&self) -> RunIdentity {
        (self.key.clone(), self.at.to_bits())
    }
}

/// The identity of a run among those of its process.
pub(in crate::job) type RunIdentity = (GroupingKey, u64);

/// How a run ended. It is written before the completion is submitted.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::job) struct Finished {
    pub(in crate::job) cause: Cause,
    /// Unix seconds.
    pub(in crate::job) at: f64,
    pub(in crate::job) duration: Option<Duration>,
    pub(in crate::job) records: Option<RecordCounts>,
    pub(in crate::job) failed_stage: Option<FailedStage>,
    /// Why the run failed.
    pub(in crate::job) reason: Option<String>,
}

impl Finished {
    pub(in crate::job) fn new(cause: Cause, at: f64, duration: Option<Duration>) -> Self {
        Self { cause, at, duration, records: None, failed_stage: None, reason: None }
    }

    /// Returns the completion of the run, which started at this time in Unix seconds.
    pub(in crate::job) fn completion(&self, started_at: f64) -> Completion {
        Completion { duration: self.duration, ..Completion::at(self.cause, started_at, self.at) }
    }

    /// Returns the progress of the run at its end.
    pub(in crate::job) fn progress(&self) -> Progress {
        Progress { records: self.records, ..Progress::at_failure(self.failed_stage.as_ref()) }
    }
}

/// A run as the lines of a journal describe it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::job) struct JournaledRun {
    pub(in crate::job) id: u64,
    pub(in crate::job) started: Started,
    pub(in crate::job) finished: Option<Finished>,
    /// When another process found the run, in Unix seconds.
    pub(in crate::job) found_at: Option<f64>,
}

/// The header of a journal and its runs that are not acknowledged.
#[derive(Debug, PartialEq)]
pub(super) struct JournalContents {
    pub(super) header: Header,
    pub(super) runs: Vec<JournaledRun>,
}

/// Why a file cannot be read as a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum InvalidJournal {
    /// The header is incomplete.
    Truncated,
    /// A later version wrote it.
    Newer,
    /// It is not a journal.
    Foreign,
}

impl Line {
    /// Returns the text of the line, with a line feed.
    pub(in crate::job) fn to_text(&self) -> String {
        let mut line = LineBuilder::default();
        match self {
            Self::Header(header) => {
                line.word(format_args!("{MAGIC} {VERSION}"));
                line.field("process", header.process);
                line.field("boot", &header.boot);
                line.optional("supervisor", header.supervisor.as_ref());
            }
            Self::Started(id, run) => {
                begin(&mut line, "started", *id);
                line.field("run", &run.run);
                line.field("at", run.at);
                run.sinks.iter().for_each(|sink| line.field("sink", sink));
                line.optional("extent", (run.extent == Extent::Process).then_some(PROCESS));
                line.key(&run.key);
                write_expectations(&mut line, &run.expected);
            }
            Self::Finished(id, finished) => {
                begin(&mut line, "finished", *id);
                line.field("outcome", finished.cause.outcome);
                line.field("at", finished.at);
                line.optional("duration", finished.duration.map(|it| it.as_secs_f64()));
                line.optional("exit_code", finished.cause.exit_code);
                line.optional("signal", finished.cause.signal);
                line.optional("core_dumped", finished.cause.core_dumped);
                line.optional("records", finished.records.map(RecordCounts::to_text));
                finished.failed_stage.iter().for_each(|stage| stage.write(&mut line));
                line.optional("reason", finished.reason.as_deref());
            }
            Self::Acknowledged(id) => begin(&mut line, "acknowledged", *id),
            Self::Moved(id, sinks) => {
                begin(&mut line, "moved", *id);
                sinks.iter().for_each(|sink| line.field("sink", sink));
            }
            Self::Abandoned(id, at) => {
                begin(&mut line, "abandoned", *id);
                line.field("at", at);
            }
        }
        line.finish()
    }

    /// Reads a line about a run, without its line feed. Returns `None` for an unknown or invalid line.
    pub(in crate::job) fn from_text(line: &str) -> Option<Self> {
        let (word, fields) = split_line(line);
        let id = fields.number("id")?;
        Some(match word {
            "started" => Self::Started(id, read_started(&fields)?),
            "finished" => Self::Finished(id, read_finished(&fields)?),
            "abandoned" => Self::Abandoned(id, fields.number("at")?),
            "acknowledged" => Self::Acknowledged(id),
            "moved" => Self::Moved(id, read_sinks(&fields)),
            _ => return None,
        })
    }
}

fn begin(line: &mut LineBuilder, word: &str, id: u64) {
    line.word(word);
    line.field("id", id);
}

fn write_expectations(line: &mut LineBuilder, expected: &Expectations<'_>) {
    let seconds = |duration: Option<Duration>| duration.map(|it| it.as_secs_f64());
    match &expected.timing {
        Some(Timing::Every(interval)) => line.field("every", interval.as_secs_f64()),
        Some(Timing::Schedule { expression, timezone }) => {
            line.field("schedule", expression);
            line.field("timezone", timezone);
        }
        None => {}
    }
    line.optional("grace", seconds(expected.grace));
    line.optional("max_runtime", seconds(expected.max_runtime));
    line.optional("heartbeat", seconds(expected.heartbeat));
    line.optional("failure_threshold", expected.failure_threshold);
    line.optional("recovery_threshold", expected.recovery_threshold);
    line.field("version", &expected.version);
}

/// Parses a journal up to its last complete line. After a power loss, a file may be longer than the written text and
/// end in zeros.
pub(super) fn parse(text: &str) -> Result<JournalContents, InvalidJournal> {
    let text = text.split('\0').next().unwrap_or_default();
    let (header, rest) = match text.split_once('\n') {
        Some(split) => split,
        None if MAGIC.starts_with(text.get(..MAGIC.len()).unwrap_or(text)) => {
            return Err(InvalidJournal::Truncated);
        }
        None => return Err(InvalidJournal::Foreign),
    };
    let (first, fields) = split_line(header);
    match first.strip_prefix(MAGIC).and_then(|version| version.trim().parse::<u32>().ok()) {
        Some(VERSION) => {}
        Some(_) => return Err(InvalidJournal::Newer),
        None => return Err(InvalidJournal::Foreign),
    }
    let header = Header {
        process: fields.number("process").unwrap_or_default(),
        boot: fields.text("boot").unwrap_or_default().to_owned(),
        supervisor: fields.text("supervisor").map(str::to_owned),
    };
    let mut runs = BTreeMap::new();
    let complete = rest.rsplit_once('\n').map_or("", |(complete, _)| complete);
    for line in complete.lines() {
        // An unknown or invalid line is skipped.
        let _ = apply(&mut runs, line);
    }
    Ok(JournalContents { header, runs: runs.into_values().collect() })
}

/// Applies one line to the runs.
fn apply(runs: &mut BTreeMap<u64, JournaledRun>, line: &str) -> Option<()> {
    match Line::from_text(line)? {
        Line::Started(id, started) => {
            runs.insert(id, JournaledRun { id, started, finished: None, found_at: None });
        }
        Line::Finished(id, finished) => runs.get_mut(&id)?.finished = Some(finished),
        Line::Abandoned(id, at) => runs.get_mut(&id)?.found_at = Some(at),
        Line::Acknowledged(id) => drop(runs.remove(&id)),
        Line::Moved(id, sinks) => runs.get_mut(&id)?.started.sinks = sinks,
        Line::Header(_) => {}
    }
    Some(())
}

fn read_started(fields: &LineFields<'_>) -> Option<Started> {
    let key = fields.key()?;
    let expected = read_expectations(fields);
    let sinks = read_sinks(fields);
    let extent = match fields.text("extent") {
        Some(PROCESS) => Extent::Process,
        _ => Extent::Task,
    };
    let at: f64 = fields.number("at")?;
    let run = fields.text("run").map_or_else(|| format!("{:016x}", at.to_bits()), str::to_owned);
    Some(Started { run, key, sinks, at, extent, expected })
}

fn read_expectations(fields: &LineFields<'_>) -> Expectations<'static> {
    let text = |name| fields.text(name).unwrap_or_default().to_owned();
    let schedule = fields.text("schedule").map(|expression| Timing::Schedule {
        expression: expression.to_owned().into(),
        timezone: text("timezone").into(),
    });
    Expectations {
        timing: schedule.or_else(|| fields.duration("every").map(Timing::Every)),
        grace: fields.duration("grace"),
        max_runtime: fields.duration("max_runtime"),
        heartbeat: fields.duration("heartbeat"),
        failure_threshold: fields.number("failure_threshold"),
        recovery_threshold: fields.number("recovery_threshold"),
        version: text("version").into(),
    }
}

fn read_sinks(fields: &LineFields<'_>) -> Vec<String> {
    fields.all("sink").map(str::to_owned).collect()
}

fn read_finished(fields: &LineFields<'_>) -> Option<Finished> {
    let cause = Cause {
        outcome: Outcome::from_label(fields.text("outcome")?)?,
        exit_code: fields.number("exit_code"),
        signal: fields.number("signal"),
        core_dumped: fields.number("core_dumped"),
    };
    Some(Finished {
        cause,
        at: fields.number("at")?,
        duration: fields.duration("duration"),
        records: fields.text("records").and_then(RecordCounts::from_text),
        failed_stage: FailedStage::read(fields),
        reason: fields.text("reason").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(job: &str) -> Started {
        Started {
            run: format!("id-{job}"),
            key: GroupingKey::new(job).unwrap().label("path", "a=b\tc\\n\n\0\r").unwrap(),
            sinks: vec!["http://a:9091".into(), "http://b:9091/x".into()],
            at: 1_763_806_500.123_456_7,
            extent: if job == "active" { Extent::Process } else { Extent::Task },
            expected: Expectations {
                timing: Some(if job == "active" {
                    Timing::Schedule { expression: "0 3 * * *".into(), timezone: "UTC".into() }
                } else {
                    Timing::Every(Duration::from_secs(60))
                }),
                grace: Some(Duration::from_secs(10)),
                failure_threshold: Some(3),
                recovery_threshold: None,
                max_runtime: None,
                heartbeat: Some(Duration::from_secs(5)),
                version: "1.0".into(),
            },
        }
    }

    fn journal() -> Vec<Line> {
        let header = Header { process: 7, boot: "b-1".into(), supervisor: Some("s".into()) };
        let cause =
            Cause { core_dumped: Some(true), ..Cause::from_exit(Outcome::ExitCode, Some(3)) };
        let finished = Finished {
            cause,
            at: 1_763_806_512.5,
            duration: Some(Duration::from_millis(12_250)),
            records: Some(RecordCounts { processed: 5, failed: 0, skipped: 1 }),
            failed_stage: Some(FailedStage { name: "load\tall".into(), has_ended: false }),
            reason: Some("no\tdisk".into()),
        };
        vec![
            Line::Header(header),
            Line::Started(0, run("acknowledged")),
            Line::Started(1, run("finished")),
            Line::Acknowledged(0),
            Line::Finished(1, finished),
            Line::Started(2, run("active")),
            Line::Abandoned(2, 1_763_806_600.0),
        ]
    }

    fn text(lines: &[Line]) -> String {
        lines.iter().map(Line::to_text).collect()
    }

    #[test]
    fn parse_reads_what_was_written() {
        let contents = parse(&text(&journal())).unwrap();
        assert_eq!(Line::Header(contents.header), journal()[0]);
        let [finished, active] = &contents.runs[..] else { panic!("{:?}", contents.runs) };
        assert_eq!(Line::Finished(1, finished.finished.clone().unwrap()), journal()[4]);
        assert_eq!((&finished.started, &active.started), (&run("finished"), &run("active")));
        assert_eq!((active.finished.as_ref(), active.found_at), (None, Some(1_763_806_600.0)));
    }

    #[test]
    fn moved_run_has_other_sinks_and_the_same_ending() {
        let mut lines = journal();
        lines.push(Line::Moved(1, vec!["http://c:9091".into()]));
        let moved = parse(&text(&lines)).unwrap();
        let unmoved = parse(&text(&journal())).unwrap();
        assert_eq!(moved.runs[0].started.sinks, ["http://c:9091"]);
        assert_eq!(moved.runs[0].finished, unmoved.runs[0].finished);
        assert_eq!(moved.runs[1], unmoved.runs[1]);
    }

    #[test]
    fn parse_reads_complete_lines_of_a_truncated_journal() {
        let text = text(&journal());
        for length in 0..text.len() {
            let lines = text[..length].matches('\n').count();
            match parse(&text[..length]) {
                Err(InvalidJournal::Truncated) => assert_eq!(lines, 0, "{length}"),
                Ok(contents) => {
                    let expected = [0, 0, 1, 2, 1, 1, 2, 2][lines];
                    assert_eq!(contents.runs.len(), expected, "{length}: {contents:?}");
                }
                Err(other) => panic!("{length}: {other:?}"),
            }
        }
    }

    #[test]
    fn parse_stops_at_the_zeros_of_a_power_loss() {
        let text = text(&journal());
        assert_eq!(parse(&"\0".repeat(100)), Err(InvalidJournal::Truncated));
        for length in 0..text.len() {
            let zeros = "\0".repeat(text.len() - length);
            assert_eq!(parse(&(text[..length].to_owned() + &zeros)), parse(&text[..length]));
        }
    }

    #[test]
    fn parse_distinguishes_newer_and_foreign_files() {
        assert_eq!(parse("metrics-push journal 2\tsealed=yes\n"), Err(InvalidJournal::Newer));
        for foreign in ["hello\n", "metrics-push spool 1\n", "no line"] {
            assert_eq!(parse(foreign), Err(InvalidJournal::Foreign), "{foreign:?}");
        }
    }

    #[test]
    fn parse_skips_unknown_words_and_fields() {
        let text = text(&journal()[..2]) + "paused\tid=0\treason=x\ngarbage\n\t\t==\n";
        assert_eq!(parse(&text).unwrap().runs.len(), 1);
    }
}
