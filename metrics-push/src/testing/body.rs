//! What a push's body says: it may be compressed, and is protobuf or text.

use super::http::{Request, Response};
use super::parse::{Body, parse};
use super::{gzip, protobuf};

/// Reads the body of a push, or answers why it can't be read.
pub(super) fn read(request: &Request) -> Result<Body, Response> {
    let unpacked;
    let bytes = if request.header("content-encoding") == Some("gzip") {
        unpacked = gzip::unpack(&request.body)?;
        &unpacked
    } else {
        // Any other word is not looked at.
        &request.body
    };
    let kind = request.header("content-type").unwrap_or_default();
    let body = if is_protobuf(kind) { protobuf::read(bytes) } else { parse(bytes) };
    body.map_err(|why| Response::error(400, &why))
}

/// Whether a media type is the one that is read as protobuf, with its two parameters; all others are text.
fn is_protobuf(kind: &str) -> bool {
    let mut parts = kind.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let parameters: Vec<_> = parts
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim_matches('"')))
        .collect();
    let has = |name: &str, value: &str| parameters.iter().any(|(n, v)| n == name && *v == value);
    media_type.eq_ignore_ascii_case("application/vnd.google.protobuf")
        && has("proto", "io.prometheus.client.MetricFamily")
        && has("encoding", "delimited")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_media_type_is_protobuf() {
        let exact = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
        for kind in [
            exact,
            "Application/vnd.google.protobuf; Proto=io.prometheus.client.MetricFamily; encoding=delimited",
            "application/vnd.google.protobuf;proto=\"io.prometheus.client.MetricFamily\" ;encoding=delimited;x=1",
        ] {
            assert!(is_protobuf(kind), "{kind}");
        }
        for kind in [
            "",
            "text/plain; version=0.0.4",
            "application/vnd.google.protobuf",
            &exact.replace("delimited", "text"),
            &exact.replace("MetricFamily", "metricfamily"),
        ] {
            assert!(!is_protobuf(kind), "{kind}");
        }
    }
}
