//! `metrics-push exec`: runs a command as a supervised run of a job.
//!
//! The library's supervisor starts this process again as its child, and the command replaces the child. Problems with
//! metrics never prevent the command from running.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Args;
use metrics_push::{Config, Error, Job, Run, parse_duration};

use crate::context::{self, GatewayArguments, GroupArguments};
use crate::failure::Failure;

/// The exit status of a shell for a command that is not executable.
const NOT_EXECUTABLE: u8 = 126;
/// The exit status of a shell for a command that does not exist.
const NOT_FOUND: u8 = 127;

const HELP: &str = "\
Exit status:
  126
          The command is not executable.
  127
          The command does not exist.
  128 and more
          A signal ended the command: subtract 128 for its number.
  any other
          The exit status of the command.

Examples:
  metrics-push exec --job backup --every 24h -- backup --all
";

/// Runs a command as a run of a job and reports how it ends.
///
/// The report distinguishes exit codes, signals and the kernel's out-of-memory killer. Signals are forwarded to the
/// command. The command inherits input and output. Without a gateway, the command runs and nothing is reported.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    gateways: GatewayArguments,
    #[command(flatten)]
    group: GroupArguments,
    /// The expected interval between successes, such as 24h; alert rules use twice this interval as the deadline.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    every: Option<Duration>,
    /// The maximum duration of a run; an alert fires for a longer run.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_runtime: Option<Duration>,
    /// Ends the command after the maximum duration: first with TERM, then with KILL.
    #[arg(long, requires = "max_runtime")]
    kill: bool,
    /// The command and its arguments; a -- before them ends the options of metrics-push.
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let (program, rest) = arguments
        .command
        .split_first()
        .ok_or_else(|| Failure::usage("no command to run; write it after --"))?;
    let (config, mut problems) = context::config_and_problems(&arguments.gateways);
    let name = arguments.group.job.as_deref().or(config.job_name()).map_or_else(
        || Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned(),
        str::to_owned,
    );
    problems.extend(configure(config, &name, arguments).err());
    // With a gateway, the first process exits in `start`, after its child. Only the child continues here.
    let run = job(name, arguments).start();
    for problem in problems {
        Failure::from(problem).print();
    }
    let mut command = Command::new(program);
    command.args(rest);
    execute(&mut command, &run).map_err(|error| {
        let status =
            if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
        let program = program.to_string_lossy();
        Failure::usage(format!("cannot run the command {program}: {error}")).print();
        // The run is still open, so that it is reported with this exit code.
        std::process::exit(status.into())
    })
}

fn configure(config: Config, name: &str, arguments: &Arguments) -> Result<(), Error> {
    let labels = arguments.group.grouping.iter();
    let config = labels.fold(config.job(name), |config: Result<_, Error>, (name, value)| {
        config.and_then(|config| config.grouping(name, value))
    });
    metrics_push::init(config?)
}

fn job(name: String, arguments: &Arguments) -> Job {
    let mut job = Job::with_name(name).whole_process().supervise();
    if let Some(interval) = arguments.every {
        job = job.every(interval);
    }
    if let Some(duration) = arguments.max_runtime {
        job = job.max_runtime(duration);
    }
    if arguments.kill { job.kill_after_max_runtime() } else { job }
}

/// Replaces this process by the command. Returns only if that fails.
#[cfg(unix)]
fn execute(command: &mut Command, run: &Run) -> io::Result<ExitCode> {
    Err(run.exec(command))
}

/// Runs the command as a child: a process cannot be replaced on this platform.
#[cfg(not(unix))]
fn execute(command: &mut Command, run: &Run) -> io::Result<ExitCode> {
    let status = command.status()?;
    if status.success() {
        run.finish(metrics_push::Outcome::Success);
    }
    // The exit handler reports a failure with this status.
    std::process::exit(status.code().unwrap_or(1))
}
