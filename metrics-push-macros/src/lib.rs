//! The attributes of `metrics-push`: three entry points and the one adapter between them and rustc.
//!
//! Every attribute is read (`args`), checked (all mistakes, not the first) and expanded (a pure
//! function). Whatever is wrong, the item is still emitted, so that one mistake is one message.
//! The documentation of the attributes lives where users meet them: at the re-exports in `metrics-push`.

mod args;
mod counted;
mod errors;
mod function;
mod impl_block;
mod names;
mod output;
mod parameters;
mod push_job;
mod site;
#[cfg(test)]
mod snapshots;
mod timed;
mod tokens;
mod wrap;

use proc_macro2::TokenStream;

use crate::args::Given;
use crate::errors::Errors;
use crate::function::Function;

#[allow(missing_docs, reason = "documented at its re-export")]
#[proc_macro_attribute]
pub fn push_job(
    arguments: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    on_function::<push_job::Args>(arguments.into(), item.into()).into()
}

#[allow(missing_docs, reason = "documented at its re-export")]
#[proc_macro_attribute]
pub fn counted(
    arguments: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    on_function_or_impl::<counted::Args>(arguments.into(), item.into()).into()
}

#[allow(missing_docs, reason = "documented at its re-export")]
#[proc_macro_attribute]
pub fn timed(
    arguments: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    on_function_or_impl::<timed::Args>(arguments.into(), item.into()).into()
}

/// One attribute: its arguments, what can be wrong with them, and what becomes of the function.
trait Attribute: Sized {
    /// The attribute as users write it.
    const NAME: &'static str;

    /// What the attribute may stand on, for the message when it stands elsewhere.
    const PLACE: &'static str;

    /// Takes the arguments that are there; `given` notes what has the wrong form.
    fn parse(given: &mut Given) -> Self;

    /// Reports everything that is wrong with the arguments on this function.
    fn check(&self, function: &Function, errors: &mut Errors);

    /// The function with the attribute's work in it. Pure, and only called without errors.
    fn expand(&self, function: &Function) -> TokenStream;
}

fn on_function_or_impl<A: Attribute>(arguments: TokenStream, item: TokenStream) -> TokenStream {
    if impl_block::is_impl(&item) {
        impl_block::expand::<A>(arguments, item)
    } else {
        on_function::<A>(arguments, item)
    }
}

fn on_function<A: Attribute>(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let mut given = Given::read(arguments, &mut errors);
    let attribute = A::parse(&mut given);
    given.finish::<A>(&mut errors);
    match Function::parse::<A>(item.clone()) {
        Ok(function) => {
            attribute.check(&function, &mut errors);
            if errors.is_empty() {
                return attribute.expand(&function);
            }
        }
        Err(error) => errors.add(error),
    }
    errors.beside(item)
}
