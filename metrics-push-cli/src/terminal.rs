//! Standard output: its width, its colours, and writing to it.

use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;
use metrics_push::__private::escape_lines;

use crate::failure::Failure;

/// The width of a terminal that does not report one.
const DEFAULT_WIDTH: usize = 80;

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    Always,
    Never,
}

/// The capabilities of standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// The maximum length of a line; `None` for a pipe or a file.
    pub(crate) width: Option<usize>,
    has_colors: bool,
}

/// The meaning of a text, shown as its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Heading,
    Good,
    Bad,
    Busy,
}

impl Terminal {
    pub(crate) fn new(color: Color) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let has_colors = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !is_dumb && !is_set("NO_COLOR"),
        };
        Self { width: is_terminal.then(width), has_colors }
    }

    #[cfg(test)]
    pub(crate) fn plain(width: Option<usize>) -> Self {
        Self { width, has_colors: false }
    }

    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Heading => 1,
            Tone::Good => 32,
            Tone::Bad => 31,
            Tone::Busy => 33,
        };
        if self.has_colors { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

fn width() -> usize {
    let reported = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    reported.filter(|width| *width > 0).unwrap_or(DEFAULT_WIDTH)
}

/// Writes to standard output. On a terminal, control characters are escaped, because the text of a gateway or of a file can
/// contain them.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    if std::io::stdout().is_terminal() {
        print_painted(&escape_lines(text))
    } else {
        print_painted(text)
    }
}

/// Writes text with colours to standard output, without escaping it.
pub(crate) fn print_painted(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        // The reader needs no more output; `head` exits early.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::failed(format!("cannot write to standard output: {error}"))),
    }
}
