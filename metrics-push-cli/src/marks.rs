//! The results of runs as a strip of marks, and progress as a bar.

use crate::jobs::RunMark;
use crate::terminal::{Terminal, Tone};

/// The width of a progress bar.
const BAR_WIDTH: usize = 20;

/// Returns the marks of runs, as text and painted; `None` without runs.
pub(crate) fn strip(marks: &[RunMark], terminal: Terminal) -> Option<(String, String)> {
    if marks.is_empty() {
        return None;
    }
    let text = marks.iter().map(|mark| symbol(*mark, terminal)).collect();
    let same = marks.chunk_by(|a, b| a == b);
    let painted = same.map(|marks| {
        let text: String = marks.iter().map(|mark| symbol(*mark, terminal)).collect();
        terminal.paint(tone(marks[0]), &text)
    });
    Some((text, painted.collect()))
}

fn symbol(mark: RunMark, terminal: Terminal) -> &'static str {
    let (unicode, ascii) = match mark {
        RunMark::Success => ("▮", "|"),
        RunMark::Failure => ("✗", "x"),
        RunMark::Skipped => ("▯", "-"),
        RunMark::Running => ("▸", ">"),
        RunMark::NoEnd => ("?", "?"),
        RunMark::NotStarted => ("·", "."),
    };
    if terminal.has_unicode { unicode } else { ascii }
}

fn tone(mark: RunMark) -> Tone {
    match mark {
        RunMark::Failure | RunMark::NoEnd => Tone::Bad,
        RunMark::Running => Tone::Busy,
        RunMark::Success | RunMark::Skipped | RunMark::NotStarted => Tone::Plain,
    }
}

/// Returns a bar for a ratio from 0 to 1, of at most `width` characters.
pub(crate) fn bar(ratio: f64, width: usize, terminal: Terminal) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between 0 and the width"
    )]
    let length = (ratio.clamp(0.0, 1.0) * width as f64).round() as usize;
    (if terminal.has_unicode { "▇" } else { "#" }).repeat(length)
}

/// Returns a bar with the rest that is not completed.
pub(crate) fn progress(ratio: f64, terminal: Terminal) -> String {
    let done = bar(ratio, BAR_WIDTH, terminal);
    let rest = BAR_WIDTH - done.chars().count();
    format!("{done}{}", (if terminal.has_unicode { "▁" } else { "." }).repeat(rest))
}
