//! What cells are made of. Tests compile the same cells a second time, of parts that try all schedules.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};
pub(super) use std::thread_local;

/// A box that is made once and read with one load.
pub(super) use once_cell::race::OnceBox;

/// A variable of all threads.
macro_rules! shared {
    ($(#[$doc:meta])* static $name:ident: $of_type:ty = $value:expr;) => {
        $(#[$doc])*
        pub(super) static $name: $of_type = $value;
    };
}
pub(super) use shared;
