//! `Failure`: the message and the exit status of a subcommand that did not succeed.

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use metrics_push::__private::escape;
use metrics_push::Error;

use crate::humanize::sentence;

/// Exit status: the subcommand ran and did not succeed.
pub(crate) const FAILED: u8 = 1;
/// Exit status: an argument, a variable or a file must change before the subcommand can run.
pub(crate) const USAGE: u8 = 2;

/// Why a subcommand did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    status: u8,
}

impl Failure {
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self { message: sentence(&message.to_string()), status: FAILED }
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { message: sentence(&message.to_string()), status: USAGE }
    }

    /// Writes the message to stderr.
    pub(crate) fn print(&self) {
        // The exit status remains if stderr is closed.
        let _ = writeln!(std::io::stderr(), "metrics-push: {}", escape(&self.message));
    }

    /// Like [`print`](Self::print), but a stderr that is not read delays it by at most a second.
    pub(crate) fn log(&self) {
        metrics_push::__private::warn(&self.message);
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = if error.is_config() || error.is_metric() { USAGE } else { FAILED };
        // `Debug` includes the causes.
        Self { message: sentence(&format!("{error:?}")), status }
    }
}
