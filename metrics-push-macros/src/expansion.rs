//! The way from the tokens of an attribute and its item to the expansion. The fuzz target of the attributes includes this file.

use proc_macro2::{TokenStream, TokenTree};

use crate::arguments::Arguments;
use crate::attribute::Attribute;
use crate::errors::Errors;
use crate::function::Function;
use crate::impl_block;
use crate::tokens::flatten_items;

/// Expands an attribute on a function or an `impl` block.
pub(crate) fn expand_function_or_impl<A: Attribute>(
    arguments: TokenStream,
    item: TokenStream,
) -> TokenStream {
    let tokens = flatten_items(item.clone());
    if impl_block::is_impl(&tokens) {
        impl_block::expand::<A>(arguments, tokens, item)
    } else {
        expand_tokens::<A>(arguments, tokens, item)
    }
}

/// Expands an attribute on a function. If there are errors, returns all of them and the unchanged item.
pub(crate) fn expand_function<A: Attribute>(
    arguments: TokenStream,
    item: TokenStream,
) -> TokenStream {
    expand_tokens::<A>(arguments, flatten_items(item.clone()), item)
}

/// Expands an attribute on a function with these tokens. `item` is the function as the user wrote it.
fn expand_tokens<A: Attribute>(
    arguments: TokenStream,
    tokens: Vec<TokenTree>,
    item: TokenStream,
) -> TokenStream {
    let mut errors = Errors::default();
    let mut arguments = Arguments::read(arguments, &mut errors);
    let attribute = A::parse(&mut arguments);
    arguments.finish(A::PLACEMENT.attribute, &mut errors);
    match Function::parse(tokens, &A::PLACEMENT) {
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
