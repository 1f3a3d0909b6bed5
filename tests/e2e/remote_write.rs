//! Writes any series to a receiver of remote write 1.0, with times in the past as well.

use std::net::SocketAddr;

use prost::Message;

use crate::http::{Response, send_raw};

/// The path of requests to Prometheus and VictoriaMetrics.
pub(crate) const PATH: &str = "/api/v1/write";

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

/// Writes series in one request.
pub(crate) fn write(address: SocketAddr, path: &str, series: &[SentSeries]) -> Response {
    let body = snap::raw::Encoder::new().compress_vec(&encode(series)).unwrap();
    let headers = "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
                   X-Prometheus-Remote-Write-Version: 0.1.0\r\n";
    post(address, path, headers, &body)
}

/// Returns a `WriteRequest` with these series.
fn encode(series: &[SentSeries]) -> Vec<u8> {
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
    WriteRequest { timeseries: timeseries.collect() }.encode_to_vec()
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

#[test]
fn write_request_has_the_bytes_of_the_specification() {
    let labels = [
        ("__name__", "batch_job_last_success_timestamp_seconds"),
        ("job", "nightly"),
        ("region", "eu"),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let encoded = encode(&[SentSeries { labels, samples: vec![(1_700_000_000_123, 1.7e9)] }]);
    let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "0a660a340a085f5f6e616d655f5f122862617463685f6a6f625f6c6173745f737563636573735f74696d65\
         7374616d705f7365636f6e64730a0e0a036a6f6212076e696768746c790a0c0a06726567696f6e12026575\
         12100900000040fc54d94110fbd095ffbc31"
    );
}
