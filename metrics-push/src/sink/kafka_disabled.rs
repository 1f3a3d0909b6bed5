//! Replaces `kafka/` in builds without the feature `kafka`: a URL for it is an error.

use std::sync::Arc;

use super::interface::Sink;
use super::target::Target;
use crate::error::Error;

/// # Errors
/// `is_config`, always.
pub(super) fn open(target: &Target) -> Result<Arc<dyn Sink>, Error> {
    Err(Error::config("Kafka is not supported by this build")
        .at("url", format_args!("{:?}", target.url))
        .remedy("enable the feature \"kafka\" of metrics-push"))
}
