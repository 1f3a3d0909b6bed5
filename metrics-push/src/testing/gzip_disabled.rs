//! What `gzip.rs` is when its feature is off: no compressed body is read.

use super::http::Response;

pub(super) fn unpack(_bytes: &[u8]) -> Result<Vec<u8>, Response> {
    Err(Response::error(415, "the fake gateway reads no gzip without the feature \"gzip\""))
}
