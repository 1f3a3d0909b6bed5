//! What the attributes' expansions call, re-exported hidden as `__private`.

mod counted;
mod labels;
mod site;
mod timed;

pub use counted::{CountedCall, CountedSite, PreparedCount};
pub use site::Place;
pub use timed::{PreparedTime, TimedCall, TimedSite};
