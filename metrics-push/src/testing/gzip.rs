//! Compressed bodies.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use super::http::{MAX_BODY, Response};

/// What was compressed. The real gateway reads a broken body as far as it can; this one refuses it.
pub(super) fn unpack(bytes: &[u8]) -> Result<Vec<u8>, Response> {
    let mut unpacked = Vec::new();
    let read = MultiGzDecoder::new(bytes).take(MAX_BODY as u64 + 1).read_to_end(&mut unpacked);
    match read {
        Ok(length) if length <= MAX_BODY => Ok(unpacked),
        Ok(_) => Err(Response::error(413, "Request Entity Too Large")),
        Err(_) if bytes.is_empty() => Err(Response::error(400, "EOF")),
        Err(_) => Err(Response::error(400, "unexpected EOF")),
    }
}
