//! The synchronisation primitives of the stripes. `loom.rs` replaces this module by loom's primitives.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};
pub(super) use std::thread_local;

// Reading takes one load. `OnceLock` also loads its state.
pub(in crate::metrics) use once_cell::race::OnceBox;

/// Declares a static variable that all threads share.
macro_rules! shared {
    ($(#[$doc:meta])* static $name:ident: $of_type:ty = $value:expr;) => {
        $(#[$doc])*
        pub(super) static $name: $of_type = $value;
    };
}
pub(super) use shared;
