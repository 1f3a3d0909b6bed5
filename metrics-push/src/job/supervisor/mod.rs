//! The supervisor: the binary executes itself again and stays as the parent process, which no end of the job can end.
//!
//! The parent only waits: it has no runtime, no client and no thread until there is something to report. It forwards
//! signals, stops when the job is stopped, and when the job has died, reports the runs that its journal still has, with what
//! the kernel knows: exit code, signal, core dump, out of memory, resource usage. Then it ends in the same way.

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
