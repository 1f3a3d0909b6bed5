//! Qualifiers, other attributes, visibility and linkage.

#![allow(unsafe_code, clippy::missing_safety_doc, reason = "the cases include unsafe functions")]

use std::panic::Location;

use metrics_push::{counted, timed};

use super::{block_on, calls, timings};

#[test]
fn unsafe_and_extern_functions_compile() {
    #[counted]
    unsafe fn read(p: *const u8) -> u8 {
        // SAFETY: the caller passes a valid pointer.
        unsafe { *p }
    }
    #[counted]
    async unsafe fn read_later(p: &u8) -> u8 {
        let p: *const u8 = p;
        // SAFETY: the caller passes a valid pointer.
        unsafe { *p }
    }
    #[counted]
    extern "C" fn foreign(n: u32) -> u32 {
        n
    }
    #[counted]
    #[unsafe(no_mangle)]
    pub(crate) extern "C-unwind" fn metrics_push_attribute_test(n: u32) -> u32 {
        n
    }
    // SAFETY: the pointers are valid.
    unsafe {
        assert_eq!(read(&1) + block_on(read_later(&2)), 3);
    }
    assert_eq!(foreign(1) + metrics_push_attribute_test(1), 2);
    assert_eq!(calls!("metrics_push_attribute_test"), "success 1");
}

#[test]
fn unsafe_traits_and_methods_compile() {
    unsafe trait Trusted {
        unsafe fn first(&self) -> u8;
    }
    // SAFETY: the trait has no safety requirements.
    unsafe impl Trusted for [u8; 2] {
        #[counted]
        unsafe fn first(&self) -> u8 {
            // SAFETY: the array is not empty.
            unsafe { *self.as_ptr() }
        }
    }
    // SAFETY: the method has no safety requirements.
    let first = unsafe { [1, 2].first() };
    assert_eq!(first, 1);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn target_feature_applies_to_the_body() {
    #[target_feature(enable = "sse2")]
    fn with_feature() -> u32 {
        1
    }
    #[counted]
    #[timed]
    #[target_feature(enable = "sse2")]
    fn caller() -> u32 {
        with_feature()
    }
    // SAFETY: every x86-64 processor has SSE2.
    assert_eq!(unsafe { caller() }, 1);
}

#[test]
fn track_caller_location_is_unchanged() {
    #[counted]
    #[timed]
    #[track_caller]
    fn located() -> &'static Location<'static> {
        Location::caller()
    }
    assert_eq!(located().line(), line!());
    assert_eq!(calls!("located"), "success 1");
}

#[test]
fn builtin_attributes_remain_on_the_function() {
    #[inline]
    #[cold]
    #[must_use]
    #[deprecated = "part of the case"]
    #[doc(hidden)]
    #[rustfmt::skip]
    #[counted]
    fn adorned() -> u32 {
        1
    }
    #[expect(deprecated, reason = "part of the case")]
    let one = adorned();
    assert_eq!(one, 1);
}

#[counted]
#[test]
fn counted_above_the_test_attribute_compiles() {}

#[test]
#[timed]
fn timed_below_the_test_attribute_compiles() {}

#[counted]
#[tokio::test]
async fn counted_above_an_async_test_attribute_compiles() {
    tokio::task::yield_now().await;
}

#[tokio::test]
#[counted]
async fn counted_below_an_async_test_attribute_compiles() -> Result<(), String> {
    tokio::task::yield_now().await;
    Ok(())
}

#[cfg_attr(all(), counted)]
#[cfg_attr(any(), missing)]
#[cfg(not(any()))]
fn conditional() {}

#[test]
fn cfg_attr_applies_the_attribute() {
    conditional();
    assert_eq!(calls!("conditional"), "success 1");
}

#[test]
fn inner_attributes_remain_in_the_body() {
    #[counted]
    fn inner() -> u32 {
        #![allow(unused_variables)]
        //! Inner documentation.
        let unused = 1;
        2
    }
    #[counted]
    #[timed]
    async fn inner_later() -> u32 {
        #![allow(unused_variables)]
        //! Inner documentation.
        let unused = 1;
        2
    }
    assert_eq!(inner() + block_on(inner_later()), 4);
    assert_eq!(timings!("inner_later"), "calls 1");
}

mod outer {
    pub(super) mod inner {
        #[metrics_push::counted]
        pub(in crate::attributes) fn restricted() -> &'static str {
            module_path!()
        }
    }
}

#[test]
fn visibility_and_module_are_unchanged() {
    let module = outer::inner::restricted();
    assert_eq!(super::recorded("function_calls_total", module, "restricted"), "success 1");
}
