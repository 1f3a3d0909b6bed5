//! The attribute that most functions have which have one: `compile_cost` checks functions with it, too.

pub use tracing;
pub use tracing_attributes::instrument;
