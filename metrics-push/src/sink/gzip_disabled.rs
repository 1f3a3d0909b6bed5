//! Replaces `gzip.rs` in builds without the feature `gzip`: `check` returns an error.

use crate::error::Error;

pub(super) fn check() -> Result<(), Error> {
    Err(Error::config("gzip is not supported by this build")
        .remedy("enable the feature \"gzip\" of metrics-push, or turn compression off"))
}

pub(super) fn compress(_bytes: &[u8]) -> Option<Vec<u8>> {
    debug_assert!(false, "`check` fails, so no encoding selects gzip");
    None
}
