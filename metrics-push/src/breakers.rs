//! Breakers: which of its gateways this process is leaving alone.

use crate::config::Deployment;
use crate::delivery::{BreakerState, Route};

/// The breaker of one gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Breaker {
    /// The gateway's URL, without credentials.
    pub gateway: String,
    /// Whether deliveries to it pass.
    pub state: BreakerState,
}

/// The breakers of the gateways this process is configured for, in the order of the configuration.
///
/// For long-lived processes that export their own health. A gateway is told as well: `batch_job_push_breaker_open` says
/// what the push that brought it had to pass.
///
/// ```
/// for breaker in metrics_push::breakers() {
///     println!("{}: {}", breaker.gateway, breaker.state);
/// }
/// ```
#[must_use]
pub fn breakers() -> Vec<Breaker> {
    let deployment = Deployment::current();
    let report = |route: &Route| {
        let state = route.breaker()?.state();
        Some(Breaker { gateway: route.to_string(), state })
    };
    deployment.sinks.iter().filter_map(report).collect()
}
