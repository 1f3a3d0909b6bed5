//! Public functions about undelivered requests and circuit breakers, for schedulers and the command-line tool.

mod breakers;
mod recover;
mod replay;
mod spooled;

pub use breakers::{CircuitBreaker, circuit_breakers};
pub use recover::{Recovery, recover};
pub use spooled::{SpooledRequest, spooled_requests};
