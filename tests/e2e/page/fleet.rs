//! `Fleet`: a Pushgateway with jobs in every state, and the page about them.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use rustix::process::{Pid, Signal, kill_process};

use crate::cli::metrics_push_program;
use crate::http::send;
use crate::programs::command;
use crate::real::{Directory, Pushgateway};
use crate::state_dir::StateDir;

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
pub(super) const DAY: f64 = 24.0 * HOUR;

/// A name that is longer than a column.
pub(super) const LONG_NAME: &str =
    "customer_data_retention_and_erasure_requests_quarterly_settlement";

pub(super) struct Fleet {
    pub(super) gateway: Pushgateway,
    state: StateDir,
    files: Directory,
}

impl Fleet {
    /// A gateway without jobs.
    pub(super) fn empty() -> Self {
        Self {
            gateway: Pushgateway::start(),
            state: StateDir::new(),
            files: Directory::new("page"),
        }
    }

    /// One job in each state, and fine jobs with short and long names.
    pub(super) fn start() -> Self {
        let fleet = Self::empty();
        let fine = |age: f64| ended("success", age, 2.0 * HOUR);
        let failing = ended("error", 32.0 * MINUTE, 4.0 * HOUR)
            + &values(&[
                ("last_success_timestamp_seconds", ago(6.5 * HOUR)),
                ("consecutive_failures", 3.0),
                ("failure_threshold", 3.0),
            ]);
        let open = |age: f64| {
            values(&[
                ("last_start_timestamp_seconds", ago(age)),
                ("last_success_timestamp_seconds", ago(27.0 * HOUR)),
                ("success_deadline_seconds", 2.0 * DAY),
                ("next_run_timestamp_seconds", ago(-20.0 * HOUR)),
                ("max_runtime_seconds", HOUR),
                ("progress_ratio", 0.62),
                ("pushed_at_timestamp_seconds", ago(20.0)),
            ])
        };
        let flapping = flapping(12.0 * MINUTE, 2.0 * HOUR);
        let never = ended("panic", 3.0 * HOUR, 2.0 * HOUR)
            + &values(&[("failure_threshold", 5.0), ("consecutive_failures", 1.0)]);
        fleet.push(&[("job", "orders_export"), ("region", "eu")], &failing);
        fleet.push(&[("job", "billing_close"), ("tenant", "south")], &open(3.7 * HOUR));
        fleet.push(&[("job", "rates_import")], &ended("success", 3.7 * HOUR, 2.0 * HOUR));
        fleet.push(&[("job", "ledger_reconcile"), ("tenant", "west")], &never);
        fleet.push(&[("job", "inventory_sync"), ("tenant", "north")], &flapping);
        fleet.push(&[("job", "warehouse_load")], &open(858.0));
        fleet.push(&[("job", LONG_NAME), ("region", "eu"), ("tenant", "north")], &fine(HOUR / 2.0));
        for job in ["certificate_check", "db_backup", "invoices", "mail_digest"] {
            fleet.push(&[("job", job)], &fine(7.0 * MINUTE));
        }
        fleet.push(&[("job", "log_rotate")], &ended("skipped", 42.0 * MINUTE, 2.0 * HOUR));
        fleet
    }

    /// Like [`start`](Self::start), with a job whose last runs are in the history of this machine.
    pub(super) fn with_history() -> Self {
        let fleet = Self::start();
        for status in "000000010000110000001100".chars() {
            let script = format!("exit {status}");
            let arguments =
                ["exec", "--job", "recorded", "--every", "1h", "--", "sh", "-c", &script];
            let output = fleet.metrics_push(&arguments).output().unwrap();
            assert_eq!(
                output.status.code(),
                status.to_digit(10).map(u32::cast_signed),
                "{output:?}"
            );
        }
        fleet
    }

    /// Replaces a group of the gateway.
    pub(super) fn push(&self, labels: &[(&str, &str)], body: &str) {
        let mut path = "/metrics".to_owned();
        for (name, value) in labels {
            path.extend(["/", name, "@base64/", &URL_SAFE.encode(value)]);
        }
        let response = send(self.gateway.address(), "PUT", &path, body.as_bytes()).unwrap();
        assert_eq!(response.status, 200, "{labels:?}: {response:?}");
    }

    /// Runs `metrics-push` with this gateway and its state directory.
    pub(super) fn metrics_push(&self, arguments: &[&str]) -> Command {
        let mut command = command(metrics_push_program());
        command.args(arguments).env("METRICS_PUSH_URL", self.gateway.url());
        command.env("METRICS_PUSH_STATE_DIR", self.state.path()).stdin(Stdio::null());
        command
    }

    /// Writes the page to a file, and returns its URL.
    pub(super) fn file(&self) -> String {
        format!("file://{}", self.write_file().display())
    }

    pub(super) fn write_file(&self) -> PathBuf {
        let path = self.files.path().join("page.html");
        let output = self.metrics_push(&["page", "--output"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        path
    }

    pub(super) fn serve(&self) -> PageServer {
        PageServer::start(self.metrics_push(&["serve", "--listen", "127.0.0.1:0"]))
    }
}

/// The instant of this age in Unix seconds.
fn ago(seconds: f64) -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() - seconds
}

/// Metrics of the library in the text format.
fn values(values: &[(&str, f64)]) -> String {
    let mut text = String::new();
    for (name, value) in values {
        writeln!(text, "# TYPE batch_job_{name} gauge\nbatch_job_{name} {value}").unwrap();
    }
    text
}

/// The metrics of an hourly job whose last run has ended.
pub(super) fn ended(outcome: &str, age: f64, deadline: f64) -> String {
    let start = ago(age);
    let is_failure = matches!(outcome, "error" | "panic");
    let mut text = values(&[
        ("last_start_timestamp_seconds", start),
        ("last_completion_timestamp_seconds", start + 48.0),
        ("last_run_success", if is_failure { 0.0 } else { 1.0 }),
        ("last_run_duration_seconds", 48.0),
        ("success_deadline_seconds", deadline),
        ("next_run_timestamp_seconds", start + HOUR),
        ("start_grace_seconds", 10.0 * MINUTE),
    ]);
    for (name, label, value, number) in [
        ("last_run_outcome", "outcome", outcome, 1),
        ("last_run_records", "result", "processed", 48_210),
    ] {
        writeln!(text, "# TYPE batch_job_{name} gauge").unwrap();
        writeln!(text, "batch_job_{name}{{{label}=\"{value}\"}} {number}").unwrap();
    }
    if !is_failure {
        text += &values(&[("last_success_timestamp_seconds", start + 48.0)]);
    }
    text
}

/// The metrics of an hourly job whose last run failed after a success.
pub(super) fn flapping(age: f64, deadline: f64) -> String {
    ended("error", age, deadline)
        + &values(&[
            ("last_success_timestamp_seconds", ago(age + 8.0 * MINUTE)),
            ("consecutive_failures", 1.0),
            ("failure_threshold", 3.0),
        ])
}

/// `metrics-push serve`. It is killed when it is dropped.
pub(super) struct PageServer {
    child: Child,
    address: SocketAddr,
}

impl PageServer {
    /// Starts the command and reads its address from its output.
    pub(super) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("Listening on http://");
        let address = address.and_then(|rest| rest.trim_end_matches('/').parse().ok());
        let Some(address) = address else {
            let mut errors = String::new();
            let _ = child.kill();
            child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
            panic!("{line:?}: {errors}");
        };
        Self { child, address }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Sends SIGTERM and waits for the end.
    pub(super) fn stop(mut self) -> ExitStatus {
        let id = Pid::from_child(&self.child);
        kill_process(id, Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for PageServer {
    fn drop(&mut self) {
        // Fails if the process has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
