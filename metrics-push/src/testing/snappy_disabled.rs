//! Replaces `snappy.rs` in builds without the crate `snap`, such as that of the documentation.

use super::http::HttpResponse;

pub(super) fn decompress(_bytes: &[u8]) -> Result<Vec<u8>, HttpResponse> {
    Err(HttpResponse::error(415, "snappy is not supported by this build"))
}
