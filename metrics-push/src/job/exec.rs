//! Exec: a command that takes the place of a supervised job, and is the rest of its run.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use super::{Run, signal, supervise};

/// How long the command waits for the gateway to know of its start. One that has not answered by then hears of it at
/// the end.
const START_PATIENCE: Duration = Duration::from_millis(500);

impl Run {
    /// Lets `command` take the place of this process, as the rest of this run: how it ends is reported by the
    /// [supervisor](crate::Job::supervise). Without one, nobody sees the end.
    ///
    /// It returns only if the command can't be run, with the reason.
    ///
    /// ```no_run
    /// use metrics_push::Job;
    /// use std::process::{Command, exit};
    ///
    /// let run = Job::new("backup").whole_process().supervise().start();
    /// let error = run.exec(Command::new("pg_dump").arg("orders"));
    /// eprintln!("pg_dump can't be run: {error}");
    /// exit(127);
    /// ```
    pub fn exec(&self, command: &mut Command) -> io::Error {
        self.open.wait_for_start(START_PATIENCE);
        // The command's parent is the supervisor, but the command is no job that knows of it.
        let command = command.env_remove(supervise::VARIABLE);
        signal::while_replaced(|| command.exec())
    }
}
