//! Debian's InfluxDB 1.

use std::fs;
use std::net::SocketAddr;

use serde_json::Value;

use crate::http::{Response, send};
use crate::real::{Directory, Server, percent_encode};

use super::{Receiver, Values, series};

const BINARY: &str = "/usr/bin/influxd";
const READY_PATH: &str = "/ping";

/// A server with the database `batch`.
pub(super) struct InfluxDb {
    server: Server,
    // Dropped after the server, which would create the directory again.
    directory: Directory,
}

impl InfluxDb {
    pub(super) fn start() -> Self {
        let directory = Directory::new("influxdb");
        let arguments = |address| arguments(&directory, address);
        let server = Server::start(BINARY, "influxdb", READY_PATH, arguments);
        let influx = Self { server, directory };
        influx.query("CREATE DATABASE batch");
        influx
    }

    /// Kills the server, calls `meanwhile`, and starts the server again with the same address and data.
    pub(super) fn restart(self, meanwhile: impl FnOnce()) -> Self {
        let Self { server, directory } = self;
        let address = server.address();
        drop(server);
        meanwhile();
        let arguments = arguments(&directory, address);
        let server = Server::start_at(address, BINARY, READY_PATH, arguments);
        Self { server: server.expect("InfluxDB does not start again"), directory }
    }

    /// The process id.
    pub(super) fn id(&self) -> u32 {
        self.server.id()
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns the URL of a database.
    pub(super) fn database(&self, name: &str) -> String {
        format!("influx+http://{}?db={name}", self.address())
    }

    /// Writes lines as another program does.
    pub(super) fn write(&self, lines: &str) -> Response {
        send(self.address(), "POST", "/write?db=batch", lines.as_bytes()).unwrap()
    }

    /// Returns the series of a query in the database `batch`.
    #[track_caller]
    pub(super) fn query(&self, query: &str) -> Vec<Value> {
        let path = format!("/query?db=batch&epoch=ms&q={}", percent_encode(query));
        let response = send(self.address(), "POST", &path, b"").unwrap();
        let mut json: Value = serde_json::from_slice(&response.body).unwrap();
        assert!(json["results"][0]["error"].is_null(), "{query}: {json}");
        json["results"][0]["series"].as_array_mut().map(std::mem::take).unwrap_or_default()
    }
}

/// Writes the configuration of a server, and returns the arguments of its command.
fn arguments(directory: &Directory, address: SocketAddr) -> Vec<String> {
    let config = directory.path().join("influxdb.conf");
    let data = directory.path().display();
    let text = format!(
        "reporting-disabled = true\nbind-address = \"127.0.0.1:0\"\n\
         [meta]\ndir = \"{data}/meta\"\n\
         [data]\ndir = \"{data}/data\"\nwal-dir = \"{data}/wal\"\n\
         [http]\nbind-address = \"{address}\"\n"
    );
    fs::write(&config, text).expect("cannot write the configuration");
    vec!["-config".to_owned(), config.display().to_string()]
}

impl Receiver for InfluxDb {
    fn url(&self) -> String {
        self.database("batch")
    }

    fn values(&self, job: &str) -> Values {
        let query = format!("SELECT last(*) FROM /.*/ WHERE \"job\" = '{job}' GROUP BY *");
        self.query(&query).iter().flat_map(values).collect()
    }
}

/// Returns the fields of one result as Prometheus names them.
fn values(result: &Value) -> Vec<(String, f64)> {
    let tags = result["tags"].as_object().into_iter().flatten();
    let tags: Vec<_> = tags.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    let columns = result["columns"].as_array().unwrap().iter();
    let fields =
        columns.zip(result["values"][0].as_array().unwrap()).filter_map(|(name, value)| {
            let field = name.as_str()?.strip_prefix("last_")?;
            let measurement = result["name"].as_str()?;
            let name = if field == "value" {
                measurement.into()
            } else {
                format!("{measurement}_{field}")
            };
            Some((series(&name, tags.iter().copied()), value.as_f64()?))
        });
    fields.collect()
}
