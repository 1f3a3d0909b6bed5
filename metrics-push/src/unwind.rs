//! Calls code of the program that must not panic into its caller.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `action` and returns its result; `None` if it panicked. The panic hook has then reported the panic.
pub(crate) fn catch_panic<R>(action: impl FnOnce() -> R) -> Option<R> {
    // A panic leaves no value of this library in an invalid state, and the program's own values are its concern, as after
    // any other caught panic.
    let result = catch_unwind(AssertUnwindSafe(action));
    // Dropping the payload could panic again.
    result.map_err(std::mem::forget).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct PanicsOnDrop;

    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("while the payload is dropped");
        }
    }

    #[test]
    fn panic_is_caught_with_any_payload() {
        assert_eq!(catch_panic(|| 7), Some(7));
        assert_eq!(catch_panic(|| -> u8 { panic!("expected") }), None);
        assert_eq!(catch_panic(|| -> u8 { std::panic::panic_any(PanicsOnDrop) }), None);
    }
}
