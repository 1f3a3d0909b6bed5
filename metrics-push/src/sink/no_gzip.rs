//! What `gzip.rs` is when its feature is off: nobody can ask for it.

use crate::error::Error;

pub(super) fn check() -> Result<(), Error> {
    Err(Error::config("this build has no gzip")
        .remedy("enable the feature \"gzip\" of metrics-push, or send bodies as they are"))
}

pub(super) fn compress(_bytes: &[u8]) -> Option<Vec<u8>> {
    debug_assert!(false, "nothing is compressed without `check`");
    None
}
