//! Functions that start the runs of `#[push_job]`.

use std::fmt;
use std::time::Duration;

use crate::job::{Job, Run};
use crate::labels::format_grouping;

/// A run that starts later, with the values that its grouping labels had when it was prepared.
#[derive(Debug)]
pub struct PreparedRun {
    job: &'static Job,
    grouping: Vec<(&'static str, String)>,
}

/// Supervises this process if it is not supervised yet. Must be called before the run starts, because the supervised
/// process executes the program from the beginning.
#[must_use]
pub fn supervised(job: &'static Job) -> &'static Job {
    job.ensure_supervisor();
    job
}

/// Starts a run with further grouping labels.
pub fn start(job: &'static Job, grouping: &[(&str, &dyn fmt::Display)]) -> Run {
    job.start_with(grouping)
}

/// Prepares a run of a function that returns a future. The run starts when the future is first polled.
#[must_use]
pub fn prepare(job: &'static Job, grouping: &[(&'static str, &dyn fmt::Display)]) -> PreparedRun {
    let grouping =
        grouping.iter().map(|(name, value)| (*name, format_grouping(name, *value))).collect();
    PreparedRun { job, grouping }
}

impl PreparedRun {
    /// Starts the run.
    pub fn start(&self) -> Run {
        let values = self.grouping.iter().map(|(name, value)| (*name, value as &dyn fmt::Display));
        self.job.start_with(&values.collect::<Vec<_>>())
    }
}

/// Validates the interval of a heartbeat that is given as a constant, which the attribute cannot evaluate.
///
/// ```compile_fail,E0080
/// use std::time::Duration;
/// const INTERVAL: Duration = metrics_push::__private::heartbeat_interval(Duration::from_millis(1));
/// ```
///
/// # Panics
/// At compile time, if the interval is shorter than a second.
#[must_use]
pub const fn heartbeat_interval(interval: Duration) -> Duration {
    assert!(
        interval.as_secs() >= 1,
        "invalid heartbeat: it must be at least 1s, because each heartbeat is a request to the gateway"
    );
    interval
}

/// Returns the default job name of a `main`: the name of its binary, or the path of its module if there is no binary name.
#[must_use]
pub const fn binary_name(binary: Option<&'static str>, module: &'static str) -> &'static str {
    match binary {
        Some(name) => name,
        None => module,
    }
}

/// Returns the host name. If it is unknown or not UTF-8, returns an empty text, so that there is no label.
#[must_use]
pub fn host_name() -> String {
    read_host_name().unwrap_or_default()
}

#[cfg(target_os = "linux")]
fn read_host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim_end().to_owned())
}

#[cfg(not(target_os = "linux"))]
fn read_host_name() -> Option<String> {
    hostname::get().ok()?.into_string().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(unix)]
    fn host_name_equals_the_output_of_uname() {
        let uname = std::process::Command::new("uname").arg("-n").output().unwrap();
        assert_eq!(super::host_name(), String::from_utf8(uname.stdout).unwrap().trim_end());
    }
}
