//! Replaces `gzip.rs` without the feature `gzip`: rejects compressed bodies.

use super::http::HttpResponse;

pub(super) fn decompress(_bytes: &[u8]) -> Result<(Vec<u8>, Option<&'static str>), HttpResponse> {
    let why =
        "gzip is not supported by this fake gateway; enable the feature `gzip` of metrics-push";
    Err(HttpResponse::error(415, why))
}
