//! `metrics-push exec`: any command as a supervised run.
//!
//! The command takes the place of the process that the library's supervisor has started: nothing of ours stands between
//! it and its caller but the parent that waits for it. Whatever is wrong with metrics, the command runs.

use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};

use metrics_push::{Config, Error, Job, Run};

use crate::arguments::Exec;
use crate::ending::Failure;
use crate::session;

/// What shells say of a command that can't be run, and of one that is not there.
const NOT_RUNNABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

pub(crate) fn run(arguments: &Exec) -> Result<ExitCode, Failure> {
    let (program, rest) = arguments
        .command
        .split_first()
        .ok_or_else(|| Failure::misused("no command is given; write it after --"))?;
    let (config, mut problems) = session::config_and_problems(&arguments.gateways);
    let name = arguments.group.job.as_deref().or(config.job_name()).map_or_else(
        || Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned(),
        str::to_owned,
    );
    problems.extend(configure(config, &name, arguments).err());
    // Where there is somebody to report to, the process that was started stays in here and waits.
    let run = job(name, arguments).start();
    for problem in problems {
        Failure::from(problem).tell();
    }
    let mut command = Command::new(program);
    command.args(rest);
    replace_by(&mut command, &run).map_err(|error| {
        let status = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUNNABLE };
        let sentence = format!("the command {} can't be run: {error}", program.to_string_lossy());
        Failure::misused(sentence).tell();
        // With the run still open, so that it is reported with this status.
        std::process::exit(status.into())
    })
}

fn configure(config: Config, name: &str, arguments: &Exec) -> Result<(), Error> {
    let labels = arguments.group.grouping.iter();
    let config = labels.fold(config.job(name), |config: Result<_, Error>, (name, value)| {
        config.and_then(|config| config.grouping(name, value))
    });
    metrics_push::init(config?)
}

fn job(name: String, arguments: &Exec) -> Job {
    let mut job = Job::with_name(name).whole_process().supervise();
    if let Some(interval) = arguments.every {
        job = job.every(interval);
    }
    if let Some(duration) = arguments.max_runtime {
        job = job.max_runtime(duration);
    }
    if arguments.kill { job.kill_after_max_runtime() } else { job }
}

#[cfg(unix)]
fn replace_by(command: &mut Command, run: &Run) -> io::Result<ExitCode> {
    Err(run.exec(command))
}

/// Elsewhere nothing can take a process' place: the command runs as a child.
#[cfg(not(unix))]
fn replace_by(command: &mut Command, run: &Run) -> io::Result<ExitCode> {
    let status = command.status()?;
    if status.success() {
        run.finish(metrics_push::Outcome::Success);
    }
    // A failure is reported with its status when this process exits with it.
    std::process::exit(status.code().unwrap_or(1))
}
