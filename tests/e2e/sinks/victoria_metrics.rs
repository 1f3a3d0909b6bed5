//! Debian's VictoriaMetrics, which accepts line protocol.

use serde_json::Value;

use crate::http::send;
use crate::real::{Directory, Server, percent_encode};

use super::{Receiver, Values, series};

pub(super) struct VictoriaMetrics {
    server: Server,
    // Dropped after the server, which would create the directory again.
    _directory: Directory,
}

impl VictoriaMetrics {
    pub(super) fn start() -> Self {
        let directory = Directory::new("victoria-metrics");
        let arguments = |address| {
            vec![
                format!("-storageDataPath={}", directory.path().display()),
                format!("-httpListenAddr={address}"),
                "-search.latencyOffset=0s".to_owned(),
            ]
        };
        let (binary, package) = ("/usr/bin/victoria-metrics", "victoria-metrics");
        let server = Server::start(binary, package, "/health", arguments);
        Self { server, _directory: directory }
    }
}

impl Receiver for VictoriaMetrics {
    fn url(&self) -> String {
        format!("influx+http://{}/write", self.server.address())
    }

    fn values(&self, job: &str) -> Values {
        let address = self.server.address();
        // New samples are not visible before they are flushed.
        send(address, "GET", "/internal/force_flush", b"").unwrap();
        let selector = percent_encode(&format!("{{job=\"{job}\"}}"));
        let path = format!("/api/v1/export?match%5B%5D={selector}");
        let lines = send(address, "GET", &path, b"").unwrap().text();
        lines.lines().map(newest).collect()
    }
}

/// Returns the name and the newest value of an exported series.
fn newest(line: &str) -> (String, f64) {
    let json: Value = serde_json::from_str(line).unwrap();
    let labels = json["metric"].as_object().into_iter().flatten();
    let labels = labels.map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
    let name = json["metric"]["__name__"].as_str().unwrap();
    let samples =
        json["timestamps"].as_array().unwrap().iter().zip(json["values"].as_array().unwrap());
    let (_, value) = samples.max_by_key(|(time, _)| time.as_i64()).unwrap();
    (series(name, labels.filter(|(name, _)| *name != "__name__")), value.as_f64().unwrap())
}
