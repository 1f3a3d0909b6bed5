//! Expands an attribute outside of the compiler. The input is the name of the attribute, its arguments and the item,
//! separated by line feeds. A macro crate exports only macros, so this program includes its files.

#![no_main]
#![allow(dead_code, unreachable_pub, reason = "the macro crate uses the rest")]

#[path = "../../../metrics-push-macros/src/arguments.rs"]
mod arguments;
#[path = "../../../metrics-push-macros/src/attribute.rs"]
mod attribute;
#[path = "../../../metrics-push-macros/src/counted.rs"]
mod counted;
#[path = "../../../metrics-push-macros/src/duration.rs"]
mod duration;
#[path = "../../../metrics-push-macros/src/errors.rs"]
mod errors;
#[path = "../../../metrics-push-macros/src/expand.rs"]
mod expand;
#[path = "../../../metrics-push-macros/src/expansion.rs"]
mod expansion;
#[path = "../../../metrics-push-macros/src/expression.rs"]
mod expression;
#[path = "../../../metrics-push-macros/src/function.rs"]
mod function;
#[path = "../../../metrics-push-macros/src/future_tail.rs"]
mod future_tail;
#[path = "../../../metrics-push-macros/src/impl_block.rs"]
mod impl_block;
#[path = "../../../metrics-push-macros/src/judge.rs"]
mod judge;
#[path = "../../../metrics-push-macros/src/metric.rs"]
mod metric;
#[path = "../../../metrics-push-macros/src/parameters.rs"]
mod parameters;
#[path = "../../../metrics-push-macros/src/push_job.rs"]
mod push_job;
#[path = "../../../metrics-push-macros/src/return_type.rs"]
mod return_type;
#[path = "../../../metrics-push-macros/src/runtime_crate.rs"]
mod runtime_crate;
#[path = "../../../metrics-push-macros/src/timed.rs"]
mod timed;
#[path = "../../../metrics-push-macros/src/tokens.rs"]
mod tokens;
#[path = "../../../metrics-push-macros/src/validate.rs"]
mod validate;

use proc_macro2::TokenStream;

use crate::expansion::{expand_function, expand_function_or_impl};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut parts = text.splitn(3, '\n');
    let name = parts.next().unwrap_or_default();
    let mut tokens = || parts.next().unwrap_or_default().parse::<TokenStream>().ok();
    let (Some(arguments), Some(item)) = (tokens(), tokens()) else { return };
    match name {
        "push_job" => expand_function::<push_job::Args>(arguments, item),
        "counted" => expand_function_or_impl::<counted::Args>(arguments, item),
        _ => expand_function_or_impl::<timed::Args>(arguments, item),
    };
});
