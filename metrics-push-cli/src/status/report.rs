//! The text of `status`: the table, a sentence for each job that needs one, what waits on the disk, and a summary.
//!
//! The end of the text has what matters most, because the end of a long text stays on the screen.

use metrics_push::__private::escape;

use super::selection::SelectionArguments;
use super::table;
use crate::humanize::number;
use crate::jobs::{Job, Overview, RunSummary, State};
use crate::layout::{INDENT, cut, hang};
use crate::marks;
use crate::terminal::Terminal;

pub(super) fn text(
    overview: &Overview,
    selection: &SelectionArguments,
    terminal: Terminal,
) -> String {
    let selected = selection.select(overview);
    let mut text = String::new();
    if overview.jobs.is_empty() {
        push_missing(overview, selection, &mut text);
    } else if !selected.jobs.is_empty() {
        table::push_rows(&selected.jobs, &overview.clock, terminal, &mut text);
    }
    let mut sentences = String::new();
    for job in &selected.jobs {
        push_sentences(job, terminal, &mut sentences);
    }
    let mut end = String::new();
    for sentence in overview.delivery.sentences(&overview.clock) {
        push_wrapped(&sentence, terminal, &mut end);
    }
    if !overview.jobs.is_empty() {
        push_summary(overview, selected.hidden, &mut end);
    }
    let sections = [text, sentences, end];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

fn push_missing(overview: &Overview, selection: &SelectionArguments, text: &mut String) {
    let groups = match selection.describe() {
        Some(selected) => format!("groups of job {selected}"),
        None => "groups".to_owned(),
    };
    for gateway in overview.delivery.gateways.iter().filter(|gateway| gateway.is_up()) {
        let line = format!("The server at {} has no {groups}.", gateway.url);
        text.extend([&escape(&line), "\n"]);
    }
}

fn push_sentences(job: &Job, terminal: Terminal, text: &mut String) {
    let name = job.words().join(" ");
    if let Some(sentence) = job.sentence() {
        push_wrapped(&format!("{name}: {sentence}"), terminal, text);
    }
    if let Some(ratio) = job.facts.open_progress().filter(|_| job.state != State::Vanished) {
        let percent = job.percent().unwrap_or_default();
        let bar = marks::progress(ratio, terminal);
        text.push_str(&format!("{INDENT}{bar} {percent}%\n"));
    }
    if let Some(failure) = job.current_failure().and_then(RunSummary::failure) {
        let available = terminal.width.map_or(usize::MAX, |width| width - INDENT.len());
        let failure = cut(&escape(&failure), available, terminal.ellipsis());
        text.extend([INDENT, &failure, "\n"]);
    }
    for warning in job.warnings() {
        push_wrapped(&format!("{name}: {warning}"), terminal, text);
    }
}

fn push_summary(overview: &Overview, hidden: usize, text: &mut String) {
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 jobs")]
    let grouped = |count: usize| number(count as f64);
    let attention = overview.attention_count();
    let verb = if attention == 1 { "needs" } else { "need" };
    let total = grouped(overview.jobs.len());
    text.push_str(&format!("{} of {total} {verb} attention", grouped(attention)));
    if hidden > 0 {
        text.push_str(&format!(", {} not shown", grouped(hidden)));
    }
    text.push('\n');
}

fn push_wrapped(line: &str, terminal: Terminal, text: &mut String) {
    text.push_str(&hang(&escape(line), terminal.width, terminal.ellipsis()));
}

#[cfg(test)]
mod tests;
