//! `metrics-push exec`: runs a command as a supervised run of a job.
//!
//! The library's supervisor copies this process, or executes it again if a copy would be incomplete, and the command
//! replaces the child. Problems with metrics never prevent the command from running.

mod job_name;
mod valid_options;

use std::ffi::OsString;
use std::io;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Args;
use metrics_push::__private::{check_schedule, init_with_valid_sinks};
use metrics_push::{Config, Error, Job, Run, parse_duration};

use crate::context::{self, GatewayArguments, GroupArguments};
use crate::failure::Failure;
use job_name::{file_name, is_launcher};

pub(crate) use valid_options::parse as parse_valid_options;

/// The exit status of a shell for a command that is not executable.
const NOT_EXECUTABLE: u8 = 126;
/// The exit status of a shell for a command that does not exist.
const NOT_FOUND: u8 = 127;

/// The indentation of a description in a help text.
const INDENT: &str = "          ";
/// The width of a description in a help text, so that a line has at most 80 columns.
const MAX_HELP_WIDTH: usize = 70;

/// Returns the help text after the arguments.
fn more_help() -> String {
    let launchers = wrap(&job_name::LAUNCHERS);
    format!(
        "\
Name of the job:
  --job
          The name that is given here, or in METRICS_PUSH_JOB.
  without --job
          The file name of the command. A program that runs another program or
          a script needs --job, because its name does not describe the job:
{launchers}
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
  metrics-push exec --job report --schedule \"0 3 * * 1-5\" -- report.sh
  metrics-push exec --job sync --skip-exit-code 75 -- sh /opt/sync.sh
"
    )
}

/// Writes words in indented lines.
fn wrap(words: &[&str]) -> String {
    let mut text = String::new();
    let mut line = String::new();
    for word in words {
        if line.len() + word.len() > MAX_HELP_WIDTH {
            text.extend([INDENT, line.trim_end(), "\n"]);
            line.clear();
        }
        line.extend([word, " "]);
    }
    text.extend([INDENT, line.trim_end(), "\n"]);
    text
}

/// Runs a command as a run of a job and reports how it ends.
///
/// The report distinguishes exit codes, signals and the kernel's out-of-memory killer. Signals are forwarded to the
/// command. The command inherits input and output. Without a gateway, the command runs and nothing is reported. An invalid
/// option is reported and ignored, and the command runs.
#[derive(Debug, Args)]
#[command(after_long_help = more_help())]
pub(crate) struct Arguments {
    #[command(flatten)]
    gateways: GatewayArguments,
    #[command(flatten)]
    group: GroupArguments,
    /// The expected interval between successes, such as 24h; alert rules use twice this interval as the deadline.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    every: Option<Duration>,
    /// The times at which runs start, instead of --every: a cron expression such as "0 3 * * 1-5", or a short form such as
    /// @daily.
    #[arg(long, value_name = "CRON", value_parser = parse_schedule, conflicts_with = "every")]
    schedule: Option<String>,
    /// The time zone of --schedule, such as Europe/Berlin. Default: the time zone of this machine.
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// How late a run may start; an alert fires for a later one. Default: half of --every, or 5m with --schedule.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    grace: Option<Duration>,
    /// The number of runs in a row that must fail before an alert fires. Default: 1.
    #[arg(long, value_name = "RUNS", value_parser = parse_threshold)]
    failure_threshold: Option<u32>,
    /// The number of runs in a row that must succeed before the alert ends. Default: 1.
    #[arg(long, value_name = "RUNS", value_parser = parse_threshold)]
    recovery_threshold: Option<u32>,
    /// The maximum duration of a run; an alert fires for a longer run.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_runtime: Option<Duration>,
    /// Ends the command after --max-runtime: first with TERM, then with KILL.
    #[arg(long)]
    kill: bool,
    /// An exit code of the command that means success, besides 0. Repeatable; several codes are separated by commas.
    #[arg(long, value_name = "CODE", value_delimiter = ',', value_parser = parse_exit_code)]
    ok_exit_code: Vec<u8>,
    /// An exit code of the command that means that there was nothing to do. Repeatable; several codes are separated by commas.
    #[arg(long, value_name = "CODE", value_delimiter = ',', value_parser = parse_exit_code)]
    skip_exit_code: Vec<u8>,
    /// The number of last lines of stderr that the history stores if the command fails; stderr becomes a pipe. Default: 0.
    #[arg(long, value_name = "LINES", value_parser = parse_lines)]
    output_lines: Option<usize>,
    /// The command and its arguments; a -- before them ends the options of metrics-push.
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// Runs the command. `problems` describe invalid options; only the process that runs the command logs them.
pub(crate) fn run(arguments: &Arguments, mut problems: Vec<Failure>) -> Result<ExitCode, Failure> {
    let (program, rest) = arguments
        .command
        .split_first()
        .ok_or_else(|| Failure::usage("no command to run; write it after --"))?;
    let (config, invalid_variables) = context::config_and_problems(&arguments.gateways);
    let unknown_variables = context::unknown_variables(&arguments.gateways);
    problems.extend(invalid_variables.into_iter().chain(unknown_variables).map(Failure::from));
    let given = arguments.group.job.as_deref().or(config.job_name()).map(str::to_owned);
    let name = given.unwrap_or_else(|| {
        let name = file_name(program);
        // Without a gateway, no metric has the name.
        let is_reported = context::sinks(&config).is_ok();
        problems.extend((is_reported && is_launcher(&name)).then(|| unclear_name(&name)));
        name
    });
    problems.extend(configure(config, &name, arguments).into_iter().map(Failure::from));
    problems.extend(ineffective_options(arguments));
    // With a gateway, the supervisor stays in `start` until the job has ended, and exits. Only the job continues here.
    let run = job(name, arguments).start();
    problems.iter().for_each(Failure::log);
    let mut command = Command::new(program);
    command.args(rest);
    execute(&mut command, &run).map_err(|error| {
        let status =
            if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
        let program = program.to_string_lossy();
        Failure::usage(format!("cannot run the command {program}: {error}")).log();
        // The run is still open, so that it is reported with this exit code.
        std::process::exit(status.into())
    })
}

/// Describes the options that have no effect without another one.
fn ineffective_options(arguments: &Arguments) -> Vec<Failure> {
    let has_timing = arguments.every.is_some() || arguments.schedule.is_some();
    let rules = [
        (
            arguments.kill && arguments.max_runtime.is_none(),
            "ignored --kill: it needs --max-runtime; write --max-runtime 1h --kill",
        ),
        (
            arguments.timezone.is_some() && arguments.schedule.is_none(),
            "ignored --timezone: it needs --schedule; write --schedule @daily --timezone UTC",
        ),
        (
            arguments.grace.is_some() && !has_timing,
            "ignored --grace: it needs --every or --schedule; write --every 24h --grace 10m",
        ),
    ];
    let ineffective = rules.into_iter().filter(|(is_ineffective, _)| *is_ineffective);
    ineffective.map(|(_, problem)| Failure::usage(problem)).collect()
}

fn parse_schedule(text: &str) -> Result<String, Error> {
    check_schedule(text).map(|()| text.to_owned())
}

fn parse_threshold(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|&runs| runs > 0).ok_or_else(|| {
        format!("invalid number of runs {text:?}; write a number of at least 1, such as 3")
    })
}

fn parse_lines(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("invalid number of lines {text:?}; write a number such as 20"))
}

fn parse_exit_code(text: &str) -> Result<u8, String> {
    text.parse().map_err(|_| {
        format!(
            "invalid exit code {text:?}; write a number from 0 to 255, and commas between several"
        )
    })
}

fn unclear_name(name: &str) -> Failure {
    Failure::usage(format!(
        "the job has the name {name:?}, which is the name of the program that runs it; set another one with --job NAME"
    ))
}

/// Sets the configuration of the process. Returns the problems with it.
fn configure(config: Config, name: &str, arguments: &Arguments) -> Vec<Error> {
    let labels = arguments.group.grouping.iter();
    let config = labels.fold(config.job(name), |config: Result<_, Error>, (name, value)| {
        config.and_then(|config| config.grouping(name, value))
    });
    match config {
        Ok(config) => init_with_valid_sinks(&config),
        Err(error) => vec![error],
    }
}

fn job(name: String, arguments: &Arguments) -> Job {
    let mut job = Job::with_name(name).whole_process();
    if let Some(interval) = arguments.every {
        job = job.every(interval);
    }
    if let Some(expression) = &arguments.schedule {
        // The process has one job, so the text is leaked once.
        job = job.schedule(expression.clone().leak());
    }
    if let Some(name) = &arguments.timezone {
        job = job.timezone(name.clone().leak());
    }
    if let Some(duration) = arguments.grace {
        job = job.grace(duration);
    }
    if let Some(runs) = arguments.failure_threshold {
        job = job.failure_threshold(runs);
    }
    if let Some(runs) = arguments.recovery_threshold {
        job = job.recovery_threshold(runs);
    }
    if let Some(duration) = arguments.max_runtime {
        job = job.max_runtime(duration);
    }
    if arguments.kill && arguments.max_runtime.is_some() {
        job = job.kill_after_max_runtime();
    }
    if let Some(lines) = arguments.output_lines {
        job = job.output_lines(lines);
    }
    let codes = |codes: &[u8]| codes.iter().copied().map(i32::from).collect::<Vec<_>>();
    job.ok_exit_codes(codes(&arguments.ok_exit_code))
        .skip_exit_codes(codes(&arguments.skip_exit_code))
        .supervise_copy()
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
