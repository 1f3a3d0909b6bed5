//! Real receivers of remote write, and a client that writes any samples to them.
//!
//! The receivers are Debian's `prometheus`, `victoria-metrics` and `influxdb`. They store samples in a directory of the
//! test, so that a receiver that was killed can be started again.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prost::Message;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::http::{Response, send, send_raw};
use crate::real::{Labels, percent_encode};

const START_TIMEOUT: Duration = Duration::from_secs(30);
const QUERY_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiverKind {
    Prometheus,
    /// Prometheus with `out_of_order_time_window: 48h`.
    PrometheusOutOfOrder,
    VictoriaMetrics,
    InfluxDb,
}

impl ReceiverKind {
    const fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Prometheus | Self::PrometheusOutOfOrder => ("/usr/bin/prometheus", "prometheus"),
            Self::VictoriaMetrics => ("/usr/bin/victoria-metrics", "victoria-metrics"),
            Self::InfluxDb => ("/usr/bin/influxd", "influxdb"),
        }
    }

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::InfluxDb => "/api/v1/prom/write?db=batch",
            _ => "/api/v1/write",
        }
    }

    fn command(self, address: SocketAddr, directory: &Path) -> Command {
        let data = directory.join("data");
        let mut command = Command::new(self.program().0);
        match self {
            Self::Prometheus | Self::PrometheusOutOfOrder => {
                let config = directory.join("prometheus.yml");
                let window = "storage:\n  tsdb:\n    out_of_order_time_window: 48h\n";
                let text = if self == Self::PrometheusOutOfOrder { window } else { "" };
                fs::write(&config, text).expect("cannot write the configuration");
                command.arg(format!("--config.file={}", config.display()));
                command.arg(format!("--storage.tsdb.path={}", data.display()));
                command.arg(format!("--web.listen-address={address}"));
                command.arg("--web.enable-remote-write-receiver");
            }
            Self::VictoriaMetrics => {
                command.arg(format!("-storageDataPath={}", data.display()));
                command.arg(format!("-httpListenAddr={address}"));
                command.args(["-search.latencyOffset=0s", "-retentionPeriod=10y"]);
            }
            Self::InfluxDb => {
                let path = |name: &str| data.join(name);
                command.env("INFLUXDB_HTTP_BIND_ADDRESS", address.to_string());
                command.env("INFLUXDB_BIND_ADDRESS", "127.0.0.1:0");
                command.env("INFLUXDB_META_DIR", path("meta"));
                command.env("INFLUXDB_DATA_DIR", path("data"));
                command.env("INFLUXDB_DATA_WAL_DIR", path("wal"));
                command.env("INFLUXDB_REPORTING_DISABLED", "true");
                command.args(["run", "-config", "/dev/null"]);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    const fn ready_path(self) -> &'static str {
        match self {
            Self::InfluxDb => "/ping",
            _ => "/-/ready",
        }
    }
}

/// A running receiver, killed on drop.
pub(crate) struct RealReceiver {
    kind: ReceiverKind,
    address: SocketAddr,
    directory: PathBuf,
    child: Child,
}

impl RealReceiver {
    pub(crate) fn start(kind: ReceiverKind) -> Self {
        let (program, package) = kind.program();
        assert!(
            Path::new(program).exists(),
            "{program} is missing: install the Debian package `{package}` (apt-get install {package})",
        );
        for _ in 0..5 {
            let listener = TcpListener::bind(("127.0.0.1", 0)).expect("cannot open a port");
            let address = listener.local_addr().expect("a bound socket has an address");
            drop(listener);
            let directory = new_directory();
            let child = kind.command(address, &directory).spawn().expect(program);
            let mut receiver = Self { kind, address, directory, child };
            if receiver.wait_until_ready() {
                receiver.create_database();
                return receiver;
            }
            // Another process has taken the port.
        }
        panic!("{program} exited on each of 5 ports");
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for `METRICS_PUSH_URL`.
    pub(crate) fn url(&self) -> String {
        format!("remote-write+http://{}{}", self.address, self.kind.path())
    }

    /// Kills the receiver. Its samples on disk stay.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts a killed receiver again, at the same address.
    pub(crate) fn restart(&mut self) {
        self.child = self.kind.command(self.address, &self.directory).spawn().unwrap();
        assert!(self.wait_until_ready(), "the receiver exited");
    }

    /// Stops the receiver: connections are accepted and requests get no response.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn wait_until_ready(&mut self) -> bool {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let response = send(self.address, "GET", self.kind.ready_path(), b"");
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return false;
            }
            if response.is_ok_and(|response| matches!(response.status, 200 | 204)) {
                return true;
            }
            assert!(Instant::now() < deadline, "{:?} is not ready", self.kind);
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn create_database(&self) {
        if self.kind == ReceiverKind::InfluxDb {
            let path = format!("/query?q={}", percent_encode("CREATE DATABASE batch"));
            let response = send(self.address, "POST", &path, b"").unwrap();
            assert_eq!(response.status, 200, "{response:?}");
        }
    }

    /// Returns the instant vector of an expression, by labels with the name.
    #[track_caller]
    pub(crate) fn query(&self, expression: &str) -> Vec<(Labels, f64)> {
        let read = |result: &Value| Some((labels(result), number(&result["value"][1])?));
        self.results(expression).iter().filter_map(read).collect()
    }

    /// Repeats a query until it has the single value `expected`.
    #[track_caller]
    pub(crate) fn wait_for_value(&self, expression: &str, expected: f64) {
        let deadline = Instant::now() + QUERY_TIMEOUT;
        loop {
            let found = self.query(expression);
            if matches!(found[..], [(_, value)] if value == expected) {
                return;
            }
            assert!(Instant::now() < deadline, "{expression} is {found:?} and not {expected}");
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Returns the stored samples of the last two days of all series with this job, by labels with the name. Times are in
    /// milliseconds.
    #[track_caller]
    pub(crate) fn stored(&self, job: &str) -> BTreeMap<Labels, Vec<(i64, f64)>> {
        let read = |result: &Value| {
            let samples = result["values"].as_array().into_iter().flatten();
            let sample = |sample: &Value| {
                let seconds = sample[0].as_f64().unwrap();
                ((seconds * 1_000.0).round() as i64, number(&sample[1]).unwrap())
            };
            (labels(result), samples.map(sample).collect())
        };
        self.results(&format!("{{job={job:?}}}[2d]")).iter().map(read).collect()
    }

    #[track_caller]
    fn results(&self, expression: &str) -> Vec<Value> {
        let path = format!("/api/v1/query?query={}", percent_encode(expression));
        let response =
            send(self.address, "GET", &path, b"").expect("the receiver does not respond");
        let mut json: Value = serde_json::from_slice(&response.body).expect("JSON");
        let Some(results) = json["data"]["result"].as_array_mut() else {
            panic!("the receiver rejected {expression}: {json}");
        };
        std::mem::take(results)
    }
}

impl Drop for RealReceiver {
    fn drop(&mut self) {
        // Fails if the receiver has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn labels(result: &Value) -> Labels {
    let labels = result["metric"].as_object().into_iter().flatten();
    labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or("").to_owned())).collect()
}

fn number(value: &Value) -> Option<f64> {
    value.as_str()?.parse().ok()
}

fn new_directory() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("receiver-{}-{number}", std::process::id());
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(directory.join("data")).expect("cannot create the temporary directory");
    directory
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since_epoch.as_millis()).unwrap()
}

/// One series of a request: its labels in the order in which they are sent, and its samples as times in milliseconds and
/// values.
#[derive(Clone, Debug)]
pub(crate) struct SentSeries {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) samples: Vec<(i64, f64)>,
}

impl SentSeries {
    pub(crate) fn new(name: &str, job: &str, samples: &[(i64, f64)]) -> Self {
        let labels = [("__name__", name), ("job", job)];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { labels: labels.into(), samples: samples.to_vec() }
    }
}

/// Writes series with version 1.0.
pub(crate) fn write(address: SocketAddr, path: &str, series: &[SentSeries]) -> Response {
    let timeseries = series.iter().map(|series| SeriesMessage {
        labels: series
            .labels
            .iter()
            .map(|(name, value)| LabelMessage { name: name.clone(), value: value.clone() })
            .collect(),
        samples: series
            .samples
            .iter()
            .map(|&(timestamp, value)| SampleMessage { value, timestamp })
            .collect(),
    });
    let message = WriteRequest { timeseries: timeseries.collect() }.encode_to_vec();
    let body = snap::raw::Encoder::new().compress_vec(&message).unwrap();
    let headers = "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
                   X-Prometheus-Remote-Write-Version: 0.1.0\r\n";
    post(address, path, headers, &body)
}

/// Sends a request with these headers.
pub(crate) fn post(address: SocketAddr, path: &str, headers: &str, body: &[u8]) -> Response {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    send_raw(address, &[head.as_bytes(), body].concat()).unwrap()
}

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<SeriesMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct SeriesMessage {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<LabelMessage>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<SampleMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct SampleMessage {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}
