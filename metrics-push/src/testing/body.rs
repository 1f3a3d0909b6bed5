//! Decodes the body of a push: decompresses it, and parses it as protobuf or text.

use super::http::{HttpResponse, Request};
use super::lexer::END_OF_INPUT;
use super::parse::{PushBody, parse};
use super::{gzip, protobuf};

/// Decodes the body of a push. The error is the response to an invalid body.
pub(super) fn decode(request: &Request) -> Result<PushBody, HttpResponse> {
    let (decompressed, read_error) = if request.header("content-encoding") == Some("gzip") {
        let (bytes, error) = gzip::decompress(&request.body)?;
        (Some(bytes), error)
    } else {
        // The real gateway ignores other encodings.
        (None, None)
    };
    let bytes = decompressed.as_deref().unwrap_or(&request.body);
    let kind = request.header("content-type").unwrap_or_default();
    let body = if is_protobuf(kind) {
        // The error ends the sequence of messages in place of its end.
        protobuf::read(bytes)
            .and_then(|body| read_error.map_or(Ok(body), |error| Err(error.into())))
    } else {
        // The text parser ignores an error between two lines, and reports one inside a line.
        parse(bytes).map_err(|message| match read_error {
            Some(error) if message.ends_with(END_OF_INPUT) => error.into(),
            _ => message,
        })
    };
    body.map_err(|why| HttpResponse::error(400, &why))
}

/// Returns true for the protobuf media type with both of its parameters. All other media types, and invalid ones, are
/// parsed as text.
fn is_protobuf(kind: &str) -> bool {
    let kind = kind.trim_end_matches([' ', '\t', ';']);
    let mut parts = kind.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let Some(parameters) = parts.map(parameter).collect::<Option<Vec<_>>>() else { return false };
    let is_unique = |name: &str| parameters.iter().filter(|(other, _)| other == name).count() == 1;
    let has = |name: &str, value: &str| parameters.iter().any(|(n, v)| n == name && *v == value);
    media_type.eq_ignore_ascii_case("application/vnd.google.protobuf")
        && parameters.iter().all(|(name, _)| is_unique(name))
        && has("proto", "io.prometheus.client.MetricFamily")
        && has("encoding", "delimited")
}

/// Returns the name and the value of a parameter of a media type; `None` if one of them is missing or invalid.
fn parameter(part: &str) -> Option<(String, &str)> {
    let is_token = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b))
    };
    let (name, value) = part.split_once('=')?;
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let is_valid = is_token(name) && (quoted.is_some() || is_token(value));
    is_valid.then(|| (name.to_ascii_lowercase(), quoted.unwrap_or(value)))
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
            &format!("{exact};"),
            "application/vnd.google.protobuf;proto=\"io.prometheus.client.MetricFamily\" ;encoding=delimited;x=1",
        ] {
            assert!(is_protobuf(kind), "{kind}");
        }
        for kind in [
            "",
            "text/plain; version=0.0.4",
            "application/vnd.google.protobuf",
            &exact.replace("delimited", "text"),
            &format!("{exact}; x"),
            &format!("{exact}; x="),
            &format!("{exact}; =x"),
            &format!("{exact}; encoding=delimited"),
            &format!("{exact}; a b=c"),
            &exact.replace("MetricFamily", "metricfamily"),
        ] {
            assert!(!is_protobuf(kind), "{kind}");
        }
    }
}
