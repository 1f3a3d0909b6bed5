//! The servers that the load is sent to, and what they store at the end.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use metrics_push_benches::pushgateway::{UNCHECKED, free_address};
use metrics_push_benches::request::get;
use metrics_push_benches::usage;
use serde_json::Value;

use crate::scheduler::{RUN, SUCCESS};

/// The scheduler and the number of a group.
pub(crate) type GroupId = (String, String);

/// The numbers of the last run and of the last successful run of each group.
pub(crate) type LastRuns = BTreeMap<GroupId, (u64, u64)>;

/// The arguments of the processes that are a broker and a relay.
pub(crate) const BROKER: &str = "--broker";
pub(crate) const RELAY: &str = "--relay";

/// The servers of one kind, killed on drop.
pub(crate) struct Servers {
    kind: String,
    /// The flags of each Pushgateway.
    flags: &'static [&'static str],
    processes: Vec<(Child, SocketAddr)>,
    topic: Option<Topic>,
    directory: PathBuf,
}

/// A topic, and the relay from there to the gateways.
struct Topic {
    url: String,
    broker: Child,
    relay: Child,
}

impl Servers {
    /// Starts the servers of a kind: `prometheus`, `victoria-metrics`, `pushgateway`, `shards-N` for a ring of N gateways, or
    /// `kafka-N` for a topic with a relay to such a ring. Unchecked gateways do not compare each push with all groups.
    pub(crate) fn start(kind: &str, are_unchecked: bool) -> Self {
        let directory = std::env::temp_dir().join(format!("load-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("the temporary directory is writable");
        let kind = kind.to_owned();
        let flags = if are_unchecked { UNCHECKED } else { &[] };
        let mut servers = Self { kind, flags, processes: Vec::new(), topic: None, directory };
        let number = match servers.kind.rsplit_once('-') {
            Some(("shards" | "kafka", number)) => {
                number.parse().expect("the kind ends with a number")
            }
            _ => 1,
        };
        for _ in 0..number {
            servers.start_one();
        }
        if servers.kind.starts_with("kafka-") {
            let (broker, url) = spawn_self(BROKER, "");
            let (relay, _) = spawn_self(RELAY, &format!("{url},{}", servers.stores_url()));
            servers.topic = Some(Topic { url, broker, relay });
        }
        servers
    }

    fn start_one(&mut self) {
        let address = free_address();
        let data = self.directory.join("data").display().to_string();
        let (program, arguments) = match &*self.kind {
            "prometheus" => {
                let config = self.directory.join("prometheus.yml");
                std::fs::write(&config, "").expect("the temporary directory is writable");
                let arguments = vec![
                    format!("--config.file={}", config.display()),
                    format!("--storage.tsdb.path={data}"),
                    format!("--web.listen-address={address}"),
                    "--web.enable-remote-write-receiver".to_owned(),
                ];
                ("prometheus", arguments)
            }
            "victoria-metrics" => {
                let arguments = vec![
                    format!("-storageDataPath={data}"),
                    format!("-httpListenAddr={address}"),
                    "-search.latencyOffset=0s".to_owned(),
                ];
                ("victoria-metrics", arguments)
            }
            _ => {
                let listen = format!("--web.listen-address={address}");
                let mut arguments = vec!["--persistence.file=".to_owned(), listen];
                arguments.extend(self.flags.iter().map(ToString::to_string));
                ("prometheus-pushgateway", arguments)
            }
        };
        let mut command = Command::new(program);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        while TcpStream::connect(address).is_err() {
            thread::sleep(Duration::from_millis(20));
        }
        self.processes.push((child, address));
    }

    /// Returns the URL for the schedulers.
    pub(crate) fn url(&self) -> String {
        self.topic.as_ref().map_or_else(|| self.stores_url(), |topic| topic.url.clone())
    }

    /// Returns the URL of the servers that store the runs.
    fn stores_url(&self) -> String {
        let hosts: Vec<_> = self.processes.iter().map(|(_, it)| it.to_string()).collect();
        let hosts = hosts.join(";");
        match &*self.kind {
            "prometheus" | "victoria-metrics" => {
                format!("remote-write+http://{hosts}/api/v1/write")
            }
            "pushgateway" => format!("http://{hosts}"),
            _ => format!("shards+http://{hosts}"),
        }
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        let ids = self.processes.iter().map(|(child, _)| child.id().to_string());
        ids.map(|id| usage::cpu_seconds(&id)).sum()
    }

    pub(crate) fn resident_mib(&self) -> f64 {
        let ids = self.processes.iter().map(|(child, _)| child.id().to_string());
        ids.map(|id| usage::resident_mib(&id)).sum()
    }

    pub(crate) fn relay_cpu_seconds(&self) -> f64 {
        self.relay_id().map_or(0.0, |id| usage::cpu_seconds(&id))
    }

    pub(crate) fn relay_resident_mib(&self) -> f64 {
        self.relay_id().map_or(0.0, |id| usage::resident_mib(&id))
    }

    fn relay_id(&self) -> Option<String> {
        Some(self.topic.as_ref()?.relay.id().to_string())
    }

    /// Returns what the servers store.
    pub(crate) fn last_runs(&self) -> LastRuns {
        let (runs, successes) = (self.values(RUN), self.values(SUCCESS));
        let success = |id: &GroupId| successes.get(id).copied().unwrap_or_default();
        runs.into_iter()
            .map(|(id, run)| {
                let success = success(&id);
                (id, (run, success))
            })
            .collect()
    }

    /// Returns the value of a gauge in each group.
    fn values(&self, gauge: &str) -> BTreeMap<GroupId, u64> {
        match &*self.kind {
            "prometheus" | "victoria-metrics" => self.query(gauge),
            _ => self.processes.iter().flat_map(|(_, address)| scrape(*address, gauge)).collect(),
        }
    }

    fn query(&self, gauge: &str) -> BTreeMap<GroupId, u64> {
        let (_, address) = self.processes[0];
        let path = format!("/api/v1/query?query=last_over_time({gauge}%5B1h%5D)");
        let response: Value = serde_json::from_str(&get(address, &path)).unwrap_or_default();
        let results = response["data"]["result"].as_array().cloned().unwrap_or_default();
        let entry = |result: Value| {
            let label = |name: &str| result["metric"][name].as_str().map(ToOwned::to_owned);
            let id = (label("scheduler")?, label("group")?);
            Some((id, result["value"][1].as_str()?.parse::<f64>().ok()? as u64))
        };
        results.into_iter().filter_map(entry).collect()
    }
}

/// Returns the value of a gauge in each group, as Prometheus reads it from a Pushgateway.
fn scrape(address: SocketAddr, gauge: &str) -> BTreeMap<GroupId, u64> {
    let text = get(address, "/metrics");
    let entry = |line: &str| {
        let (labels, value) = line.strip_prefix(gauge)?.strip_prefix('{')?.split_once("} ")?;
        let label = |name: &str| {
            let (_, rest) = labels.split_once(&format!("{name}=\""))?;
            rest.split('"').next().map(ToOwned::to_owned)
        };
        Some(((label("scheduler")?, label("group")?), value.parse::<f64>().ok()? as u64))
    };
    text.lines().filter_map(entry).collect()
}

impl Drop for Servers {
    fn drop(&mut self) {
        // Errors do not matter: the bench is finished.
        if let Some(Topic { broker, relay, .. }) = &mut self.topic {
            for child in [relay, broker] {
                drop(child.stdin.take());
                let _ = child.wait();
            }
        }
        for (child, _) in &mut self.processes {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Starts this program with an argument. Returns the process, which runs until its stdin is closed, and its first line.
fn spawn_self(argument: &str, url: &str) -> (Child, String) {
    let mut command = Command::new(std::env::current_exe().expect("the program has a path"));
    command.arg(argument).env("METRICS_PUSH_URL", url).env("METRICS_PUSH_STATE_DIR", "off");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut line = String::new();
    let stdout = child.stdout.as_mut().expect("stdout is a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("the process prints a line");
    (child, line.trim().to_owned())
}
