//! The way from the tokens of an attribute and its item to the expansion. The fuzz target of the attributes includes this file.

use proc_macro2::TokenStream;

use crate::arguments::Arguments;
use crate::attribute::Attribute;
use crate::errors::Errors;
use crate::function::Function;
use crate::impl_block;

/// Expands an attribute on a function or an `impl` block.
pub(crate) fn expand_function_or_impl<A: Attribute>(
    arguments: TokenStream,
    item: TokenStream,
) -> TokenStream {
    if impl_block::is_impl(&item) {
        impl_block::expand::<A>(arguments, item)
    } else {
        expand_function::<A>(arguments, item)
    }
}

/// Expands an attribute on a function. If there are errors, returns all of them and the unchanged item.
pub(crate) fn expand_function<A: Attribute>(
    arguments: TokenStream,
    item: TokenStream,
) -> TokenStream {
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
