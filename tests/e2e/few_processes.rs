//! Jobs of a user who has reached the limit on processes, so that the system refuses threads and children: each ends as
//! without this library, and its outcome is reported in the end. Root has no such limit.

use crate::child::JobCommand;
use crate::lifecycle::{outcomes, stored};
use crate::real::Pushgateway;
use crate::shared_folder::{SharedFolder, reporting};

/// Enough for all threads of a job and of its supervisor.
const MAX_PROCESSES: usize = 12;

/// Returns the command of a job of a user with this limit.
fn limited_job(folder: &SharedFolder, arguments: &[&str], max_processes: usize) -> JobCommand {
    folder.job(arguments, &["prlimit", &format!("--nproc={max_processes}")])
}

#[test]
fn job_is_reported_if_the_system_refuses_threads_and_children() {
    let (gateway, folder) = (Pushgateway::start(), SharedFolder::new("few"));
    for arguments in [
        &["exit-3"][..],
        &["supervised", "_exit"],
        &["supervised", "run-exec"],
        &["copied", "run-exec"],
    ] {
        for max_processes in 1..=MAX_PROCESSES {
            let name = format!("{}-{max_processes}", arguments.concat());
            let state_dir = folder.directory(&name);
            let bare = limited_job(&folder, arguments, max_processes).run_to_end();
            let job = limited_job(&folder, arguments, max_processes);
            let ended = reporting(job, &gateway.url(), &state_dir, &name).run_to_end();
            ended.assert_same_as(&bare);
            assert!(ended.log_lines.len() <= 2, "{name}: {ended:?}");

            // A later run reports what could not be sent.
            let next = limited_job(&folder, &["ok"], 1_000);
            reporting(next, &gateway.url(), &state_dir, "next").run_to_end();
            let group = stored(&gateway, &name);
            let outcomes = outcomes(&group);
            // Without a supervisor, the end of such a job is not observed.
            let is_unsupervised = arguments[0] != "exit-3" && max_processes < MAX_PROCESSES;
            let is_right =
                outcomes == ["exit_code"] || (is_unsupervised && outcomes == ["abandoned"]);
            assert!(is_right, "{name}: {outcomes:?} {ended:?}");
        }
    }
}
