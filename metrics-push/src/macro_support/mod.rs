//! What the attributes' expansions call, re-exported hidden as `__private`.
//!
//! Expansions stay small and know nothing; everything they need is one call away from here.

mod call;
mod counted;
mod judge;
mod labels;
mod lookup;
mod site;
mod start;
mod timed;
mod values;

pub use call::{
    Armed, Ended, Guard, Judged, Measure, Measured, Prepare, armed, call, call_async, call_boxed,
    call_forever, call_future, guard, never,
};
pub use counted::{CountedCall, CountedSite};
pub use judge::{ByVariant, Judge, Returned, error_if, judge, ok_if, unjudged};
pub use site::{Place, Site, metric_name};
pub use start::{PreparedRun, binary_name, host_name, prepare, start, supervised};
pub use timed::{PreparedTime, TimedCall, TimedSite, keep_to_the_system_clock};
pub use values::{Label, Shown, Text, Value, label};

pub use crate::job::Verdict;
