//! The functions and types that the attributes' expansions use, re-exported as the hidden module `__private`.
//!
//! Expansions contain as little code as possible: everything that does not depend on the annotated item is here.

mod call;
mod counted;
mod ended;
mod handles;
mod judge;
mod label_sets;
mod label_value;
mod measure;
mod run;
mod short_texts;
mod site;
mod timed;

pub use call::{
    Judged, Measured, call, call_async, call_boxed, call_forever, call_future, capture, never,
};
pub use counted::{CountedCall, CountedSite, SharedCountedSite};
pub use ended::{ByVariant, ByVariantWithoutText, Conclusive, Ended, Returned, WithoutText};
pub use judge::{error_if, ok_if, skip_if, unjudged};
pub use label_value::{AsText, LabelValue, ViaDisplay, ViaText, label};
pub use measure::{Armed, Guard, Measure, Prepare, armed, enter, guard};
pub use run::{
    PreparedRun, binary_name, heartbeat_interval, host_name, prepare, start, supervised,
};
pub use site::{SiteMetric, metric_name};
pub use timed::{
    PreparedTime, SharedTimedSite, SiteTiming, TimedCall, TimedSite, disable_tsc_clock,
};

pub use crate::job::Verdict;
