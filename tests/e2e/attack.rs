//! Another user attacks the state directories of jobs of the superuser. See `tests/programs/attack.rs`.

use std::fs;
use std::os::unix::fs::{chown, lchown, symlink};
use std::path::Path;

use metrics_push::testing::FakeGateway;

use crate::child::{FinishedJob, PanicStrategy, job};
use crate::programs::{command, program};
use crate::real::Pushgateway;
use crate::state_dir::StateDir;

/// The user and group `nobody`.
const ANOTHER: Option<u32> = Some(65_534);

#[test]
fn state_directory_withstands_another_user() {
    let gateway = Pushgateway::start();
    let output = command(program("attack")).args([&gateway.url(), "3"]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "run this test as root: it starts processes of another user\n{errors}"
    );
}

fn run_in(state_dir: &Path, gateway: &FakeGateway) -> FinishedJob {
    job(PanicStrategy::Unwind, &["ok"])
        .gateway(&gateway.url())
        .variable("METRICS_PUSH_STATE_DIR", state_dir)
        .run_to_end()
}

#[test]
fn path_that_another_user_controls_is_not_used() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let (target, link, owned) =
        (state.path().join("target"), state.path().join("link"), state.path().join("owned"));
    fs::create_dir(&target).unwrap();
    symlink(&target, &link).unwrap();
    fs::create_dir_all(owned.join("inside")).unwrap();
    lchown(&link, ANOTHER, ANOTHER).expect("run this test as root: it changes owners");
    chown(&owned, ANOTHER, ANOTHER).unwrap();
    for state_dir in [&link, &owned, &owned.join("inside"), &owned.join("missing")] {
        let ended = run_in(state_dir, &gateway);
        assert_eq!(ended.log_lines.len(), 1, "{state_dir:?}: {ended:?}");
        assert!(ended.log_lines[0].contains("belongs to another user"), "{ended:?}");
        let is_empty = |folder: &Path| fs::read_dir(folder).unwrap().next().is_none();
        assert!(is_empty(&target) && is_empty(&owned.join("inside")), "{state_dir:?}");
        assert_eq!(gateway.groups().len(), 1, "the outcome is delivered");
    }
}

#[test]
fn group_writable_directory_of_another_group_is_not_used() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let shared = state.path().join("shared");
    fs::create_dir(&shared).unwrap();
    chown(&shared, None, ANOTHER).expect("run this test as root: it changes owners");
    std::process::Command::new("chmod").arg("0775").arg(&shared).status().unwrap();
    let ended = run_in(&shared, &gateway);
    assert!(ended.log_lines[0].contains("is writable for other users"), "{ended:?}");
}

#[test]
fn default_state_directory_of_another_user_is_skipped_silently() {
    let (gateway, home) = (FakeGateway::start(), StateDir::new());
    chown(home.path(), ANOTHER, ANOTHER).expect("run this test as root: it changes owners");
    let mut command = job(PanicStrategy::Unwind, &["ok"]).gateway(&gateway.url());
    command = command.variable("HOME", home.path());
    command.std_command().env_remove("METRICS_PUSH_STATE_DIR");
    let ended = command.run_to_end();
    assert!(ended.status.success() && ended.log_lines.is_empty(), "{ended:?}");
    assert!(!home.path().join(".local").exists());
}

#[test]
fn journal_of_another_user_is_not_reported() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    job(PanicStrategy::Unwind, &["kill"])
        .gateway(&gateway.url())
        .variable("METRICS_PUSH_JOB", "planted")
        .variable("METRICS_PUSH_STATE_DIR", state.path())
        .run_to_end();
    let journal = state.journals().remove(0);
    chown(&journal, ANOTHER, ANOTHER).expect("run this test as root: it changes owners");
    gateway.clear();
    let ended = run_in(state.path(), &gateway);
    assert!(ended.log_lines[0].contains("it is not a journal"), "{ended:?}");
    assert!(gateway.find_group("planted", &[]).is_none() && journal.exists());
}

/// A shell script that runs a command in another root directory, which has the mode `$1` and the directories
/// of the original one.
const WITH_ANOTHER_ROOT: &str = "\
root=$0 mode=$1
shift
mount -t tmpfs -o mode=$mode tmpfs $root
for entry in /*; do
    if [ -L $entry ]; then cp --no-dereference $entry $root
    elif [ -d $entry ]; then mkdir $root$entry; mount --rbind $entry $root$entry
    fi
done
exec /usr/sbin/chroot $root \"$@\"";

#[test]
fn state_directory_is_not_used_if_others_can_change_the_root_directory() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let root = state.path().join("root");
    fs::create_dir(&root).unwrap();
    for (mode, log_lines) in [("755", 0), ("1777", 0), ("777", 1)] {
        let root = root.to_str().unwrap();
        let launcher = ["unshare", "--mount", "sh", "-c", WITH_ANOTHER_ROOT, root, mode];
        let job = job(PanicStrategy::Unwind, &["ok"]).gateway(&gateway.url());
        let job = job.variable("METRICS_PUSH_STATE_DIR", state.path());
        let ended = job.within(&launcher).run_to_end();
        assert!(ended.status.success(), "run this test as root: it changes mounts\n{ended:?}");
        assert_eq!(ended.log_lines.len(), log_lines, "{mode}: {ended:?}");
        let is_refused = |line: &String| line.contains(": / is writable for other users");
        assert!(ended.log_lines.iter().all(is_refused), "{mode}: {ended:?}");
        assert_eq!(gateway.groups().len(), 1, "the outcome is delivered");
        gateway.clear();
    }
}
