//! `Run::exec`: replaces a supervised job by a command, which continues its run.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use super::hooks::signal;
use super::inherited_state;
use super::posix_signals::{SignalMask, ignore};
use super::run::Run;
use super::supervisor;
use crate::config::RUN_ID_VARIABLE;

/// How long `exec` waits for the delivery of the start. If the gateway is slower, the completion reports the start.
const START_TIMEOUT: Duration = Duration::from_millis(500);

impl Run {
    /// Replaces this process by `command`, which continues this run. The [supervisor](crate::Job::supervise) reports
    /// how the command ends. Without a supervisor, its end is not reported.
    ///
    /// The environment variable `METRICS_PUSH_RUN_ID` of the command, and of its children, is the [id](crate::RunHandle::id)
    /// of this run, unless nothing is pushed.
    ///
    /// Returns only if the command cannot be executed, with the reason.
    ///
    /// ```no_run
    /// use metrics_push::Job;
    /// use std::process::{Command, exit};
    ///
    /// let run = Job::new("backup").whole_process().supervise().start();
    /// let error = run.exec(Command::new("pg_dump").arg("orders"));
    /// eprintln!("pg_dump cannot be executed: {error}");
    /// exit(127);
    /// ```
    pub fn exec(&self, command: &mut Command) -> io::Error {
        self.active.wait_start_delivered(START_TIMEOUT);
        if self.active.key().is_some() {
            command.env(RUN_ID_VARIABLE, self.id());
        }
        // If the command has jobs of this library, they are not supervised.
        let command = inherit_signals(command.env_remove(supervisor::VARIABLE));
        let error = signal::without_handlers(|| command.exec());
        // `exec` has reset SIGPIPE, and this process continues.
        ignore(libc::SIGPIPE);
        error
    }
}

/// Starts the command with the signal state and the closed streams that this process has inherited. `Command` itself
/// resets SIGPIPE and the mask.
#[expect(unsafe_code, reason = "code before exec")]
fn inherit_signals(command: &mut Command) -> &mut Command {
    let mask = SignalMask::current();
    let restore = move || {
        mask.restore();
        inherited_state::restore()
    };
    // SAFETY: the closure makes only async-signal-safe calls and does not allocate.
    unsafe { command.pre_exec(restore) }
}
