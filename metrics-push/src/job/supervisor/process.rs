//! `Supervisor`: the parent process, which waits for the job and ends as the job ended.

use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::active_runs::ActiveRuns;
use super::child::SupervisedChild;
use super::job_report::JobReport;
use super::link::{self, link};
use super::lock_file::LockFile;
use super::signal_forwarding::SignalForwarding;
use crate::job::journal::file_names;
use crate::job::posix_signals::with_signals_blocked;
use crate::job::spec::{JobSpec, Supervision};
use crate::log;
use crate::pipeline::Pipeline;
use crate::state_dir::claim_disk_warning;

/// Continues in a child process if the job is supervised. The calling process becomes the supervisor and does not
/// return. Returns in the child, and if the child cannot be started.
pub(in crate::job) fn ensure(spec: &JobSpec) {
    static IS_ATTEMPTED: AtomicBool = AtomicBool::new(false);

    if !spec.is_process() || spec.supervision == Supervision::None || link().is_some() {
        return;
    }
    let pipeline = Pipeline::current();
    if pipeline.routers.is_empty() || IS_ATTEMPTED.swap(true, Ordering::Relaxed) {
        return;
    }
    match Supervisor::start(spec, &pipeline) {
        Ok(supervisor) => {
            // The job logs that its disk fails.
            let _ = claim_disk_warning();
            supervisor.wait_and_report(&pipeline)
        }
        Err(error) => log::warn(format_args!("the job runs without a supervisor: {error}")),
    }
}

struct Supervisor {
    job: SupervisedChild,
    /// `None` if there is no state directory, or if no file can be created in it.
    lock_file: Option<LockFile>,
}

impl Supervisor {
    /// Starts the job.
    fn start(spec: &JobSpec, pipeline: &Pipeline) -> io::Result<Self> {
        let (link, job_link) = UnixStream::pair()?;
        link.set_nonblocking(true)?;
        let lock_file = pipeline.state_dir.folder(file_names::FOLDER).and_then(|folder| {
            let created = LockFile::create(folder);
            created.inspect_err(|error| log::debug(format_args!("no journal: {error}"))).ok()
        });
        let file = lock_file.as_ref().map(|file| file.name().to_owned());
        let job = command(&job_link, file).and_then(|mut command| {
            let (signals, runs) = (SignalForwarding::install()?, ActiveRuns::default());
            SupervisedChild::spawn(&mut command, signals, spec, pipeline, runs, Some(link))
        });
        match job {
            Ok(job) => Ok(Self { job, lock_file }),
            Err(error) => {
                lock_file.into_iter().for_each(LockFile::remove);
                Err(error)
            }
        }
    }

    fn wait_and_report(self, pipeline: &Arc<Pipeline>) -> ! {
        let Self { mut job, lock_file } = self;
        let end = job.wait();
        // The threads that deliver must not receive signals, such as that of a file that is too large.
        with_signals_blocked(|| pipeline.prepare());
        let process = job.process.cast_unsigned();
        let journal = lock_file.as_ref().and_then(|file| file.journal_of(process));
        let report = JobReport::submit(job.take_runs().into_runs(), &end, journal, pipeline);
        job.watch_signals(|| report.settle(pipeline.timeout));
        lock_file.into_iter().for_each(LockFile::remove);
        end.exit()
    }
}

/// Returns the command that executes this program again, as the job. It inherits the job's end of the link.
fn command(link: &UnixStream, file: Option<String>) -> io::Result<Command> {
    let mut arguments = std::env::args_os();
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments);
    link::pass_to(&mut command, link, file)?;
    Ok(command)
}
