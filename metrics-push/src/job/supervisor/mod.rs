//! The supervisor: the program executes itself again and stays as the parent process, which outlives the job.
//!
//! The parent starts no runtime, client or thread until there is something to report, except a thread that copies the
//! output of the job if its last lines are stored. A job that only executes a command is a copy of the parent, which
//! therefore pushes the start as well. The parent forwards signals, reads the active runs of the job from a socket, and
//! stops when the job is stopped. When the job has died, it reports the runs that are still active, with exit code, signal,
//! core dump, out-of-memory kill and resource usage. Then it ends as the job ended.

#[cfg(unix)]
mod active_runs;
#[cfg(all(unix, any(test, fuzzing)))]
pub(crate) mod fuzz;
#[cfg(unix)]
mod job_report;
#[cfg(unix)]
mod job_start;
#[cfg(unix)]
mod link;
#[cfg(unix)]
mod lock_file;
#[cfg(unix)]
mod oom;
#[cfg(unix)]
mod output;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod signal_forwarding;

#[cfg(unix)]
pub(super) use link::{Link, VARIABLE, announce_end, is_copy, is_killing, link};
#[cfg(unix)]
pub(super) use process::ensure;
#[cfg(not(unix))]
pub(super) use unsupported::{
    UnsupportedLink as Link, announce_end, ensure, is_copy, is_killing, link,
};

/// Platforms without a supervisor.
#[cfg(not(unix))]
mod unsupported {
    use crate::job::journal::line::Line;
    use crate::job::spec::JobSpec;

    /// The link to a supervisor, which never exists.
    #[derive(Debug)]
    pub(in crate::job) struct UnsupportedLink {
        pub(in crate::job) file: Option<String>,
    }

    impl UnsupportedLink {
        pub(in crate::job) fn send(&self, _: &Line) {}
    }

    pub(in crate::job) fn link() -> Option<&'static UnsupportedLink> {
        None
    }

    pub(in crate::job) fn announce_end() {}

    pub(in crate::job) fn is_copy() -> bool {
        false
    }

    pub(in crate::job) fn is_killing() -> bool {
        false
    }

    pub(in crate::job) fn ensure(_: &JobSpec) {}
}
