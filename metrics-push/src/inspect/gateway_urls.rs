//! The URLs of the configured gateways.

use crate::pipeline::Pipeline;

/// Returns the URLs of the configured gateways, without credentials, in the order of the configuration; none if pushing is
/// disabled. The URLs of a dry run are marked.
///
/// ```
/// for url in metrics_push::gateway_urls() {
///     println!("{url}");
/// }
/// ```
#[must_use]
pub fn gateway_urls() -> Vec<String> {
    Pipeline::current().urls()
}
