//! Where output goes: a terminal with a width and colours, or a pipe with neither.

use std::io::{IsTerminal as _, Write as _};

use crate::arguments::Color;
use crate::ending::{FAILED, Failure};

/// The width to use where a terminal does not tell its own.
const USUAL_WIDTH: usize = 80;

/// What standard output can do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// How long a line may be; in a pipe, as long as it likes.
    pub(crate) width: Option<usize>,
    paint: Paint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paint {
    Colours,
    Plain,
}

/// What a text means to the eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Head,
    Good,
    Bad,
    Busy,
}

impl Terminal {
    pub(crate) fn new(color: Color) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let wants_none = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let paints = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !is_dumb && !wants_none("NO_COLOR"),
        };
        Self {
            width: is_terminal.then(width),
            paint: if paints { Paint::Colours } else { Paint::Plain },
        }
    }

    #[cfg(test)]
    pub(crate) fn plain(width: Option<usize>) -> Self {
        Self { width, paint: Paint::Plain }
    }

    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Head => 1,
            Tone::Good => 32,
            Tone::Bad => 31,
            Tone::Busy => 33,
        };
        match self.paint {
            Paint::Colours => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Paint::Plain => text.to_owned(),
        }
    }
}

fn width() -> usize {
    let told = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    told.filter(|width| *width > 0).unwrap_or(USUAL_WIDTH)
}

/// Writes to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::misused(format!("standard output can't be written: {error}"))
            .with_status(FAILED)),
    }
}
