//! `RelayProcess`: the command `metrics-push relay` as a child process.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};

use crate::child::send_signal;
use crate::cluster::Cluster;
use crate::http::send;
use crate::programs::{command, program};
use crate::wait::wait_until;

/// A relay, killed on drop.
pub(crate) struct RelayProcess {
    child: Child,
    metrics: SocketAddr,
}

impl RelayProcess {
    /// Starts a relay without a state directory.
    pub(crate) fn start(cluster: &Cluster, to: &str) -> Self {
        Self::with_variables(cluster, to, &[])
    }

    pub(crate) fn with_state(cluster: &Cluster, to: &str, state: &Path) -> Self {
        let state = state.to_str().unwrap();
        Self::with_variables(cluster, to, &[("METRICS_PUSH_STATE_DIR", state)])
    }

    pub(crate) fn with_variables(cluster: &Cluster, to: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = command(program("command"));
        command.args(["relay", &cluster.url(), "--to", to, "--listen", "127.0.0.1:0"]);
        command.env("METRICS_PUSH_STATE_DIR", "off").envs(variables.iter().copied());
        command.stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line
            .trim()
            .strip_prefix("Metrics of the relay: http://")
            .and_then(|rest| rest.strip_suffix("/metrics")?.parse().ok());
        Self { child, metrics: address.unwrap_or_else(|| panic!("the relay wrote {line:?}")) }
    }

    /// Returns the relay's metrics about itself.
    pub(crate) fn metrics(&self) -> BTreeMap<String, u64> {
        let response = send(self.metrics, "GET", "/metrics", b"").unwrap();
        let text = response.text();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let name = name.strip_prefix("metrics_push_relay_").unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        samples.collect()
    }

    /// Waits until `condition` returns true for the relay's metrics.
    #[track_caller]
    pub(crate) fn wait_for(&self, condition: impl Fn(&BTreeMap<String, u64>) -> bool) {
        wait_until(|| {
            let metrics = self.metrics();
            if condition(&metrics) { Ok(()) } else { Err(metrics) }
        });
    }

    /// Kills the relay.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends the relay with SIGTERM. Returns its status and what it wrote to stderr.
    pub(crate) fn terminate(mut self) -> (ExitStatus, String) {
        send_signal(self.child.id(), "TERM");
        let status = wait_until(|| self.child.try_wait().unwrap().ok_or("the relay does not end"));
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (status, errors)
    }
}

impl Drop for RelayProcess {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
