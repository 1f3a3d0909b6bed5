//! The supervisor: the binary executes itself again and stays as the parent process, which no end of the job can end.
//!
//! The parent only waits: it has no runtime, no client and no thread until there is something to report. It forwards
//! signals, stops when the job is stopped, and when the job has died, reports the runs that its journal still has, with what
//! the kernel knows: exit code, signal, core dump, out of memory, resource usage. Then it ends in the same way.

#[cfg(unix)]
mod location;
#[cfg(unix)]
mod oom;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod signal_forwarding;

#[cfg(unix)]
pub(super) use location::{VARIABLE, is_killing, location};
#[cfg(unix)]
pub(super) use process::ensure;
#[cfg(not(unix))]
pub(super) use unsupported::{ensure, is_killing, location};

/// Platforms without a supervisor.
#[cfg(not(unix))]
mod unsupported {
    use crate::job::spec::JobSpec;

    pub(in crate::job) struct Location {
        pub(in crate::job) folder: std::path::PathBuf,
        pub(in crate::job) supervisor: String,
    }

    pub(in crate::job) fn ensure(_: &JobSpec) {}

    pub(in crate::job) fn location() -> Option<&'static Location> {
        None
    }

    pub(in crate::job) fn is_killing() -> bool {
        false
    }
}
