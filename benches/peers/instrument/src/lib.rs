//! `#[instrument]` of `tracing`, the most widely used function attribute: `compile_cost` compares ours with it.

pub use tracing;
pub use tracing_attributes::instrument;
