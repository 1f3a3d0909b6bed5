//! Supervised jobs against the real gateway: the supervisor reports every ending at once.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::child::{PanicStrategy, job};
use crate::lifecycle::{outcomes, stored};
use crate::real::Pushgateway;
use crate::state_dir::StateDir;

#[test]
fn supervisor_reports_every_ending_to_the_real_gateway() {
    let gateway = Pushgateway::start();
    for panics in [PanicStrategy::Unwind, PanicStrategy::Abort] {
        for (ending, outcome) in [
            ("ok", "success"),
            ("err", "error"),
            ("panic", "panic"),
            ("panic-in-drop", "panic"),
            ("exit-3", "exit_code"),
            ("_exit", "exit_code"),
            ("exec", "success"),
            ("kill", "signal"),
            ("abort", "signal"),
            ("segv", "signal"),
            ("overflow", "signal"),
        ] {
            let state = StateDir::new();
            let name = format!("{panics:?}-{ending}");
            let bare = job(panics, &[ending]).run_to_end();
            let command = job(panics, &["supervised", ending]).gateway(&gateway.url());
            let command = command.variable("METRICS_PUSH_STATE_DIR", state.path());
            let ended = command.variable("METRICS_PUSH_JOB", &name).run_to_end();
            ended.assert_same_as(&bare);
            let stored = stored(&gateway, &name);
            assert_eq!(outcomes(&stored), [outcome], "{name}: {ended:?} {stored:?}");
            assert!(state.journals().is_empty(), "{name}");
        }
    }
}

/// A memory control group, removed when it is dropped.
pub(crate) struct MemoryGroup(PathBuf);

impl MemoryGroup {
    pub(crate) fn new(bytes: u64) -> Self {
        let base = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"];
        let base = base.into_iter().map(PathBuf::from).find(|path| path.exists()).unwrap();
        let is_version_2 = base.join("cgroup.controllers").exists();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let group = base.join(format!("metrics-push-{}-{number}", std::process::id()));
        fs::create_dir_all(&group).expect("run this test as root: it needs a control group");
        let limit = if is_version_2 { "memory.max" } else { "memory.limit_in_bytes" };
        fs::write(group.join(limit), bytes.to_string()).unwrap();
        Self(group)
    }

    /// A command that starts its arguments in this group.
    pub(crate) fn launcher(&self) -> [String; 4] {
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.0.display());
        ["sh".into(), "-c".into(), enter, "sh".into()]
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn supervisor_reports_an_oom_kill_of_the_control_group() {
    let (gateway, state) = (Pushgateway::start(), StateDir::new());
    let group = MemoryGroup::new(64 << 20);
    let launcher = group.launcher();
    let launcher: Vec<_> = launcher.iter().map(String::as_str).collect();
    let command =
        job(PanicStrategy::Unwind, &["supervised", "out-of-memory"]).gateway(&gateway.url());
    let command = command.variable("METRICS_PUSH_STATE_DIR", state.path());
    let ended = command.within(&launcher).run_to_end();
    assert_eq!(ended.status.signal(), Some(9), "{ended:?}");
    let stored = stored(&gateway, "ending");
    assert_eq!(outcomes(&stored), ["oom"], "{ended:?} {stored:?}");
    assert!(stored["batch_job_last_run_max_resident_memory_bytes"] > 3e7);
}
