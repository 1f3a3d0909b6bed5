//! Real receivers of remote write.
//!
//! The receivers are Debian's `prometheus` and `victoria-metrics`. They store samples in a directory of the test, so that
//! a receiver that was killed can be started again.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::child::send_signal;
use crate::http::send;
use crate::real::{Directory, Labels, Server, percent_encode};

use super::{Receiver, Values, series};

const QUERY_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const READY_PATH: &str = "/-/ready";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceiverKind {
    Prometheus,
    /// Prometheus with `out_of_order_time_window: 48h`.
    PrometheusOutOfOrder,
    VictoriaMetrics,
}

impl ReceiverKind {
    const fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Prometheus | Self::PrometheusOutOfOrder => ("/usr/bin/prometheus", "prometheus"),
            Self::VictoriaMetrics => ("/usr/bin/victoria-metrics", "victoria-metrics"),
        }
    }

    /// Writes the configuration, and returns the arguments of the command.
    fn arguments(self, directory: &Directory, address: SocketAddr) -> Vec<String> {
        let data = directory.path().join("data");
        if self == Self::VictoriaMetrics {
            return vec![
                format!("-storageDataPath={}", data.display()),
                format!("-httpListenAddr={address}"),
                "-search.latencyOffset=0s".to_owned(),
                "-retentionPeriod=10y".to_owned(),
            ];
        }
        let config = directory.path().join("prometheus.yml");
        let window = "storage:\n  tsdb:\n    out_of_order_time_window: 48h\n";
        let text = if self == Self::PrometheusOutOfOrder { window } else { "" };
        fs::write(&config, text).expect("cannot write the configuration");
        vec![
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", data.display()),
            format!("--web.listen-address={address}"),
            "--web.enable-remote-write-receiver".to_owned(),
        ]
    }
}

/// A running receiver.
pub(super) struct RealReceiver {
    kind: ReceiverKind,
    server: Server,
    // Dropped after the server, which would create the directory again.
    directory: Directory,
}

impl RealReceiver {
    pub(super) fn start(kind: ReceiverKind) -> Self {
        let directory = Directory::new("receiver");
        let (program, package) = kind.program();
        let arguments = |address| kind.arguments(&directory, address);
        let server = Server::start(program, package, READY_PATH, arguments);
        Self { kind, server, directory }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Kills the receiver, calls `meanwhile`, and starts the receiver again with the same address and data.
    pub(super) fn restart(self, meanwhile: impl FnOnce()) -> Self {
        let Self { kind, server, directory } = self;
        let address = server.address();
        drop(server);
        meanwhile();
        let arguments = kind.arguments(&directory, address);
        let server = Server::start_at(address, kind.program().0, READY_PATH, arguments);
        Self { kind, server: server.expect("the receiver does not start again"), directory }
    }

    /// Calls `meanwhile` while connections are accepted and requests get no response.
    pub(super) fn freeze(&self, meanwhile: impl FnOnce()) {
        send_signal(self.server.id(), "STOP");
        meanwhile();
        send_signal(self.server.id(), "CONT");
    }

    /// Returns the instant vector of an expression.
    #[track_caller]
    pub(super) fn query(&self, expression: &str) -> Vec<(Labels, f64)> {
        let read = |result: &Value| Some((labels(result), number(&result["value"][1])?));
        self.results(expression).iter().filter_map(read).collect()
    }

    /// Waits until an expression has the single value `expected`.
    #[track_caller]
    pub(super) fn wait_for_value(&self, expression: &str, expected: f64) {
        let deadline = Instant::now() + QUERY_TIMEOUT;
        loop {
            let found = self.query(expression);
            if matches!(found[..], [(_, value)] if value.total_cmp(&expected).is_eq()) {
                return;
            }
            assert!(Instant::now() < deadline, "{expression} is {found:?} and not {expected}");
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Returns the samples of the last two days of all series with this job. Times are in milliseconds.
    #[track_caller]
    pub(super) fn stored(&self, job: &str) -> BTreeMap<Labels, Vec<(i64, f64)>> {
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
        if self.kind == ReceiverKind::VictoriaMetrics {
            // New samples are not visible before they are flushed.
            send(self.address(), "GET", "/internal/force_flush", b"").unwrap();
        }
        let path = format!("/api/v1/query?query={}", percent_encode(expression));
        let response = send(self.address(), "GET", &path, b"").expect("no response");
        let mut json: Value = serde_json::from_slice(&response.body).expect("JSON");
        let Some(results) = json["data"]["result"].as_array_mut() else {
            panic!("the receiver rejected {expression}: {json}");
        };
        std::mem::take(results)
    }
}

impl Receiver for RealReceiver {
    fn url(&self) -> String {
        format!("remote-write+http://{}", self.address())
    }

    fn values(&self, job: &str) -> Values {
        let value = |(mut labels, value): (Labels, f64)| {
            let name = labels.remove("__name__").unwrap_or_default();
            (series(&name, labels.iter().map(|(name, value)| (&**name, &**value))), value)
        };
        self.query(&format!("last_over_time({{job={job:?}}}[1h])")).into_iter().map(value).collect()
    }
}

fn labels(result: &Value) -> Labels {
    let labels = result["metric"].as_object().into_iter().flatten();
    labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or("").to_owned())).collect()
}

fn number(value: &Value) -> Option<f64> {
    value.as_str()?.parse().ok()
}

/// Milliseconds since the Unix epoch.
pub(super) fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since_epoch.as_millis()).unwrap()
}
