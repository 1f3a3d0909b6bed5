//! What a process can find out about its own deliveries.

mod breakers;
mod recover;
mod spooled;

pub use breakers::{CircuitBreaker, circuit_breakers};
pub use recover::{Recovery, recover};
pub use spooled::{SpooledRequest, spooled_requests};
