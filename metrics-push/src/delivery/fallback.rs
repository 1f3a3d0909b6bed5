//! Removes the empty group that a push can leave whose metrics a sink refused.

use std::time::Duration;

use crate::labels::GroupingKey;
use crate::log;
use crate::sink::Query;

/// Removes the empty group that a refused first push leaves behind: it can make the gateway refuse pushes to other
/// groups.
pub(super) async fn remove_empty_group(query: &dyn Query, key: &GroupingKey, timeout: Duration) {
    match query.remove_empty_group(key, timeout).await {
        Ok(true) => {
            log::debug(format_args!("removed the empty group that the refused push left: {key}"));
        }
        Ok(false) => {}
        Err(error) => log::debug(format_args!(
            "{error:?}; the refused push may have left an empty group: {key}"
        )),
    }
}
