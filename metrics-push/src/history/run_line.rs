//! The line of one run in a history file.

use std::time::Duration;

use crate::finished_run::{FailedStage, FinishedRun, RecordCounts};
use crate::line_fields::{LineBuilder, LineFields, split_line};
use crate::outcome::Outcome;

/// The first word of the line.
const RUN: &str = "run";

/// The start of the line, after the line feed of the line before.
const NEXT_RUN: &str = "\nrun\t";

/// A longer line is written without the stages and the reason.
const MAX_LINE_SIZE: usize = 8 * 1024;

/// Returns the line of a run, with a line feed.
pub(super) fn write_run(run: &FinishedRun) -> String {
    let line = write_fields(run);
    if line.len() <= MAX_LINE_SIZE {
        return line;
    }
    write_fields(&FinishedRun { stages: Vec::new(), reason: None, ..run.clone() })
}

fn write_fields(run: &FinishedRun) -> String {
    let mut line = LineBuilder::default();
    line.word(RUN);
    line.field("id", &run.id);
    line.field("outcome", run.outcome);
    line.field("start", run.started_at);
    line.field("end", run.ended_at);
    line.optional("duration", run.duration.map(|it| it.as_secs_f64()));
    line.optional("exit_code", run.exit_code);
    line.optional("signal", run.signal);
    line.optional("attempts", run.attempts);
    line.optional("records", run.records.map(RecordCounts::to_text));
    for (name, duration) in &run.stages {
        line.field("stage", format_args!("{} {name}", duration.as_secs_f64()));
    }
    run.failed_stage.iter().for_each(|stage| stage.write(&mut line));
    line.optional("reason", run.reason.as_deref());
    line.finish()
}

/// Returns the run of a line; `None` if the line is invalid.
pub(super) fn read_run(line: &str) -> Option<FinishedRun> {
    let (word, fields) = split_line(line);
    (word == RUN).then_some(())?;
    Some(FinishedRun {
        id: fields.text("id")?.to_owned(),
        outcome: Outcome::from_label(fields.text("outcome")?)?,
        started_at: fields.number("start")?,
        ended_at: fields.number("end")?,
        duration: fields.duration("duration"),
        exit_code: fields.number("exit_code"),
        signal: fields.number("signal"),
        attempts: fields.number("attempts"),
        records: fields.text("records").and_then(RecordCounts::from_text),
        stages: read_stages(&fields),
        failed_stage: FailedStage::read(&fields),
        reason: fields.text("reason").map(str::to_owned),
    })
}

/// Splits the lines of a section at its first run. All later lines are runs as well.
pub(super) fn split_runs(lines: &str) -> (&str, &str) {
    let next = || lines.find(NEXT_RUN).map_or(lines.len(), |line_feed| line_feed + 1);
    lines.split_at(if lines.starts_with(&NEXT_RUN[1..]) { 0 } else { next() })
}

/// Returns when the run of a line ended, in Unix seconds.
pub(super) fn end_of(line: &str) -> Option<f64> {
    split_line(line).1.number("end")
}

fn read_stages(fields: &LineFields<'_>) -> Vec<(String, Duration)> {
    let stages = fields.all("stage").filter_map(|stage| {
        let (seconds, name) = stage.split_once(' ')?;
        let duration = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
        Some((name.to_owned(), duration))
    });
    stages.collect()
}
