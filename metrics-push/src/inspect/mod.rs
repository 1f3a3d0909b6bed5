//! Public functions about undelivered requests, unreported runs and circuit breakers, for schedulers and the command-line tool.

mod breakers;
mod recover;
mod relocate;
mod replay;
mod spooled;
mod unreported;

pub use breakers::{CircuitBreaker, circuit_breakers};
pub use recover::{Recovery, recover};
pub use relocate::move_undelivered;
pub use spooled::{SpooledRequest, spooled_requests};
pub use unreported::{UnreportedRun, unreported_runs};
