//! Decompresses request bodies.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use super::http::{HttpResponse, MAX_BODY};

/// Decompresses a body. A corrupt body is rejected; the real gateway reads it up to the error.
pub(super) fn decompress(bytes: &[u8]) -> Result<Vec<u8>, HttpResponse> {
    let mut decompressed = Vec::new();
    let read = MultiGzDecoder::new(bytes).take(MAX_BODY as u64 + 1).read_to_end(&mut decompressed);
    match read {
        Ok(length) if length <= MAX_BODY => Ok(decompressed),
        Ok(_) => Err(HttpResponse::error(413, "Request Entity Too Large")),
        Err(_) if bytes.is_empty() => Err(HttpResponse::error(400, "EOF")),
        Err(_) => Err(HttpResponse::error(400, "unexpected EOF")),
    }
}
