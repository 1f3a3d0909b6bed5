//! Writes to files within the limit on their size (`RLIMIT_FSIZE`).
//!
//! A write beyond the limit raises SIGXFSZ, which by default ends the process. The threads of this library block all
//! signals, so only writes on other threads need this.

use std::io::{self, Write};

/// Writes all bytes, or none if the file would exceed the limit.
#[cfg(unix)]
pub(crate) fn write_within_limit(
    mut file: impl Write + std::os::fd::AsFd,
    bytes: &[u8],
) -> io::Result<()> {
    if !is_within_limit(&file, bytes.len() as u64) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    file.write_all(bytes)
}

#[cfg(unix)]
fn is_within_limit(file: impl std::os::fd::AsFd, length: u64) -> bool {
    use rustix::fs::{FileType, fstat, tell};
    use rustix::process::{Resource, getrlimit};

    let Some(limit) = getrlimit(Resource::Fsize).current else { return true };
    // The limit does not apply to pipes and terminals.
    let Ok(found) = fstat(&file) else { return true };
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return true;
    }
    let size = u64::try_from(found.st_size).unwrap_or_default();
    size.max(tell(&file).unwrap_or_default()).saturating_add(length) <= limit
}

/// Other platforms have no such limit.
#[cfg(not(unix))]
pub(crate) fn write_within_limit(mut file: impl Write, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)
}
