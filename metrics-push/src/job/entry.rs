//! Entry: one line of a journal, and what all lines of one say together.
//!
//! A line is a word and `name=value` fields, separated by tabs. Unknown fields and words are skipped, so that a later
//! version may add some; a version that means something else has another number in its first line.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::Duration;

use super::ending::Cause;
use super::facts::Expectations;
use super::{Extent, Outcome};
use crate::labels::GroupingKey;

const MAGIC: &str = "metrics-push journal";
const VERSION: u32 = 1;

/// The extent that is said; without it, a run is a task.
const PROCESS: &str = "process";

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry {
    Head(Head),
    Opened(u64, Opened),
    Ended(u64, Ended),
    Done(u64),
    /// Somebody else found it open, at this time in Unix seconds.
    Found(u64, f64),
}

/// Whose journal it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Head {
    pub(super) process: u32,
    /// Which start of the machine it was.
    pub(super) boot: String,
    /// The file whose lock the process' supervisor holds: as long as it does, the rest is its business.
    pub(super) supervisor: Option<String>,
}

/// A run that was opened: all that is needed to report it without its process.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Opened {
    pub(super) key: GroupingKey,
    /// The URLs it reports to, without credentials.
    pub(super) sinks: Vec<String>,
    pub(super) started: f64,
    pub(super) extent: Extent,
    pub(super) expected: Expectations<'static>,
}

/// How a run ended, written down before anybody was told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ended {
    pub(super) cause: Cause,
    pub(super) at: f64,
    pub(super) duration: Option<Duration>,
}

/// A run as its journal's lines tell of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) id: u64,
    pub(super) opened: Opened,
    pub(super) ended: Option<Ended>,
    pub(super) found: Option<f64>,
}

/// What a journal says: its head, and the runs whose end was not delivered.
#[derive(Debug, PartialEq)]
pub(super) struct Contents {
    pub(super) head: Head,
    pub(super) runs: Vec<Known>,
}

/// Why a file can't be read as a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Not even its first line was written.
    Torn,
    /// A later version wrote it.
    Newer,
    /// It is something else.
    Foreign,
}

impl Entry {
    /// The line, with its end.
    pub(super) fn to_line(&self) -> String {
        let mut line = Line::default();
        match self {
            Self::Head(head) => {
                line.text = format!("{MAGIC} {VERSION}");
                line.field("process", head.process);
                line.field("boot", &head.boot);
                line.optional("supervisor", head.supervisor.as_ref());
            }
            Self::Opened(id, run) => {
                line.begin("open", *id);
                line.field("started", run.started);
                run.sinks.iter().for_each(|sink| line.field("sink", sink));
                line.optional("extent", (run.extent == Extent::Process).then_some(PROCESS));
                line.field("job", run.key.job());
                run.key
                    .labels()
                    .for_each(|(name, value)| line.field("label", format!("{name}={value}")));
                line.optional("deadline", run.expected.deadline.map(|it| it.as_secs_f64()));
                line.optional("max_runtime", run.expected.max_runtime.map(|it| it.as_secs_f64()));
                line.optional("heartbeat", run.expected.heartbeat.map(|it| it.as_secs_f64()));
                line.field("version", &run.expected.version);
            }
            Self::Ended(id, ended) => {
                line.begin("ended", *id);
                line.field("outcome", ended.cause.outcome);
                line.field("at", ended.at);
                line.optional("duration", ended.duration.map(|it| it.as_secs_f64()));
                line.optional("code", ended.cause.exit_code);
                line.optional("signal", ended.cause.signal);
                line.optional("core_dumped", ended.cause.core_dumped);
            }
            Self::Done(id) => line.begin("done", *id),
            Self::Found(id, at) => {
                line.begin("found", *id);
                line.field("at", at);
            }
        }
        line.text.push('\n');
        line.text
    }
}

#[derive(Default)]
struct Line {
    text: String,
}

impl Line {
    fn begin(&mut self, word: &str, id: u64) {
        self.text.push_str(word);
        self.field("id", id);
    }

    fn field(&mut self, name: &str, value: impl fmt::Display) {
        let value =
            value.to_string().replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n");
        let value = value.replace('\r', "\\r").replace('\0', "\\0");
        // Writing to a string does not fail.
        let _ = write!(self.text, "\t{name}={value}");
    }

    fn optional(&mut self, name: &str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }
}

/// Reads a journal as far as it was written: an unfinished last line was never said. After a power loss a file may be
/// longer than what was written of it; the rest is then zeros.
pub(super) fn parse(text: &str) -> Result<Contents, Unreadable> {
    let text = text.split('\0').next().unwrap_or_default();
    let (head, rest) = match text.split_once('\n') {
        Some(split) => split,
        None if MAGIC.starts_with(text.get(..MAGIC.len()).unwrap_or(text)) => {
            return Err(Unreadable::Torn);
        }
        None => return Err(Unreadable::Foreign),
    };
    let (first, fields) = fields(head);
    match first.strip_prefix(MAGIC).and_then(|version| version.trim().parse::<u32>().ok()) {
        Some(VERSION) => {}
        Some(_) => return Err(Unreadable::Newer),
        None => return Err(Unreadable::Foreign),
    }
    let head = Head {
        process: number(&fields, "process").unwrap_or_default(),
        boot: last(&fields, "boot").unwrap_or_default().to_owned(),
        supervisor: last(&fields, "supervisor").map(str::to_owned),
    };
    let mut runs = BTreeMap::new();
    let whole = rest.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for line in whole.lines() {
        // A line that says nothing we know changes nothing.
        let _ = apply(&mut runs, line);
    }
    Ok(Contents { head, runs: runs.into_values().collect() })
}

/// Adds what one line says.
fn apply(runs: &mut BTreeMap<u64, Known>, line: &str) -> Option<()> {
    let (word, fields) = fields(line);
    let id = number(&fields, "id")?;
    match word {
        "open" => {
            let opened = opened(&fields)?;
            runs.insert(id, Known { id, opened, ended: None, found: None });
        }
        "ended" => runs.get_mut(&id)?.ended = Some(ended(&fields)?),
        "found" => runs.get_mut(&id)?.found = Some(number(&fields, "at")?),
        "done" => drop(runs.remove(&id)),
        _ => {}
    }
    Some(())
}

fn opened(fields: &[(&str, String)]) -> Option<Opened> {
    let mut key = GroupingKey::new(last(fields, "job")?).ok()?;
    for label in all(fields, "label") {
        let (name, value) = label.split_once('=')?;
        key = key.label(name, value).ok()?;
    }
    let expected = Expectations {
        deadline: duration(fields, "deadline"),
        max_runtime: duration(fields, "max_runtime"),
        heartbeat: duration(fields, "heartbeat"),
        version: last(fields, "version").unwrap_or_default().to_owned().into(),
    };
    let sinks = all(fields, "sink").map(str::to_owned).collect();
    let extent = match last(fields, "extent") {
        Some(PROCESS) => Extent::Process,
        _ => Extent::Task,
    };
    Some(Opened { key, sinks, started: number(fields, "started")?, extent, expected })
}

fn ended(fields: &[(&str, String)]) -> Option<Ended> {
    let said = last(fields, "outcome")?;
    let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == said)?;
    let cause = Cause {
        outcome,
        exit_code: number(fields, "code"),
        signal: number(fields, "signal"),
        core_dumped: number(fields, "core_dumped"),
    };
    Some(Ended { cause, at: number(fields, "at")?, duration: duration(fields, "duration") })
}

/// The word of a line, and its fields.
fn fields(line: &str) -> (&str, Vec<(&str, String)>) {
    let mut parts = line.split('\t');
    let word = parts.next().unwrap_or_default();
    let fields = parts.filter_map(|part| part.split_once('='));
    (word, fields.map(|(name, value)| (name, unescape(value))).collect())
}

fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('0') => '\0',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    text
}

fn all<'a>(fields: &'a [(&str, String)], name: &str) -> impl Iterator<Item = &'a str> {
    fields.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
}

fn last<'a>(fields: &'a [(&str, String)], name: &str) -> Option<&'a str> {
    fields.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

fn number<T: FromStr>(fields: &[(&str, String)], name: &str) -> Option<T> {
    last(fields, name)?.parse().ok()
}

fn duration(fields: &[(&str, String)], name: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(number(fields, name)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(job: &str) -> Opened {
        Opened {
            key: GroupingKey::new(job).unwrap().label("path", "a=b\tc\\n\n\0\r").unwrap(),
            sinks: vec!["http://a:9091".into(), "http://b:9091/x".into()],
            started: 1_763_806_500.123_456_7,
            extent: if job == "open" { Extent::Process } else { Extent::Task },
            expected: Expectations {
                deadline: Some(Duration::from_secs(60)),
                max_runtime: None,
                heartbeat: Some(Duration::from_secs(5)),
                version: "1.0".into(),
            },
        }
    }

    fn journal() -> Vec<Entry> {
        let head = Head { process: 7, boot: "b-1".into(), supervisor: Some("s".into()) };
        let cause = Cause { core_dumped: Some(true), ..Cause::of_exit(Outcome::ExitCode, Some(3)) };
        let ended =
            Ended { cause, at: 1_763_806_512.5, duration: Some(Duration::from_millis(12_250)) };
        vec![
            Entry::Head(head),
            Entry::Opened(0, run("done")),
            Entry::Opened(1, run("ended")),
            Entry::Done(0),
            Entry::Ended(1, ended),
            Entry::Opened(2, run("open")),
            Entry::Found(2, 1_763_806_600.0),
        ]
    }

    fn text(entries: &[Entry]) -> String {
        entries.iter().map(Entry::to_line).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let contents = parse(&text(&journal())).unwrap();
        assert_eq!(Entry::Head(contents.head), journal()[0]);
        let [ended, open] = &contents.runs[..] else { panic!("{:?}", contents.runs) };
        assert_eq!(Entry::Ended(1, ended.ended.clone().unwrap()), journal()[4]);
        assert_eq!((&ended.opened, &open.opened), (&run("ended"), &run("open")));
        assert_eq!((open.ended.as_ref(), open.found), (None, Some(1_763_806_600.0)));
    }

    #[test]
    fn a_journal_cut_anywhere_tells_what_was_whole() {
        let text = text(&journal());
        for length in 0..text.len() {
            let lines = text[..length].matches('\n').count();
            match parse(&text[..length]) {
                Err(Unreadable::Torn) => assert_eq!(lines, 0, "{length}"),
                Ok(contents) => {
                    let expected = [0, 0, 1, 2, 1, 1, 2, 2][lines];
                    assert_eq!(contents.runs.len(), expected, "{length}: {contents:?}");
                }
                Err(other) => panic!("{length}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_a_power_loss_left_of_a_journal_is_read_up_to_the_zeros() {
        let text = text(&journal());
        assert_eq!(parse(&"\0".repeat(100)), Err(Unreadable::Torn));
        for length in 0..text.len() {
            let zeros = "\0".repeat(text.len() - length);
            assert_eq!(parse(&(text[..length].to_owned() + &zeros)), parse(&text[..length]));
        }
    }

    #[test]
    fn newer_and_foreign_files_are_told_apart() {
        assert_eq!(parse("metrics-push journal 2\tsealed=yes\n"), Err(Unreadable::Newer));
        for foreign in ["hello\n", "metrics-push spool 1\n", "no line"] {
            assert_eq!(parse(foreign), Err(Unreadable::Foreign), "{foreign:?}");
        }
    }

    #[test]
    fn what_a_later_version_adds_is_skipped() {
        let text = text(&journal()[..2]) + "paused\tid=0\treason=x\ngarbage\n\t\t==\n";
        assert_eq!(parse(&text).unwrap().runs.len(), 1);
    }
}
