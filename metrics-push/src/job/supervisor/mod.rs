//! The supervisor: the program executes itself again and stays as the parent process, which outlives the job.
//!
//! The parent only waits: it has no runtime, no client and no thread until there is something to report. It forwards
//! signals and stops when the job is stopped. When the job has died, it reports the runs that are left in the job's
//! journal, with exit code, signal, core dump, out-of-memory kill and resource usage. Then it ends as the job ended.

mod location;
#[cfg(unix)]
mod oom;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod signal_forwarding;

#[cfg(unix)]
pub(super) use location::VARIABLE;
pub(super) use location::{is_killing, location};
#[cfg(unix)]
pub(super) use process::ensure;
#[cfg(not(unix))]
pub(super) use unsupported::ensure;

/// Platforms without a supervisor.
#[cfg(not(unix))]
mod unsupported {
    pub(in crate::job) fn ensure(_: &crate::job::spec::JobSpec) {}
}
