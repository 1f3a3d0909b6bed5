//! What the attributes' expansions call. Hidden: nobody else should, and it may change with any version.
//!
//! Expansions stay small and know nothing; everything they need is one call away from here.

mod start;

pub use start::{PreparedRun, binary_name, host_name, prepare, start};
