//! Compresses bodies with gzip.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::error::Error;

#[expect(clippy::unnecessary_wraps, reason = "the signature of `gzip_disabled.rs`")]
pub(super) fn check() -> Result<(), Error> {
    Ok(())
}

/// Compresses fast: metrics are so repetitive that a higher level gains little. `None` if it fails.
pub(super) fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}
