//! Measures the cost of an outage for a scheduler with many groups: the time until all outcomes are spooled, and the time
//! until they are delivered when the gateway is available again.
//!
//! `cargo bench -p metrics-push-benches --bench outage` uses 3,200 groups. A number after `--` changes that, and `checked`
//! enables the consistency check of the gateway. The bench fails if an outcome is not delivered.

#[path = "../tests/e2e/http.rs"]
mod http;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use metrics_push::{Config, Job, Outcome};
use prometheus::Registry;

const GROUPS: usize = 3_200;
/// The timeout of each recovery round, the default of the `recover` command.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The bench gives up after this many rounds.
const MAX_ROUNDS: usize = 12;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let groups = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(GROUPS);
    let flags: &[_] = if arguments.iter().any(|argument| argument == "checked") {
        &[]
    } else {
        &["--push.disable-consistency-check"]
    };
    let address = free_address();
    let state = StateDir::new();
    let config = Config::default().url(format!("http://{address}")).unwrap();
    let _scope = config.state_dir(&state.0).scope().unwrap();

    let started = Instant::now();
    for tenant in 0..groups {
        let job = Job::new("task").registry(empty_registry);
        job.start_with(&[("tenant", &tenant)]).finish(Outcome::Success);
    }
    let in_flight = metrics_push::flush(Duration::from_secs(120));
    let spooled = metrics_push::spooled_requests().len();
    println!(
        "{spooled} of {groups} spooled after {:.1?}, {in_flight} in flight",
        started.elapsed()
    );

    let gateway = Gateway::start(address, flags);
    let started = Instant::now();
    for round in 1..=MAX_ROUNDS {
        let recovery = metrics_push::recover(TIMEOUT);
        println!(
            "round {round}: {} delivered, {} left after {:.1?}",
            recovery.delivered,
            recovery.left,
            started.elapsed()
        );
        if recovery.left == 0 {
            break;
        }
    }
    let stored = gateway.groups();
    println!("{stored} of {groups} stored on the gateway");
    if stored == groups { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn empty_registry() -> &'static Registry {
    static EMPTY: OnceLock<Registry> = OnceLock::new();
    EMPTY.get_or_init(Registry::new)
}

fn free_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).unwrap()
}

/// A state directory, removed on drop.
struct StateDir(PathBuf);

impl StateDir {
    fn new() -> Self {
        let name = format!("metrics-push-outage-{}", std::process::id());
        Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name))
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A Pushgateway on the port that was closed during the outage.
struct Gateway(Child, SocketAddr);

impl Gateway {
    fn start(address: SocketAddr, flags: &[&str]) -> Self {
        let mut command = Command::new("/usr/bin/prometheus-pushgateway");
        command.arg("--persistence.file=").arg(format!("--web.listen-address={address}"));
        command.args(flags);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let gateway = Self(command.spawn().unwrap(), address);
        let started = Instant::now();
        while http::send(address, "GET", "/-/ready", b"").is_err() {
            assert!(started.elapsed() < TIMEOUT, "the gateway is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        gateway
    }

    /// Returns the number of groups with a successful last run.
    fn groups(&self) -> usize {
        let response = http::send(self.1, "GET", "/metrics", b"").unwrap().text();
        let successes =
            response.lines().filter(|line| line.starts_with("batch_job_last_run_success{"));
        successes.filter(|line| line.ends_with("} 1")).count()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
