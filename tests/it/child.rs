//! Runs job programs as child processes of a test and captures their exit status and output.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use crate::programs::{aborting_ending, command, program};

/// The panic strategy of the job's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PanicStrategy {
    Unwind,
    Abort,
}

impl PanicStrategy {
    /// The program of `tests/programs/ending.rs`.
    fn program(self) -> PathBuf {
        match self {
            Self::Unwind => program("ending"),
            Self::Abort => aborting_ending().to_owned(),
        }
    }
}

/// The command that starts a job.
pub(crate) struct JobCommand(Command);

/// Returns the command of a job with an empty environment. The last argument selects how the job ends.
pub(crate) fn job(panics: PanicStrategy, arguments: &[&str]) -> JobCommand {
    job_command(panics.program(), arguments)
}

/// Returns the command of the job `name` for these URLs. The last argument selects how it ends.
pub(crate) fn ending(name: &str, urls: &str, arguments: &[&str]) -> JobCommand {
    job(PanicStrategy::Unwind, arguments).gateway(urls).variable("METRICS_PUSH_JOB", name)
}

/// Returns the command of a job whose `main` only sends SIGTERM to its own process.
pub(crate) fn signals_itself() -> JobCommand {
    job_program("signals_itself")
}

/// Returns the command of a program of this package that has no arguments.
pub(crate) fn job_program(name: &str) -> JobCommand {
    job_command(program(name), &[])
}

/// Returns the command of a scheduler with two active tasks.
pub(crate) fn active_tasks(arguments: &[&str]) -> JobCommand {
    job_command(program("active_tasks"), arguments)
}

/// Returns the command of a job with an empty environment.
pub(crate) fn job_command(program: PathBuf, arguments: &[&str]) -> JobCommand {
    let mut command = command(program);
    command.args(arguments).env_clear().env("METRICS_PUSH_STATE_DIR", "off");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    JobCommand(command)
}

impl JobCommand {
    pub(crate) fn gateway(self, url: &str) -> Self {
        self.variable("METRICS_PUSH_URL", url)
    }

    pub(crate) fn variable(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Starts the job through another program, as `nohup` does.
    pub(crate) fn within(self, launcher: &[&str]) -> Self {
        let mut command = command(launcher[0]);
        command.args(&launcher[1..]).arg(self.0.get_program()).args(self.0.get_args()).env_clear();
        for (name, value) in self.0.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command)
    }

    /// Connects the job's stdin to a pipe that stays open until [`RunningJob::close_input`].
    pub(crate) fn with_input(mut self) -> Self {
        self.0.stdin(Stdio::piped());
        self
    }

    pub(crate) fn std_command(&mut self) -> &mut Command {
        &mut self.0
    }

    pub(crate) fn run_to_end(self) -> FinishedJob {
        self.start().wait()
    }

    pub(crate) fn start(mut self) -> RunningJob {
        let mut child = self.0.spawn().unwrap_or_else(|why| panic!("{:?}: {why}", self.0));
        let output = BufReader::new(child.stdout.take().unwrap());
        RunningJob { child, output, seen: String::new() }
    }
}

/// A running job, killed on drop.
pub(crate) struct RunningJob {
    child: Child,
    output: BufReader<ChildStdout>,
    /// The output that [`Self::ready`] has read.
    seen: String,
}

impl RunningJob {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the job prints `ready`.
    pub(crate) fn ready(mut self) -> Self {
        while !self.seen.ends_with("ready\n") {
            let length = self.output.read_line(&mut self.seen).unwrap();
            assert_ne!(length, 0, "the job exited before it was ready: {}", self.seen);
        }
        self
    }

    pub(crate) fn signal(&self, name: &str) {
        send_signal(self.id(), name);
    }

    pub(crate) fn kill(&self) {
        send_signal(self.id(), "KILL");
    }

    pub(crate) fn input(&mut self) -> &mut ChildStdin {
        self.child.stdin.as_mut().unwrap()
    }

    pub(crate) fn close_input(&mut self) {
        drop(self.child.stdin.take());
    }

    pub(crate) fn wait(mut self) -> FinishedJob {
        let mut stdout = std::mem::take(&mut self.seen);
        self.output.read_to_string(&mut stdout).unwrap();
        let mut errors = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut errors).unwrap();
        }
        let status = self.child.wait().unwrap();
        let (log_lines, stderr): (Vec<String>, Vec<String>) = errors
            .lines()
            .filter(|line| !line.starts_with(' '))
            .map(without_ids)
            .partition(|line| line.starts_with("metrics-push: "));
        let (wait_notices, log_lines) =
            log_lines.into_iter().partition(|line| is_wait_notice(line));
        FinishedJob { status, stdout, stderr, log_lines, wait_notices }
    }
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns true for a log line about a long wait at the end. A job on a slow machine may write one in any test.
pub(crate) fn is_wait_notice(line: &str) -> bool {
    line.contains("; the process waits for at most ")
}

/// Removes the thread ids that std prints in panic messages; they differ between runs.
fn without_ids(line: &str) -> String {
    let is_id = |word: &str| {
        let inside = word.strip_prefix('(').and_then(|word| word.strip_suffix(')'));
        inside.is_some_and(|id| id.parse::<u64>().is_ok())
    };
    line.split(' ').filter(|word| !is_id(word)).collect::<Vec<_>>().join(" ")
}

/// The exit status and the output of a finished job.
#[derive(Debug)]
pub(crate) struct FinishedJob {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    /// The lines of stderr that the program itself writes.
    pub(crate) stderr: Vec<String>,
    /// The lines of stderr that start with `metrics-push: `, without [`Self::wait_notices`].
    pub(crate) log_lines: Vec<String>,
    /// See [`is_wait_notice`].
    pub(crate) wait_notices: Vec<String>,
}

impl FinishedJob {
    /// Fails unless both jobs have the same exit status and the same output, except for the log lines of this library.
    #[track_caller]
    pub(crate) fn assert_same_as(&self, bare: &Self) {
        assert_eq!(self.status, bare.status, "{self:?}\n{bare:?}");
        assert_eq!(self.stdout, bare.stdout);
        assert_eq!(self.stderr, bare.stderr);
    }
}

/// Sends the signal `SIG{name}` to the process.
pub(crate) fn send_signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.unwrap().success(), "kill -{name} {process}");
}

/// Returns the first child of a process.
pub(crate) fn child_of(process: u32) -> u32 {
    let children = format!("/proc/{process}/task/{process}/children");
    let children = std::fs::read_to_string(children).unwrap();
    children.split_whitespace().next().unwrap().parse().unwrap()
}
