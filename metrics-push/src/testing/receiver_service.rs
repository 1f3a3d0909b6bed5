//! The HTTP interface of a receiver of remote write, as in Prometheus.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::http::{HttpResponse, Request};
use super::sample_store::{Atomicity, Rules, SampleError, SampleStore, WriteResult};
use super::service::Service;
use super::snappy;
use super::write_request::{read_version_1, read_version_2};

/// The path of the only route.
pub(super) const PATH: &str = "/api/v1/write";

const MESSAGE_1: &str = "prometheus.WriteRequest";
const MESSAGE_2: &str = "io.prometheus.write.v2.Request";

/// The routes, with the series that they change.
pub(super) struct ReceiverService {
    pub(super) store: SampleStore,
    /// How far the clock of the receiver is behind that of this machine.
    pub(super) clock_behind: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProtocolVersion {
    One,
    Two,
}

impl Service for ReceiverService {
    fn handle(&mut self, request: &Request) -> HttpResponse {
        let now = SystemTime::now() - self.clock_behind;
        let path = request.path.split('?').next().unwrap_or_default();
        let response = match (path, request.method.as_str()) {
            (PATH, "POST") => self.write(request, unix_millis(now)).unwrap_or_else(|error| error),
            (PATH | "/", _) => HttpResponse::error(405, "Method Not Allowed"),
            _ => HttpResponse::error(404, "404 page not found"),
        };
        response.header("Date", httpdate::fmt_http_date(now))
    }
}

impl ReceiverService {
    /// Stores the samples of a request. The error is the response to an invalid request.
    fn write(&mut self, request: &Request, now: i64) -> Result<HttpResponse, HttpResponse> {
        let rules = self.store.rules();
        let version = match rules {
            // All media types and encodings are read like those of version 1.0.
            Rules::Prometheus2 => ProtocolVersion::One,
            Rules::Prometheus3 => protocol_version(request)?,
        };
        let bytes = snappy::decompress(&request.body)?;
        let series = match version {
            ProtocolVersion::One => read_version_1(&bytes),
            ProtocolVersion::Two => read_version_2(&bytes),
        };
        let series = series.map_err(|why| HttpResponse::error(400, &why))?;
        Ok(match version {
            ProtocolVersion::One => {
                respond(&self.store.write(&series, Atomicity::AllOrNothing, now), rules)
            }
            ProtocolVersion::Two => {
                let result = self.store.write(&series, Atomicity::Partial, now);
                respond(&result, rules)
                    .header("X-Prometheus-Remote-Write-Samples-Written", result.written.to_string())
                    .header("X-Prometheus-Remote-Write-Histograms-Written", "0")
                    .header("X-Prometheus-Remote-Write-Exemplars-Written", "0")
            }
        })
    }
}

fn respond(result: &WriteResult, rules: Rules) -> HttpResponse {
    let Some(error) = result.errors.first() else { return HttpResponse::new(204) };
    let status = match error {
        SampleError::TooOld | SampleError::InvalidLabels(_) if rules == Rules::Prometheus2 => 500,
        _ => 400,
    };
    let texts: Vec<_> = result.errors.iter().map(SampleError::text).collect();
    HttpResponse::error(status, &texts.join("\n"))
}

/// Returns the version that the headers of a request declare. The error is the response if they declare none.
fn protocol_version(request: &Request) -> Result<ProtocolVersion, HttpResponse> {
    let media_type = request.header("content-type").unwrap_or("application/x-protobuf");
    let mut parts = media_type.split(';').map(str::trim);
    let is_protobuf = parts.next() == Some("application/x-protobuf");
    let message = parts.find_map(|part| part.strip_prefix("proto=")).unwrap_or(MESSAGE_1);
    let is_snappy = matches!(request.header("content-encoding"), None | Some("snappy"));
    match message {
        _ if !is_protobuf || !is_snappy => {}
        MESSAGE_1 => return Ok(ProtocolVersion::One),
        MESSAGE_2 => return Ok(ProtocolVersion::Two),
        _ => {}
    }
    let text = format!("{media_type:?} is not supported, or its encoding is not snappy");
    Err(HttpResponse::error(415, &text))
}

fn unix_millis(time: SystemTime) -> i64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
