//! Public functions about the configured gateways, undelivered requests, unreported runs and circuit breakers, for
//! schedulers and the command.

mod breakers;
mod gateway_urls;
mod histories;
mod recover;
mod relocate;
mod replay;
mod spooled;
mod unreported;

pub use breakers::{CircuitBreaker, circuit_breakers};
pub use gateway_urls::gateway_urls;
pub use histories::{histories, history};
pub use recover::{Recovery, recover};
pub use relocate::move_undelivered;
pub use spooled::{SpooledRequest, spooled_requests};
pub use unreported::{UnreportedRun, unreported_runs};
