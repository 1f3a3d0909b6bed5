//! Supervise: the binary starts itself once more and stays as its parent, which no ending of the job can end.
//!
//! The parent does nothing but wait: no runtime, no client, no thread until there is something to report. It passes
//! signals on, stops when the job is stopped, and if the job's journal still has an open run when the job is dead, it
//! reports it at once with what the kernel says: exit code, signal, core dump, out of memory, usage. Then it ends in the
//! same way.

#[cfg(unix)]
mod oom;
#[cfg(unix)]
mod parent;
#[cfg(unix)]
mod relay;

#[cfg(unix)]
pub(super) use unix::{VARIABLE, is_timeout, place, supervise};

#[cfg(not(unix))]
pub(super) use elsewhere::{is_timeout, place, supervise};

/// Elsewhere a job has no parent of ours.
#[cfg(not(unix))]
mod elsewhere {
    use crate::job::Job;
    use crate::pipeline::Pipeline;

    pub(in crate::job) fn supervise(_: &Job, _: &Pipeline) {}

    pub(in crate::job) fn place() -> Option<&'static super::Place> {
        None
    }

    pub(in crate::job) fn is_timeout() -> bool {
        false
    }
}

/// Where a supervised job keeps its journal, and whose lock says that its parent lives.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: std::path::PathBuf,
    /// The name of the parent's file in the folder.
    pub(super) supervisor: String,
}

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::os::unix::process::parent_id;
    use std::path::PathBuf;

    use once_cell::sync::OnceCell;

    use super::Place;
    use super::parent::{Parent, TIMEOUT};
    use crate::job::Job;
    use crate::log;
    use crate::pipeline::Pipeline;

    /// Tells the job that it has a parent of ours, and where that one's file is.
    pub(in crate::job) const VARIABLE: &str = "METRICS_PUSH_SUPERVISOR";

    /// The supervisor's place, if this process is its job: the variable is inherited by the job's own children, too,
    /// and their parent is another.
    pub(in crate::job) fn place() -> Option<&'static Place> {
        static PLACE: OnceCell<Option<Place>> = OnceCell::new();
        let read = || {
            let path = PathBuf::from(std::env::var_os(VARIABLE)?);
            let process: u32 = path.file_stem()?.to_str()?.rsplit_once('-')?.1.parse().ok()?;
            let supervisor = path.file_name()?.to_str()?.to_owned();
            let folder = path.parent()?.to_owned();
            (process == parent_id()).then_some(Place { folder, supervisor })
        };
        PLACE.get_or_init(read).as_ref()
    }

    /// Whether the supervisor is ending this job because it takes too long.
    pub(in crate::job) fn is_timeout() -> bool {
        let path = place().map(|place| place.folder.join(&place.supervisor));
        path.and_then(|path| fs::read_to_string(path).ok()).is_some_and(|text| text == TIMEOUT)
    }

    /// Becomes the parent and never returns; or returns in the job, and where there can be no parent.
    pub(in crate::job) fn supervise(job: &Job, pipeline: &Pipeline) {
        static TRIED: OnceCell<()> = OnceCell::new();
        if place().is_some() || TRIED.set(()).is_err() {
            return;
        }
        match Parent::new(job, pipeline).and_then(|mut parent| Ok((parent.start()?, parent))) {
            Ok((child, parent)) => parent.see_to(child, pipeline),
            Err(error) => {
                log::warn(format_args!("the job runs without a supervisor: {error}"));
            }
        }
    }
}
