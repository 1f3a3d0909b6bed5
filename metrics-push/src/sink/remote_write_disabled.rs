//! Replaces `remote_write/` in builds without the feature `remote-write`: a URL for it is an error.

use std::sync::Arc;

use super::interface::Sink;
use super::target::Target;
use crate::error::Error;

/// # Errors
/// `is_config`, always.
pub(super) fn open(target: &Target) -> Result<Arc<dyn Sink>, Error> {
    Err(Error::config("remote write is not supported by this build")
        .at("url", format_args!("{:?}", target.url))
        .remedy("enable the feature \"remote-write\" of metrics-push"))
}
