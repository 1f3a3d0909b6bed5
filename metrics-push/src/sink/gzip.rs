//! Compresses bodies with gzip. `gzip_disabled.rs` replaces this file in builds without the feature `gzip`.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::error::Error;

#[expect(clippy::unnecessary_wraps, reason = "same signature as in gzip_disabled.rs")]
pub(super) fn check() -> Result<(), Error> {
    Ok(())
}

/// Compresses bytes; `None` if that fails. Uses the fastest level, because metrics are so repetitive that a higher level
/// gains little.
pub(super) fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}
