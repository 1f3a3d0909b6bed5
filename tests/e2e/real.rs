//! Starts real servers as child processes on free ports.
//!
//! A server is ready when its constructor returns, and is killed when it is dropped.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::send;

/// The maximum time until a server is ready.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The maximum time until Prometheus has scraped a new sample.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(60);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A child process that is killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts a binary of a Debian package and waits until `ready_path` responds with a success.
    pub(crate) fn start(
        binary: &str,
        package: &str,
        ready_path: &str,
        arguments: impl Fn(SocketAddr) -> Vec<String>,
    ) -> Self {
        assert!(
            Path::new(binary).exists(),
            "{binary} is missing: install the Debian package `{package}` (apt-get install {package})",
        );
        for _ in 0..5 {
            let address = free_address();
            // If it fails, another process has taken the port.
            if let Some(server) = Self::start_at(address, binary, ready_path, arguments(address)) {
                return server;
            }
        }
        panic!("{binary} exited on each of 5 ports");
    }

    /// Starts a binary that listens at this address. Returns `None` if it exits before it is ready.
    pub(crate) fn start_at(
        address: SocketAddr,
        binary: &str,
        ready_path: &str,
        arguments: Vec<String>,
    ) -> Option<Self> {
        let mut command = Command::new(binary);
        command.args(arguments).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|why| panic!("cannot run {binary}: {why}"));
        let mut server = Self { child, address };
        server.wait_until_ready(ready_path, &command).then_some(server)
    }

    /// Waits until the server is ready. Returns false if it has exited: another process may respond on its port.
    fn wait_until_ready(&mut self, ready_path: &str, command: &Command) -> bool {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let response = send(self.address, "GET", ready_path, b"");
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return false;
            }
            if response.is_ok_and(|response| matches!(response.status, 200 | 204)) {
                return true;
            }
            assert!(Instant::now() < deadline, "not ready within {START_TIMEOUT:?}: {command:?}");
            thread::sleep(POLL_INTERVAL);
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if the process has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns an address for one server, on an IP address that no other server uses, so its port stays free while the server is
/// down.
pub(crate) fn free_address() -> SocketAddr {
    static COUNT: AtomicU16 = AtomicU16::new(1);
    let process = u8::try_from(std::process::id() % 250).unwrap();
    let [high, low] = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let ip = Ipv4Addr::new(127, 1 + process, high, low);
    let listener = TcpListener::bind((ip, 0)).expect("cannot open a port");
    listener.local_addr().expect("a bound socket has no address")
}

/// Debian's Pushgateway, without persistence.
pub(crate) struct Pushgateway(Server);

impl Pushgateway {
    pub(crate) fn start() -> Self {
        Self::with_flags(&[])
    }

    /// Starts it with these flags, for example `--web.enable-admin-api`.
    pub(crate) fn with_flags(flags: &[&str]) -> Self {
        let arguments = |address| {
            let mut arguments = vec![
                // Without it, all gateways on this machine use the same default file.
                "--persistence.file=".to_owned(),
                format!("--web.listen-address={address}"),
            ];
            arguments.extend(flags.iter().map(|&flag| flag.to_owned()));
            arguments
        };
        let prefix = flags.iter().find_map(|flag| flag.strip_prefix("--web.route-prefix="));
        let (binary, package) = ("/usr/bin/prometheus-pushgateway", "prometheus-pushgateway");
        let ready_path = format!("{}/-/ready", prefix.unwrap_or_default());
        Self(Server::start(binary, package, &ready_path, arguments))
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.0.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }
}

/// Debian's node exporter with only the textfile collector, and the directory that it reads.
pub(crate) struct NodeExporter {
    server: Server,
    directory: Directory,
}

impl NodeExporter {
    pub(crate) fn start() -> Self {
        let directory = Directory::new("node-exporter");
        let arguments = |address| {
            vec![
                format!("--web.listen-address={address}"),
                "--collector.disable-defaults".to_owned(),
                "--collector.textfile".to_owned(),
                format!("--collector.textfile.directory={}", directory.path().display()),
            ]
        };
        let (binary, package) = ("/usr/bin/prometheus-node-exporter", "prometheus-node-exporter");
        Self { server: Server::start(binary, package, "/-/ready", arguments), directory }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.server.address
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the value of each series with its labels, such as `rows{job="import"}`.
    pub(crate) fn series(&self) -> BTreeMap<String, f64> {
        let response = send(self.address(), "GET", "/metrics", b"");
        let text = response.expect("the node exporter does not respond").text();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let parse = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        };
        samples.filter_map(parse).collect()
    }
}

/// Debian's Prometheus, which scrapes one target or receives samples.
pub(crate) struct Prometheus {
    server: Server,
    // Dropped after the server, which would create the directory again.
    _directory: Directory,
}

/// The labels of a result, including `__name__`.
pub(crate) type Labels = BTreeMap<String, String>;

impl Prometheus {
    /// Scrapes `target` at this interval and does not change its labels.
    pub(crate) fn scraping(target: SocketAddr, interval: Duration) -> Self {
        Self::configured(target, interval, "")
    }

    /// Scrapes `target`, and evaluates these rules at the same interval.
    pub(crate) fn watching(target: SocketAddr, interval: Duration, rules: &Path) -> Self {
        Self::configured(target, interval, &format!("rule_files: ['{}']\n", rules.display()))
    }

    /// Receives samples by remote write at `/api/v1/write`, and evaluates these rules at this interval.
    pub(crate) fn receiving(interval: Duration, rules: &Path) -> Self {
        let interval = interval.as_millis();
        Self::started(&format!(
            "global:\n  evaluation_interval: {interval}ms\nrule_files: ['{}']\n",
            rules.display()
        ))
    }

    fn configured(target: SocketAddr, interval: Duration, rule_files: &str) -> Self {
        let interval = interval.as_millis();
        Self::started(&format!(
            "global:\n  scrape_interval: {interval}ms\n  scrape_timeout: {interval}ms\n  \
             evaluation_interval: {interval}ms\n{rule_files}\
             scrape_configs:\n- job_name: pushgateway\n  honor_labels: true\n  \
             static_configs:\n  - targets: ['{target}']\n"
        ))
    }

    /// Starts it with this configuration.
    pub(crate) fn started(configuration: &str) -> Self {
        let directory = Directory::new("prometheus");
        let config = directory.path().join("prometheus.yml");
        fs::write(&config, configuration).expect("cannot write the configuration");
        let arguments = |address| {
            vec![
                format!("--config.file={}", config.display()),
                format!("--storage.tsdb.path={}", directory.path().join("tsdb").display()),
                format!("--web.listen-address={address}"),
                "--web.enable-remote-write-receiver".to_owned(),
            ]
        };
        let server = Server::start("/usr/bin/prometheus", "prometheus", "/-/ready", arguments);
        Self { server, _directory: directory }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Returns the instant vector of an expression.
    #[track_caller]
    pub(crate) fn query(&self, expression: &str) -> Vec<(Labels, f64)> {
        let path = format!("/api/v1/query?query={}", percent_encode(expression));
        let response =
            send(self.server.address, "GET", &path, b"").expect("Prometheus does not respond");
        let json: Value =
            serde_json::from_slice(&response.body).expect("the response of Prometheus is not JSON");
        let Some(result) = json["data"]["result"].as_array() else {
            panic!("Prometheus rejected {expression}: {json}");
        };
        result.iter().map(sample).collect()
    }

    /// Repeats a query until `condition` returns true for its result.
    #[track_caller]
    pub(crate) fn wait_for(
        &self,
        expression: &str,
        condition: impl Fn(&[(Labels, f64)]) -> bool,
    ) -> Vec<(Labels, f64)> {
        let deadline = Instant::now() + SCRAPE_TIMEOUT;
        loop {
            let result = self.query(expression);
            if condition(&result) {
                return result;
            }
            assert!(
                Instant::now() < deadline,
                "the result of {expression} did not match within {SCRAPE_TIMEOUT:?}; it is {result:?}",
            );
            thread::sleep(POLL_INTERVAL);
        }
    }
}

fn sample(sample: &Value) -> (Labels, f64) {
    let labels = sample["metric"].as_object().into_iter().flatten();
    let labels =
        labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or("").to_owned()));
    let value = sample["value"][1].as_str().and_then(|text| text.parse().ok());
    (labels.collect(), value.unwrap_or_else(|| panic!("{sample} has no number")))
}

/// The directory of one server, removed on drop.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(server: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{server}-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // A killed test with the same process id may have left one.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("cannot create the temporary directory");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn percent_encode(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
