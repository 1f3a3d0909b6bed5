//! `Machine`: a gateway and a state directory, for commands that run jobs and read their history.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use metrics_push::testing::FakeGateway;
use serde_json::Value;

use crate::program::{Ended, metrics_push, piped};

/// A gateway and a state directory.
pub(crate) struct Machine {
    pub(crate) gateway: FakeGateway,
    state: PathBuf,
}

impl Machine {
    pub(crate) fn new(name: &str) -> Self {
        let state = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("machine-{name}-{}", std::process::id()));
        // A process that was killed leaves its directory, and another one may get its id.
        let _ = fs::remove_dir_all(&state);
        Self { gateway: FakeGateway::start(), state }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = metrics_push(&self.gateway.url(), arguments);
        command.env("METRICS_PUSH_STATE_DIR", &self.state).env("PATH", "/usr/bin:/bin");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        piped(self.command(arguments), "")
    }

    /// Returns the output of a command as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let ended = self.run(arguments);
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
    }

    /// Returns why each run of a job failed.
    pub(crate) fn reasons(&self, job: &str) -> Vec<Option<String>> {
        let history = self.json(&["history", job, "--json"]);
        let runs = history["runs"].as_array().unwrap();
        runs.iter().map(|run| run["reason"].as_str().map(str::to_owned)).collect()
    }

    /// Returns the outcome of each run of a job, the newest first.
    pub(crate) fn outcomes(&self, job: &str) -> Vec<String> {
        let history = self.json(&["history", job, "--json"]);
        let runs = history["runs"].as_array().unwrap();
        runs.iter().map(|run| run["outcome"].as_str().unwrap().to_owned()).collect()
    }

    /// Runs a job that ends with this exit code.
    pub(crate) fn exec(&self, labels: &[&str], code: u8) {
        let program = format!("exit {code}");
        let mut arguments = vec!["exec", "--job", "orders"];
        arguments.extend(labels.iter().flat_map(|label| ["--grouping", *label]));
        arguments.extend(["--", "sh", "-c", &program]);
        assert_eq!(self.run(&arguments).status, i32::from(code));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.state);
    }
}
