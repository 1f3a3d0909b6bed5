//! How a command ends without success: a sentence for a person on stderr, a status for a script.

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use metrics_push::Error;

/// What was asked for was not done.
pub(crate) const FAILED: u8 = 1;
/// It could not even be tried: an argument, a variable or a file has to change.
pub(crate) const MISUSED: u8 = 2;

/// Why a command ended without success.
#[derive(Debug)]
pub(crate) struct Failure {
    sentence: String,
    status: u8,
}

impl Failure {
    pub(crate) fn misused(sentence: impl fmt::Display) -> Self {
        Self { sentence: whole_sentence(&sentence.to_string()), status: MISUSED }
    }

    /// The same with another status.
    pub(crate) fn with_status(self, status: u8) -> Self {
        Self { status, ..self }
    }

    /// Says it on stderr.
    pub(crate) fn tell(&self) {
        // Where stderr is closed, the status still says it.
        let _ = writeln!(std::io::stderr(), "metrics-push: {}", self.sentence);
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.status)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = if error.is_config() || error.is_metric() { MISUSED } else { FAILED };
        // `Debug` adds the causes.
        Self { sentence: whole_sentence(&format!("{error:?}")), status }
    }
}

/// With a capital letter and a full stop.
pub(crate) fn whole_sentence(fragment: &str) -> String {
    let mut characters = fragment.chars();
    let Some(first) = characters.next() else { return String::new() };
    let end = if fragment.ends_with(['.', '!', '?']) { "" } else { "." };
    first.to_uppercase().chain(characters).chain(end.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::whole_sentence;

    #[test]
    fn fragments_become_sentences() {
        assert_eq!(whole_sentence("the job name is empty"), "The job name is empty.");
        assert_eq!(whole_sentence("Done."), "Done.");
        assert_eq!(whole_sentence("\"x\" is no duration"), "\"x\" is no duration.");
        assert_eq!(whole_sentence(""), "");
    }
}
