//! Jobs of a user who has reached the limit on processes, so that the system refuses threads and children: each ends as
//! without this library, and its outcome is reported in the end. Root has no such limit.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use crate::child::{JobCommand, job_command};
use crate::lifecycle::{outcomes, stored};
use crate::programs::program;
use crate::real::Pushgateway;

/// A user and group without other processes.
const USER: u32 = 64_322;

/// Enough for all threads of a job and of its supervisor.
const MAX_PROCESSES: usize = 12;

/// A folder, removed on drop, with the program: the folder of the original may be closed to the user.
struct SharedFolder(PathBuf);

impl SharedFolder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("metrics-push-few-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        fs::copy(program("ending"), path.join("ending")).unwrap();
        Self(path)
    }

    /// Creates a state directory of the user.
    fn state_dir(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir(&path).unwrap();
        chown(&path, Some(USER), Some(USER)).expect("run this test as root: it changes owners");
        path
    }

    /// Returns the command of a job of the user with this limit.
    fn job(&self, arguments: &[&str], max_processes: usize) -> JobCommand {
        let (user, limit) = (USER.to_string(), format!("--nproc={max_processes}"));
        let user = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"];
        let launcher = [&user[..], &["--bounding-set=-all", "prlimit", &limit]].concat();
        job_command(self.0.join("ending"), arguments).within(&launcher)
    }
}

impl Drop for SharedFolder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn reporting(job: JobCommand, gateway: &Pushgateway, state_dir: &Path, name: &str) -> JobCommand {
    let job = job.gateway(&gateway.url()).variable("METRICS_PUSH_JOB", name);
    job.variable("METRICS_PUSH_STATE_DIR", state_dir)
}

#[test]
fn job_is_reported_if_the_system_refuses_threads_and_children() {
    let (gateway, folder) = (Pushgateway::start(), SharedFolder::new());
    for arguments in [&["exit-3"][..], &["supervised", "_exit"], &["supervised", "run-exec"]] {
        for max_processes in 1..=MAX_PROCESSES {
            let name = format!("{}-{max_processes}", arguments.concat());
            let state_dir = folder.state_dir(&name);
            let bare = folder.job(arguments, max_processes).run_to_end();
            let job = folder.job(arguments, max_processes);
            let ended = reporting(job, &gateway, &state_dir, &name).run_to_end();
            ended.assert_same_as(&bare);
            assert!(ended.log_lines.len() <= 2, "{name}: {ended:?}");

            // A later run reports what could not be sent.
            let next = folder.job(&["ok"], 1_000);
            reporting(next, &gateway, &state_dir, "next").run_to_end();
            let group = stored(&gateway, &name);
            let outcomes = outcomes(&group);
            // Without a supervisor, the end of such a job is not observed.
            let is_unsupervised = arguments[0] == "supervised" && max_processes < MAX_PROCESSES;
            let is_right =
                outcomes == ["exit_code"] || (is_unsupervised && outcomes == ["abandoned"]);
            assert!(is_right, "{name}: {outcomes:?} {ended:?}");
        }
    }
}
