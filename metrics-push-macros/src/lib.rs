//! The procedural macros of `metrics-push`. Use them through that crate: their documentation, with examples
//! that run, is at the re-exports `metrics_push::{push_job, counted, timed}`.
//!
//! Each attribute has one file (`push_job`, `counted`, `timed`) that parses its arguments, checks them and
//! expands the function. If there are errors, the macro emits all of them and the unchanged item.

mod arguments;
mod attribute;
mod counted;
#[cfg(feature = "schedule")]
mod cron;
#[cfg(not(feature = "schedule"))]
#[path = "cron_disabled.rs"]
mod cron;
mod duration;
mod errors;
mod expand;
mod expansion;
mod expression;
mod function;
mod future_tail;
mod impl_block;
mod judge;
mod metric;
mod parameters;
mod push_job;
mod return_type;
mod runtime_crate;
#[cfg(test)]
mod snapshots;
mod timed;
mod timing;
mod tokens;
mod validate;

use crate::expansion::{expand_function, expand_function_or_impl};

#[allow(missing_docs, reason = "documented at its re-export")]
#[proc_macro_attribute]
pub fn push_job(
    arguments: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand_function::<push_job::Args>(arguments.into(), item.into()).into()
}

#[allow(missing_docs, reason = "documented at its re-export")]
#[proc_macro_attribute]
pub fn counted(
    arguments: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand_function_or_impl::<counted::Args>(arguments.into(), item.into()).into()
}

#[allow(missing_docs, reason = "documented at its re-export")]
#[proc_macro_attribute]
pub fn timed(
    arguments: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand_function_or_impl::<timed::Args>(arguments.into(), item.into()).into()
}
