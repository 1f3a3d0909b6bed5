//! What the attributes' expansions call. Hidden: nobody else should, and it may change with any version.
//!
//! Expansions stay small and know nothing; everything they need is one call away from here.

mod call;
mod judge;
mod start;

pub use call::{
    Entered, Measure, Measured, Prepare, call, call_async, call_boxed, call_forever, call_future,
};
pub use judge::{ByVariant, Judge, Returned, error_if, judge, ok_if, unjudged};
pub use start::{PreparedRun, binary_name, host_name, prepare, start};
