//! What an outage costs a scheduler with many groups: how long until all that ended meanwhile waits on disk, and how
//! long until it is delivered once the gateway is back.
//!
//! `cargo bench --bench outage`, with a number of groups after `--` for another one than 3,200, and `checked` for a
//! gateway that checks each push against all it holds. It fails if an outcome is missing in the end.

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
/// For each round of delivering, as the `recover` command has it.
const BUDGET: Duration = Duration::from_secs(10);
/// After that many it is given up.
const MOST_ROUNDS: usize = 12;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let groups = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(GROUPS);
    let is_checked = arguments.iter().any(|argument| argument == "checked");
    let address = free_address();
    let state = Folder::new();
    let config = Config::default().url(format!("http://{address}")).unwrap();
    let _scope = config.state_dir(&state.0).scope().unwrap();

    let started = Instant::now();
    for tenant in 0..groups {
        let job = Job::new("task").registry(nothing);
        job.start_with(&[("tenant", &tenant)]).finish(Outcome::Success);
    }
    let left = metrics_push::flush(Duration::from_secs(120));
    let waiting = metrics_push::spooled_requests().len();
    println!(
        "{waiting} of {groups} wait on disk after {:.1?}, {left} on their way",
        started.elapsed()
    );

    let gateway = Gateway::start(address, is_checked);
    let started = Instant::now();
    for round in 1..=MOST_ROUNDS {
        let recovery = metrics_push::recover(BUDGET);
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
    println!("{stored} of {groups} are there");
    if stored == groups { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn nothing() -> &'static Registry {
    static NOTHING: OnceLock<Registry> = OnceLock::new();
    NOTHING.get_or_init(Registry::new)
}

fn free_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).unwrap()
}

/// A state directory of its own.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("metrics-push-outage-{}", std::process::id());
        Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A Pushgateway at a port that was closed before.
struct Gateway(Child, SocketAddr);

impl Gateway {
    fn start(address: SocketAddr, is_checked: bool) -> Self {
        let mut command = Command::new("/usr/bin/prometheus-pushgateway");
        command.arg("--persistence.file=").arg(format!("--web.listen-address={address}"));
        if !is_checked {
            command.arg("--push.disable-consistency-check");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let gateway = Self(command.spawn().unwrap(), address);
        let started = Instant::now();
        while http::send(address, "GET", "/-/ready", b"").is_err() {
            assert!(started.elapsed() < BUDGET, "the gateway does not get ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        gateway
    }

    /// How many groups have had a success.
    fn groups(&self) -> usize {
        let answer = http::send(self.1, "GET", "/metrics", b"").unwrap().text();
        let successes =
            answer.lines().filter(|line| line.starts_with("batch_job_last_run_success{"));
        successes.filter(|line| line.ends_with("} 1")).count()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
