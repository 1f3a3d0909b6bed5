//! Decompresses snappy blocks.

use super::http::{HttpResponse, MAX_BODY};

/// Decompresses a body. The error is the response to an invalid body.
pub(super) fn decompress(bytes: &[u8]) -> Result<Vec<u8>, HttpResponse> {
    let corrupt = || HttpResponse::error(400, "snappy: corrupt input");
    match snap::raw::decompress_len(bytes) {
        Ok(length) if length <= MAX_BODY => {
            snap::raw::Decoder::new().decompress_vec(bytes).map_err(|_| corrupt())
        }
        Ok(_) => Err(HttpResponse::error(413, "Request Entity Too Large")),
        Err(_) => Err(corrupt()),
    }
}
