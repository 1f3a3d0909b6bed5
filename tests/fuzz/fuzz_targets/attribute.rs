//! Expands an attribute outside of the compiler. The input is the name of the attribute, its arguments and the item, separated
//! by line feeds. A macro crate exports nothing else, so this program contains its files.

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
#[path = "../../../metrics-push-macros/src/function.rs"]
mod function;
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

use crate::arguments::Arguments;
use crate::attribute::Attribute;
use crate::errors::Errors;
use crate::function::Function;

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

fn expand_function_or_impl<A: Attribute>(arguments: TokenStream, item: TokenStream) -> TokenStream {
    if impl_block::is_impl(&item) {
        impl_block::expand::<A>(arguments, item)
    } else {
        expand_function::<A>(arguments, item)
    }
}

/// As in the macro crate.
fn expand_function<A: Attribute>(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let mut arguments = Arguments::read(arguments, &mut errors);
    let attribute = A::parse(&mut arguments);
    arguments.finish(A::PLACEMENT.attribute, &mut errors);
    match Function::parse(item.clone(), &A::PLACEMENT) {
        Ok(function) => {
            attribute.check(&function, &mut errors);
            if errors.is_empty() {
                return attribute.expand(&function);
            }
        }
        Err(error) => errors.add(error),
    }
    errors.with_item(item)
}
