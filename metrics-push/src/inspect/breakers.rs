//! The circuit breakers of the configured gateways.

use crate::delivery::{BreakerState, Route};
use crate::pipeline::Pipeline;

/// The circuit breaker of one gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitBreaker {
    /// The gateway's URL, without credentials.
    pub gateway: String,
    /// Its state.
    pub state: BreakerState,
}

/// Returns the circuit breakers of the configured gateways and of all shards, in the order of the configuration.
///
/// For long-lived processes that export their own health. Before its first delivery, a process reports an outage that another
/// process has recorded in the state directory as an open circuit breaker. Each completion of a run also pushes the state as
/// `batch_job_push_breaker_open`.
///
/// ```
/// for breaker in metrics_push::circuit_breakers() {
///     println!("{}: {}", breaker.gateway, breaker.state);
/// }
/// ```
#[must_use]
pub fn circuit_breakers() -> Vec<CircuitBreaker> {
    let describe = |route: &Route| {
        Some(CircuitBreaker { gateway: route.to_string(), state: route.breaker_state()? })
    };
    Pipeline::current().all_routes().filter_map(describe).collect()
}
