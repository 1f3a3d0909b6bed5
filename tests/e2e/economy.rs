//! Economy: a job starts no thread and touches no file that its configuration has no need of, as the kernel sees it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use metrics_push::testing::FakeGateway;

use crate::programs::{command, program};
use crate::state_dir::StateDir;

/// What a process has touched.
#[derive(Debug, Default, PartialEq)]
struct Touched {
    files: BTreeSet<String>,
    threads: BTreeSet<String>,
    sockets: usize,
}

impl Touched {
    /// What there is besides that of another.
    fn besides(self, other: &Self) -> Self {
        let files = self.files.difference(&other.files).cloned().collect();
        let threads = self.threads.difference(&other.threads).cloned().collect();
        Self { files, threads, sockets: self.sockets - other.sockets }
    }

    fn files_below(&self, folder: &Path) -> usize {
        self.files.iter().filter(|file| Path::new(file).starts_with(folder)).count()
    }
}

/// Runs the program to its end with these variables and no others.
fn touched(name: &str, variables: &[(&str, &str)]) -> Touched {
    let place = StateDir::new();
    let log = place.path().join("calls");
    let status = command("strace")
        .args(["--follow-forks", "-qq", "-e", "trace=%file,socket,prctl,clone,clone3"])
        .arg(format!("--output={}", log.display()))
        .arg(program(name))
        .env_clear()
        .envs(variables.iter().copied())
        .status()
        .unwrap();
    assert!(status.success());
    let mut touched = Touched::default();
    for line in fs::read_to_string(log).unwrap().lines() {
        let text = line.split('"').nth(1).unwrap_or_default().to_owned();
        let call = line.split_once(' ').unwrap().1.trim_start();
        match call.split(['(', ' ']).next().unwrap() {
            "socket" => touched.sockets += 1,
            "prctl" if call.contains("PR_SET_NAME") => drop(touched.threads.insert(text)),
            "prctl" | "clone" | "clone3" | "execve" | "exit" | "+++" | "<..." => {}
            // The loader's: what a program is linked with.
            _ if text.contains(".so") => {}
            _ => drop(touched.files.insert(text)),
        }
    }
    touched
}

/// What telling costs a job that does nothing.
fn cost_of_telling(variables: &[(&str, &str)]) -> Touched {
    touched("nothing", variables).besides(&touched("nothing_bare", &[]))
}

/// Where a process' own usage is read.
fn usage() -> BTreeSet<String> {
    ["/proc/self/stat", "/proc/self/status"].map(str::to_owned).into()
}

#[test]
fn without_a_gateway_there_is_nothing() {
    assert_eq!(cost_of_telling(&[]), Touched::default());
    let state = StateDir::new();
    assert_eq!(
        cost_of_telling(&[("METRICS_PUSH_STATE_DIR", state.path().to_str().unwrap())]),
        Touched::default(),
        "nor where there is a state directory"
    );
}

#[test]
fn a_plain_gateway_needs_one_connection_and_no_file() {
    let gateway = FakeGateway::start();
    let cost = cost_of_telling(&[
        ("METRICS_PUSH_URL", &*gateway.url()),
        ("METRICS_PUSH_STATE_DIR", "off"),
    ]);
    assert_eq!((cost.sockets, cost.files), (1, usage()));
    // One hears signals once a run lasts for a moment.
    let mut threads = cost.threads;
    threads.remove("metrics-push-si");
    assert_eq!(threads, ["metrics-push".to_owned()].into());
}

#[test]
fn a_state_directory_needs_one_more_thread_and_no_file_outside() {
    let gateway = FakeGateway::start();
    let state = StateDir::new();
    let cost = cost_of_telling(&[
        ("METRICS_PUSH_URL", &*gateway.url()),
        ("METRICS_PUSH_STATE_DIR", state.path().to_str().unwrap()),
    ]);
    let inside = cost.files_below(state.path());
    let outside = cost.files.len() - inside;
    let boot = cost.files.contains("/proc/sys/kernel/random/boot_id");
    assert!(inside > 0 && boot && outside == usage().len() + 1, "{cost:?}");
    let mut threads = cost.threads;
    threads.remove("metrics-push-si");
    assert_eq!(threads, ["metrics-push", "metrics-push-di"].map(str::to_owned).into());
    assert_eq!(cost.sockets, 1);
}
