//! Standard output: its width, its colours, its characters, and writing to it.

use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;
use metrics_push::__private::escape_lines;

use crate::failure::Failure;

/// The width of a terminal that does not report one.
const DEFAULT_WIDTH: usize = 80;

/// The variables that select the characters of the terminal. The first one that is set applies.
const LOCALE_VARIABLES: [&str; 3] = ["LC_ALL", "LC_CTYPE", "LANG"];

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set, and everywhere if CLICOLOR_FORCE is set.
    Auto,
    Always,
    Never,
}

/// The capabilities of standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// The maximum length of a line; `None` for a pipe or a file.
    pub(crate) width: Option<usize>,
    /// Whether it displays characters beyond ASCII.
    pub(crate) has_unicode: bool,
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
    Unstable,
}

impl Terminal {
    pub(crate) fn new(color: Color) -> Self {
        let is_terminal = is_terminal();
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            width: is_terminal.then(width),
            has_unicode: has_unicode(variable),
            has_colors: has_colors(color, is_terminal, variable),
        }
    }

    #[cfg(test)]
    pub(crate) fn plain(width: Option<usize>) -> Self {
        Self { width, has_unicode: true, has_colors: false }
    }

    #[cfg(test)]
    pub(crate) fn ascii(width: usize) -> Self {
        Self { width: Some(width), has_unicode: false, has_colors: false }
    }

    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Heading => 1,
            Tone::Good => 32,
            Tone::Bad => 31,
            Tone::Busy => 34,
            Tone::Unstable => 33,
        };
        if self.has_colors { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// What marks the place where a text is cut.
    pub(crate) fn ellipsis(self) -> &'static str {
        if self.has_unicode { "…" } else { "..." }
    }
}

fn has_colors(color: Color, is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let is_dumb = || variable("TERM").is_some_and(|term| term == "dumb");
    let is_forced = || variable("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => variable("NO_COLOR").is_none() && (is_forced() || is_terminal && !is_dumb()),
    }
}

fn has_unicode(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale = LOCALE_VARIABLES.into_iter().find_map(variable);
    let is_utf8 = |locale: String| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    };
    cfg!(windows) || locale.is_some_and(is_utf8)
}

fn width() -> usize {
    let reported = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    reported.filter(|width| *width > 0).unwrap_or(DEFAULT_WIDTH)
}

/// Returns true if standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Writes to standard output. On a terminal, control characters are escaped, because the text of a gateway or of a file can
/// contain them.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    if is_terminal() { print_painted(&escape_lines(text)) } else { print_painted(text) }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(set: &[(&str, &str)], name: &str) -> Option<String> {
        set.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn colours_follow_the_variables() {
        let auto = |is_terminal, set: &[(&str, &str)]| {
            has_colors(Color::Auto, is_terminal, |name| variables(set, name))
        };
        assert!(auto(true, &[("TERM", "xterm")]));
        assert!(!auto(false, &[("TERM", "xterm")]));
        assert!(!auto(true, &[("TERM", "dumb")]));
        assert!(!auto(true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
        assert!(auto(false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!auto(false, &[("CLICOLOR_FORCE", "0")]));
        assert!(has_colors(Color::Always, false, |name| variables(&[("NO_COLOR", "1")], name)));
    }

    #[test]
    fn characters_follow_the_first_locale_variable() {
        let unicode = |set: &[(&str, &str)]| has_unicode(|name| variables(set, name));
        assert!(unicode(&[("LANG", "de_DE.UTF-8")]));
        assert!(unicode(&[("LANG", "C"), ("LC_CTYPE", "C.utf8")]));
        assert!(!unicode(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")]));
        assert_eq!(unicode(&[]), cfg!(windows));
    }
}
