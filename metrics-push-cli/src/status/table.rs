//! The table for terminals: one row per group, then one sentence per problem.
//!
//! On a terminal, lines fit the width: long names continue on the next line. In a pipe, each group is one line.

use metrics_push::__private::escape;

use super::answer::Answer;
use super::report::{Report, State};
use crate::humanize::{duration, sentence};
use crate::terminal::{Terminal, Tone};

const HEADINGS: [&str; COLUMNS] =
    ["STATE", "JOB", "SUCCESS", "DEADLINE", "TOOK", "RECORDS", "FAILED"];
const COLUMNS: usize = 7;
/// The column that shrinks on a narrow terminal.
const NAME: usize = 1;
/// Columns up to this one contain text and are aligned to the left; the others contain numbers.
const LAST_TEXT: usize = NAME;
const GAP: &str = "  ";
const MIN_NAME_WIDTH: usize = 12;

pub(super) fn text(answers: &[Answer], job: Option<&str>, terminal: Terminal) -> String {
    let mut text = String::new();
    for answer in answers {
        let Ok(reports) = &answer.reports else { continue };
        if answers.len() > 1 {
            text.extend([answer.url.as_str(), "\n"]);
        }
        if reports.is_empty() {
            text.push_str(&match job {
                Some(job) => {
                    format!("The gateway at {} has no groups of job {job:?}.\n", answer.url)
                }
                None => format!("The gateway at {} has no groups.\n", answer.url),
            });
            continue;
        }
        push_table(reports, terminal, &mut text);
        push_problems(reports, terminal, &mut text);
    }
    text
}

type Cells = [String; COLUMNS];

fn push_table(reports: &[Report], terminal: Terminal, text: &mut String) {
    let rows: Vec<Cells> = reports.iter().map(cells).collect();
    let mut widths = widths(&rows);
    if let Some(width) = terminal.width {
        let others: usize =
            widths.iter().filter(|width| **width > 0).map(|width| width + GAP.len()).sum();
        let left = (width + GAP.len() + widths[NAME]).saturating_sub(others);
        widths[NAME] = widths[NAME].min(left.max(MIN_NAME_WIDTH));
    }
    push_row(&HEADINGS.map(str::to_owned), &[Tone::Heading; COLUMNS], &widths, terminal, text);
    for (report, cells) in reports.iter().zip(&rows) {
        push_row(cells, &tones(report), &widths, terminal, text);
    }
}

fn cells(report: &Report) -> Cells {
    let facts = &report.facts;
    let time = |seconds: Option<f64>| seconds.map_or_else(String::new, duration);
    let count = |records: Option<f64>| records.map_or_else(String::new, |count| count.to_string());
    let success = match report.success_age() {
        Some(age) => format!("{} ago", duration(age)),
        None if report.has_runs() => "never".to_owned(),
        None => String::new(),
    };
    [
        state(&report.state),
        report.name(),
        success,
        time(facts.deadline),
        time(facts.took),
        count(facts.processed),
        count(facts.failed),
    ]
    .map(|cell| escape(&cell).into_owned())
}

fn state(state: &State) -> String {
    match state {
        State::Ended(outcome) => outcome.clone(),
        State::Running(None) => "running".to_owned(),
        State::Running(Some(percent)) => format!("running {percent}%"),
        State::Vanished => "vanished".to_owned(),
        State::Overdue => "overdue".to_owned(),
        State::Refused => "refused".to_owned(),
        State::NoRuns => "no runs".to_owned(),
    }
}

fn tones(report: &Report) -> [Tone; COLUMNS] {
    let mut tones = [Tone::Plain; COLUMNS];
    tones[0] = match (report.is_well(), &report.state) {
        (false, _) => Tone::Bad,
        (true, State::Running(_)) => Tone::Busy,
        (true, State::NoRuns) => Tone::Plain,
        (true, _) => Tone::Good,
    };
    tones
}

/// Returns the width of each column; 0 hides a column without values.
fn widths(rows: &[Cells]) -> [usize; COLUMNS] {
    std::array::from_fn(|column| {
        let widest = rows.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
        if widest == 0 { 0 } else { widest.max(HEADINGS[column].len()) }
    })
}

fn push_row(
    cells: &Cells,
    tones: &[Tone; COLUMNS],
    widths: &[usize; COLUMNS],
    terminal: Terminal,
    text: &mut String,
) {
    let name_lines = wrap(&cells[NAME], widths[NAME]);
    for (number, name) in name_lines.iter().enumerate() {
        let mut line = String::new();
        for column in (0..COLUMNS).filter(|column| widths[*column] > 0) {
            let cell = match (number, column) {
                (_, NAME) => name,
                (0, _) if cells[column].is_empty() => "-",
                (0, _) => &cells[column],
                _ => "",
            };
            let blank = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
            let cell = terminal.paint(tones[column], cell);
            if column > 0 {
                line.push_str(GAP);
            }
            if column <= LAST_TEXT {
                line.extend([cell, blank]);
            } else {
                line.extend([blank, cell]);
            }
        }
        text.extend([line.trim_end(), "\n"]);
    }
}

fn push_problems(reports: &[Report], terminal: Terminal, text: &mut String) {
    let problems: Vec<String> = reports
        .iter()
        .flat_map(|report| {
            let line = |problem: &String| {
                escape(&format!("{}: {}", report.name(), sentence(problem))).into_owned()
            };
            report.problems.iter().map(line)
        })
        .collect();
    if !problems.is_empty() {
        text.push('\n');
    }
    for problem in problems {
        for line in wrap(&problem, terminal.width.unwrap_or(usize::MAX)) {
            text.extend([&line, "\n"]);
        }
    }
}

/// Breaks a text between words, and inside words that are longer than the width.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push(String::new());
            used = 0;
        }
        if used > 0 {
            push(&mut lines, ' ');
            used += 1;
        }
        for character in word.chars() {
            if used == width {
                lines.push(String::new());
                used = 0;
            }
            push(&mut lines, character);
            used += 1;
        }
    }
    lines
}

fn push(lines: &mut [String], character: char) {
    if let Some(line) = lines.last_mut() {
        line.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrap_breaks_between_words_if_possible() {
        assert_eq!(wrap("invoices tenant=1 region=eu", 18), ["invoices tenant=1", "region=eu"]);
        assert_eq!(wrap("a_very_long_name x", 6), ["a_very", "_long_", "name x"]);
        assert_eq!(wrap("short", usize::MAX), ["short"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn table_hides_columns_without_values() {
        let rows = [["ok", "job", "", "", "7ms", "", ""].map(str::to_owned)];
        assert_eq!(widths(&rows), [5, 3, 0, 0, 4, 0, 0]);
        let mut text = String::new();
        let terminal = Terminal::plain(None);
        push_row(&rows[0], &[Tone::Plain; COLUMNS], &widths(&rows), terminal, &mut text);
        assert_eq!(text, "ok     job   7ms\n");
    }
}
