//! How `#[push_job]` starts its runs.

use std::fmt;

use crate::job::{Job, Run};
use crate::labels::format_lossy;

/// A run that is to start later, with its grouping labels as they were when it was prepared.
#[derive(Debug)]
pub struct PreparedRun {
    job: &'static Job,
    grouping: Vec<(&'static str, String)>,
}

/// Has the process supervised before anything else of the run is done, which would be done twice otherwise.
#[must_use]
pub fn supervised(job: &'static Job) -> &'static Job {
    job.ensure_supervisor();
    job
}

/// Starts a run.
pub fn start(job: &'static Job, grouping: &[(&str, &dyn fmt::Display)]) -> Run {
    job.start_with(grouping)
}

/// Prepares a run, for functions that return a future: it starts when the future does.
#[must_use]
pub fn prepare(job: &'static Job, grouping: &[(&'static str, &dyn fmt::Display)]) -> PreparedRun {
    let grouping = grouping.iter().map(|(name, value)| (*name, format_lossy(*value))).collect();
    PreparedRun { job, grouping }
}

impl PreparedRun {
    /// Starts the run.
    pub fn start(&self) -> Run {
        let values = self.grouping.iter().map(|(name, value)| (*name, value as &dyn fmt::Display));
        self.job.start_with(&values.collect::<Vec<_>>())
    }
}

/// The default name of a `main`: its binary's, else its crate's.
#[must_use]
pub const fn binary_name(binary: Option<&'static str>, module: &'static str) -> &'static str {
    match binary {
        Some(name) => name,
        None => module,
    }
}

/// The machine's name; empty, and thus no label, where it is unknown or not UTF-8.
#[must_use]
pub fn host_name() -> String {
    kernels_name().unwrap_or_default()
}

#[cfg(target_os = "linux")]
fn kernels_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim_end().to_owned())
}

#[cfg(not(target_os = "linux"))]
fn kernels_name() -> Option<String> {
    hostname::get().ok()?.into_string().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(unix)]
    fn the_machines_name_is_what_it_calls_itself() {
        let told = std::process::Command::new("uname").arg("-n").output().unwrap();
        assert_eq!(super::host_name(), String::from_utf8(told.stdout).unwrap().trim_end());
    }
}
