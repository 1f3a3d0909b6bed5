//! System calls of a job, traced by `strace`: a job starts no thread and opens no file that its configuration does not need.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use metrics_push::testing::FakeGateway;

use crate::programs::{command, program};
use crate::state_dir::StateDir;

/// The files, threads and sockets that a process has used.
#[derive(Debug, Default, PartialEq)]
struct Resources {
    files: BTreeSet<String>,
    threads: BTreeSet<String>,
    sockets: usize,
}

impl Resources {
    /// Returns the resources that `other` has not used.
    fn without(self, other: &Self) -> Self {
        let files = self.files.difference(&other.files).cloned().collect();
        let threads = self.threads.difference(&other.threads).cloned().collect();
        Self { files, threads, sockets: self.sockets - other.sockets }
    }

    /// Returns the files that are neither in this folder nor directories on the path to it. A relative path is relative
    /// to an open folder.
    fn files_outside(&self, folder: &Path) -> BTreeSet<String> {
        let is_outside = |file: &&String| {
            let file = Path::new(file);
            file.is_absolute() && !file.starts_with(folder) && !folder.starts_with(file)
        };
        self.files.iter().filter(is_outside).cloned().collect()
    }
}

/// Runs a program with only these variables in its environment.
fn trace(name: &str, variables: &[(&str, &str)]) -> Resources {
    let directory = StateDir::new();
    let log = directory.path().join("calls");
    let status = command("strace")
        .args(["--follow-forks", "-qq", "-e", "trace=%file,socket,prctl,clone,clone3"])
        .arg(format!("--output={}", log.display()))
        .arg(program(name))
        .env_clear()
        .envs(variables.iter().copied())
        .status()
        .unwrap();
    assert!(status.success());
    let mut used = Resources::default();
    for line in fs::read_to_string(log).unwrap().lines() {
        let text = line.split('"').nth(1).unwrap_or_default().to_owned();
        let call = line.split_once(' ').unwrap().1.trim_start();
        match call.split(['(', ' ']).next().unwrap() {
            "socket" => used.sockets += 1,
            "prctl" if call.contains("PR_SET_NAME") => drop(used.threads.insert(text)),
            "prctl" | "clone" | "clone3" | "execve" | "exit" | "+++" | "<..." => {}
            // The loader opens the libraries that the program is linked with.
            _ if text.contains(".so") => {}
            _ => drop(used.files.insert(text)),
        }
    }
    used
}

/// The resources that reporting adds to a job that does nothing.
fn cost_of_reporting(variables: &[(&str, &str)]) -> Resources {
    trace("nothing", variables).without(&trace("nothing_bare", &[]))
}

/// The files from which a process reads its resource usage.
fn usage_files() -> BTreeSet<String> {
    ["/proc/self/stat", "/proc/self/status"].map(str::to_owned).into()
}

#[test]
fn job_without_a_gateway_uses_no_extra_resources() {
    assert_eq!(cost_of_reporting(&[]), Resources::default());
    let state = StateDir::new();
    assert_eq!(
        cost_of_reporting(&[("METRICS_PUSH_STATE_DIR", state.path().to_str().unwrap())]),
        Resources::default(),
        "with a state directory"
    );
}

#[test]
fn plain_http_needs_one_socket_and_no_file() {
    let gateway = FakeGateway::start();
    let cost = cost_of_reporting(&[
        ("METRICS_PUSH_URL", &*gateway.url()),
        ("METRICS_PUSH_STATE_DIR", "off"),
    ]);
    assert_eq!((cost.sockets, cost.files), (1, usage_files()));
    // The signal thread starts if the run lasts a few milliseconds.
    let mut threads = cost.threads;
    threads.remove("metrics-push-si");
    assert_eq!(threads, ["metrics-push".to_owned()].into());
}

#[test]
fn state_directory_adds_no_thread_and_no_file_outside() {
    let gateway = FakeGateway::start();
    let state = StateDir::new();
    let cost = cost_of_reporting(&[
        ("METRICS_PUSH_URL", &*gateway.url()),
        ("METRICS_PUSH_STATE_DIR", state.path().to_str().unwrap()),
    ]);
    let mut outside = usage_files();
    outside.insert("/proc/sys/kernel/random/boot_id".to_owned());
    assert_eq!(cost.files_outside(state.path()), outside);
    assert!(cost.files.iter().any(|file| file.ends_with(".journal")), "{cost:?}");
    // The signal thread and the disk thread start if the run lasts a few milliseconds.
    let mut threads = cost.threads;
    threads.remove("metrics-push-si");
    threads.remove("metrics-push-di");
    assert_eq!(threads, ["metrics-push".to_owned()].into());
    assert_eq!(cost.sockets, 1);
}
