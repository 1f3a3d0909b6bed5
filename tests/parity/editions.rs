// Valid in every edition, without unsafe code and without a prelude.
#![forbid(unsafe_code)]
#![no_implicit_prelude]
#![deny(missing_docs, warnings)]
//! Functions of several shapes.

extern crate metrics_push;

use ::std::ops::Fn;

/// A value.
pub struct Store;

//@
impl Store {
    /// A method.
    pub fn load(&self, text: &str) -> ::std::result::Result<usize, ::std::string::String> {
        ::std::result::Result::Ok(text.len())
    }
}

/// A function.
//@
pub fn load(text: &str) -> ::std::option::Option<usize> {
    ::std::option::Option::Some(text.len())
}

/// A function that returns a box.
//@
pub fn boxed(first: bool) -> ::std::boxed::Box<dyn Fn() -> u32> {
    if first {
        return ::std::boxed::Box::new(|| 1);
    }
    ::std::boxed::Box::new(|| 2)
}
