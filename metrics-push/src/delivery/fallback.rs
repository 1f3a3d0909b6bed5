//! Detects that a sink refused the program's own metrics, and removes the empty group that the refused push can leave.
//!
//! [`Delivery`](super::Delivery) then sends the outcome without these metrics.

use std::time::Duration;

use crate::error::Error;
use crate::labels::GroupingKey;
use crate::log;
use crate::sink::Sink;

/// Returns true if the sink understood the request and refused its metrics.
pub(super) fn is_about_metrics(error: &Error) -> bool {
    matches!(error.status(), Some(400 | 413 | 422)) && error.is_rejected()
}

/// Removes the empty group that a refused first push leaves behind: it can make the gateway refuse pushes to other
/// groups.
pub(super) async fn remove_empty_group(sink: &Sink, key: &GroupingKey, timeout: Duration) {
    match sink.remove_empty_group(key, timeout).await {
        Ok(true) => {
            log::debug(format_args!("removed the empty group that the refused push left: {key}"));
        }
        Ok(false) => {}
        Err(error) => log::debug(format_args!(
            "{error:?}; the refused push may have left an empty group: {key}"
        )),
    }
}
