//! Gzip: bodies made smaller, for gateways that are far away.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::error::Error;

#[expect(clippy::unnecessary_wraps, reason = "the form of its counterpart without gzip")]
pub(super) fn check() -> Result<(), Error> {
    Ok(())
}

/// Fast, not small: metrics are so repetitive that the rest gains little. None, if it fails, which writing to memory
/// should not.
pub(super) fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}
