//! `SharedFolder`: a folder of jobs that run as a user without privileges.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use crate::child::{JobCommand, job_command};
use crate::programs::program;

/// A user and group without other processes.
const USER: u32 = 64_322;

/// A folder, removed on drop, with the program `ending`: the folder of the original may be closed to the user.
pub(crate) struct SharedFolder(PathBuf);

impl SharedFolder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("metrics-push-{name}-{}", std::process::id()));
        // A killed test with the same process id may have left one.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        fs::copy(program("ending"), path.join("ending")).unwrap();
        Self(path)
    }

    /// Creates a directory of the user.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir(&path).unwrap();
        chown(&path, Some(USER), Some(USER)).expect("run this test as root: it changes owners");
        path
    }

    /// Returns the command of a job of the user, which `launcher` starts.
    pub(crate) fn job(&self, arguments: &[&str], launcher: &[&str]) -> JobCommand {
        let user = USER.to_string();
        let user = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"];
        let launcher = [&user[..], &["--bounding-set=-all"], launcher].concat();
        job_command(self.0.join("ending"), arguments).within(&launcher)
    }
}

impl Drop for SharedFolder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Adds the variables of a job with this name.
pub(crate) fn reporting(job: JobCommand, url: &str, state_dir: &Path, name: &str) -> JobCommand {
    let job = job.gateway(url).variable("METRICS_PUSH_JOB", name);
    job.variable("METRICS_PUSH_STATE_DIR", state_dir)
}
