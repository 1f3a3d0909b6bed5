//! Decodes the body of a push: decompresses it, and parses it as protobuf or text.

use super::http::{HttpResponse, Request};
use super::parse::{PushBody, parse};
use super::{gzip, protobuf};

/// Decodes the body of a push. The error is the response to an invalid body.
pub(super) fn decode(request: &Request) -> Result<PushBody, HttpResponse> {
    let decompressed;
    let bytes = if request.header("content-encoding") == Some("gzip") {
        decompressed = gzip::decompress(&request.body)?;
        &decompressed
    } else {
        // The real gateway ignores other encodings.
        &request.body
    };
    let kind = request.header("content-type").unwrap_or_default();
    let body = if is_protobuf(kind) { protobuf::read(bytes) } else { parse(bytes) };
    body.map_err(|why| HttpResponse::error(400, &why))
}

/// Returns true for the protobuf media type with both of its parameters. All other media types are parsed as text.
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
    fn protobuf_needs_exact_media_type() {
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
