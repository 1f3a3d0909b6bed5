//! Jobs of a user without privileges that inherit unusual process state. Root may use files of any mode, so it would not show
//! a state directory that is created with the umask.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use metrics_push::testing::FakeGateway;

use crate::container::outcomes;
use crate::shared_folder::{SharedFolder, reporting};

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn state_directory_is_usable_with_any_umask() {
    let folder = SharedFolder::new("umask");
    for umask in ["0000", "0027", "0777"] {
        let gateway = FakeGateway::start();
        let state_dir = folder.directory(umask).join("state");
        let run = |name: &str, ending: &str| {
            let launcher = ["sh", "-c", "umask $0; exec \"$@\"", umask];
            let job = folder.job(&[ending], &launcher);
            let job = reporting(job, &gateway.url(), &state_dir, name);
            job.variable("METRICS_PUSH_TIMEOUT", "5s").run_to_end()
        };
        run("killed", "kill");
        gateway.refuse_connections();
        let spooled = run("spooled", "err");
        assert!(spooled.log_lines.iter().any(|line| line.contains("it is stored in")), "{umask}");
        gateway.accept_connections();
        run("last", "ok");
        for (job, expected) in [("killed", "abandoned"), ("spooled", "error"), ("last", "success")]
        {
            assert_eq!(outcomes(&gateway, job), [expected], "{umask}: {job}");
        }
        assert_eq!(mode(&state_dir), 0o700, "{umask}");
        assert_eq!(mode(&state_dir.join("journal")), 0o700, "{umask}");
    }
}

#[test]
fn command_that_replaces_a_job_inherits_its_closed_streams() {
    let (gateway, folder) = (FakeGateway::start(), SharedFolder::new("streams"));
    let state_dir = folder.directory("state");
    for (closed, code) in
        [("", 3), ("<&-", 3 + 8), (">&-", 3 + 16), ("2>&-", 3 + 32), ("<&- >&- 2>&-", 3 + 56)]
    {
        for options in [&[][..], &["supervised"], &["copied"]] {
            let arguments = [options, &["run-exec-with-streams"]].concat();
            let script = format!("exec {closed}; exec \"$@\"");
            let job = folder.job(&arguments, &["sh", "-c", &script, "sh"]);
            let ended = reporting(job, &gateway.url(), &state_dir, "streams").run_to_end();
            assert_eq!(ended.status.code(), Some(code), "{closed} {options:?}: {ended:?}");
            if !options.is_empty() {
                assert_eq!(outcomes(&gateway, "streams"), ["exit_code"], "{closed}");
            }
            gateway.clear();
        }
    }
}
