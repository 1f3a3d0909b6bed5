//! The table for terminals: one row per job, then a sentence for each job that needs one.
//!
//! On a terminal, lines fit the width: columns are left out and long names continue on the next line. In a pipe, each job
//! is one line.

use metrics_push::__private::escape;

use crate::humanize::{age, duration, number};
use crate::jobs::{Job, LocalClock, State};
use crate::layout::{cut_middle, width, wrap};
use crate::marks;
use crate::terminal::{Terminal, Tone};

const COLUMNS: usize = 8;
const HEADINGS: [&str; COLUMNS] =
    ["STATE", "JOB", "LAST RUN", "LAST SUCCESS", "NEXT", "TOOK", "RECORDS", "LAST 20 RUNS"];
const STATE: usize = 0;
const JOB: usize = 1;
const LAST_RUN: usize = 2;
const NEXT: usize = 4;
const TOOK: usize = 5;
const RECORDS: usize = 6;
const STRIP: usize = 7;

/// The columns to leave out on a narrow terminal, in this order.
const DISPENSABLE: [&[usize]; 4] = [&[RECORDS, STRIP], &[TOOK], &[NEXT], &[LAST_RUN]];
/// Columns that are left out if they have no values.
const OPTIONAL: [usize; 4] = [NEXT, TOOK, RECORDS, STRIP];

/// Columns are left out if the names of jobs would have less than this width.
const MIN_NAME_WIDTH: usize = 20;
const GAP: &str = "  ";
/// Stands for a missing value.
const NONE: &str = "-";

/// Appends the rows of the selected jobs.
pub(super) fn push_rows(jobs: &[&Job], clock: &LocalClock, terminal: Terminal, text: &mut String) {
    let rows: Vec<TableRow> = jobs.iter().map(|job| TableRow::new(job, clock, terminal)).collect();
    let layout = Layout::new(&rows, terminal);
    layout.push(&TableRow::headings(terminal), text);
    for row in &rows {
        layout.push(row, text);
    }
}

/// One value and how it is displayed.
struct Cell {
    text: String,
    painted: String,
}

impl Cell {
    fn new(text: impl Into<String>, tone: Tone, terminal: Terminal) -> Self {
        let text = text.into();
        Self { painted: terminal.paint(tone, &text), text }
    }
}

struct TableRow {
    /// The name of the job and its labels.
    words: Vec<String>,
    name_tone: Tone,
    /// The values by column; that of the job is empty.
    cells: [Cell; COLUMNS],
}

impl TableRow {
    fn headings(terminal: Terminal) -> Self {
        let cell = |column: usize| {
            let heading = if column == JOB { "" } else { HEADINGS[column] };
            Cell::new(heading, Tone::Heading, terminal)
        };
        let words = vec![HEADINGS[JOB].to_owned()];
        Self { words, name_tone: Tone::Heading, cells: std::array::from_fn(cell) }
    }

    fn new(job: &Job, clock: &LocalClock, terminal: Terminal) -> Self {
        let plain = |text: String| Cell::new(text, Tone::Plain, terminal);
        let or_none = |text: Option<String>| plain(text.unwrap_or_else(|| NONE.to_owned()));
        let facts = &job.facts;
        let since = |instant: Option<f64>| instant.map(|instant| age(clock.now() - instant));
        let success = match facts.success {
            None if job.state != State::NoRuns => Some("never".to_owned()),
            success => since(success),
        };
        let marks = marks::strip(&job.strip(), terminal);
        let words = job.words();
        Self {
            words: words.iter().map(|word| escape(word).into_owned()).collect(),
            name_tone: Tone::Plain,
            cells: [
                Cell::new(escape(&job.state_text()), tone(job), terminal),
                plain(String::new()),
                or_none(since(facts.start.or(facts.completion))),
                or_none(success),
                next_run(job, terminal),
                or_none(job.duration().map(duration)),
                or_none(facts.records.processed.map(number)),
                marks.map_or_else(|| or_none(None), |(text, painted)| Cell { text, painted }),
            ],
        }
    }
}

fn next_run(job: &Job, terminal: Terminal) -> Cell {
    let tone = if job.is_late() { Tone::Heading } else { Tone::Plain };
    Cell::new(job.next_run_distance().unwrap_or_else(|| NONE.to_owned()), tone, terminal)
}

fn tone(job: &Job) -> Tone {
    match job.state {
        _ if job.needs_attention() => Tone::Bad,
        State::Flapping => Tone::Unstable,
        State::Running => Tone::Busy,
        State::Success => Tone::Good,
        _ => Tone::Plain,
    }
}

/// The widths of the columns; 0 hides a column.
struct Layout {
    widths: [usize; COLUMNS],
    /// The maximum width of a line.
    line: usize,
    terminal: Terminal,
}

impl Layout {
    fn new(rows: &[TableRow], terminal: Terminal) -> Self {
        let mut widths = std::array::from_fn(|column| column_width(rows, column));
        let line = terminal.width.unwrap_or(usize::MAX);
        for columns in DISPENSABLE {
            if available(&widths, line) >= widths[JOB].min(MIN_NAME_WIDTH) {
                break;
            }
            columns.iter().for_each(|column| widths[*column] = 0);
        }
        widths[JOB] = widths[JOB].min(available(&widths, line));
        Self { widths, line, terminal }
    }

    fn push(&self, row: &TableRow, text: &mut String) {
        let indent = self.widths[STATE] + GAP.len();
        let is_narrow = row.words.iter().all(|word| width(word) <= self.widths[JOB]);
        let available = if is_narrow { self.widths[JOB] } else { self.line.saturating_sub(indent) };
        let ellipsis = self.terminal.ellipsis();
        let words: Vec<_> =
            row.words.iter().map(|word| cut_middle(word, available, ellipsis)).collect();
        let mut lines = wrap(words.iter().map(String::as_str), available, available);
        let mut values_line = 0;
        if !is_narrow {
            if lines.last().is_some_and(|last| width(last) > self.widths[JOB]) {
                lines.push(String::new());
            }
            values_line = lines.len() - 1;
        }
        for (number, name) in lines.iter().enumerate() {
            let mut line = match number {
                0 => self.padded(STATE, &row.cells[STATE]) + GAP,
                _ => " ".repeat(indent),
            };
            line.push_str(&self.terminal.paint(row.name_tone, name));
            if number == values_line {
                line.push_str(&" ".repeat(self.widths[JOB] - width(name)));
                line.push_str(&self.values(row));
            }
            text.extend([line.trim_end(), "\n"]);
        }
    }

    /// The values of the columns after the name.
    fn values(&self, row: &TableRow) -> String {
        let columns = (JOB + 1..COLUMNS).filter(|column| self.widths[*column] > 0);
        columns.map(|column| format!("{GAP}{}", self.padded(column, &row.cells[column]))).collect()
    }

    fn padded(&self, column: usize, cell: &Cell) -> String {
        let blank = " ".repeat(self.widths[column].saturating_sub(width(&cell.text)));
        match column {
            STATE | STRIP => format!("{}{blank}", cell.painted),
            _ => format!("{blank}{}", cell.painted),
        }
    }
}

/// The width of the widest value; 0 for an optional column without values.
fn column_width(rows: &[TableRow], column: usize) -> usize {
    if column == JOB {
        let names = rows.iter().map(|row| row.words.iter().map(|word| width(word) + 1).sum());
        return names.max().unwrap_or(0).saturating_sub(1).max(width(HEADINGS[JOB]));
    }
    if OPTIONAL.contains(&column) && rows.iter().all(|row| row.cells[column].text == NONE) {
        return 0;
    }
    let cells = rows.iter().map(|row| width(&row.cells[column].text));
    cells.max().unwrap_or(0).max(width(HEADINGS[column]))
}

/// The width that the other columns leave for the names of jobs.
fn available(widths: &[usize; COLUMNS], line: usize) -> usize {
    let others = (0..COLUMNS).filter(|column| *column != JOB && widths[*column] > 0);
    line.saturating_sub(others.map(|column| widths[column] + GAP.len()).sum())
}
