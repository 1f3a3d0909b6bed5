//! Expands annotated `impl` blocks: every method is expanded as if it had the attribute.
//!
//! An argument of a method's own attribute overrides the same argument of the block. `skip` excludes the
//! method.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};

use crate::arguments::Arguments;
use crate::attribute::Attribute;
use crate::errors::Errors;
use crate::function::{Function, ImplContext, keyword, summary};
use crate::tokens::{
    AngleBrackets, AttributeStyle, as_group, attribute_tokens, attributes_len, flatten,
    flatten_items, is_punct, is_word, regroup,
};

pub(crate) fn is_impl(item: &[TokenTree]) -> bool {
    has_keyword(item, "impl")
}

/// Returns the block with every method expanded. `before` are the tokens of the block, and `item` is the block as the user
/// wrote it. If there are errors, returns all of them and the block without the attributes of its methods, which would report
/// the same errors again.
pub(crate) fn expand<A: Attribute>(
    arguments: TokenStream,
    mut before: Vec<TokenTree>,
    item: TokenStream,
) -> TokenStream {
    let mut errors = Errors::default();
    let block_arguments = Arguments::read(arguments, &mut errors);
    let mut unchecked = block_arguments.clone();
    A::parse(&mut unchecked);
    unchecked.finish(A::PLACEMENT.attribute, &mut errors);

    let Some(TokenTree::Group(items)) = before.pop() else { return errors.with_item(item) };
    let context = impl_context(&before);
    let mut unchanged = TokenStream::new();
    let mut expanded = TokenStream::new();
    for item in split_items(items.stream()) {
        let (own_arguments, item) = take_attribute::<A>(item);
        unchanged.extend(item.iter().cloned());
        if !has_keyword(&item, "fn") {
            expanded.extend(item);
            continue;
        }
        let own_arguments = own_arguments.map(|own| Arguments::read(own, &mut errors));
        let method = Method { own_arguments, item };
        expanded.extend(method.expand::<A>(&block_arguments, &context, &mut errors));
    }
    let with_items = |tokens| {
        let items = regroup(&items, tokens);
        quote!(#(#before)* #items)
    };
    if errors.is_empty() { with_items(expanded) } else { errors.with_item(with_items(unchanged)) }
}

/// A method and the arguments of its own attribute.
struct Method {
    own_arguments: Option<Arguments>,
    item: Vec<TokenTree>,
}

impl Method {
    fn expand<A: Attribute>(
        self,
        block_arguments: &Arguments,
        context: &ImplContext,
        errors: &mut Errors,
    ) -> TokenStream {
        let has_own = |name| self.own_arguments.as_ref().is_some_and(|own| own.has(name));
        if has_own("skip") {
            return self.item.into_iter().collect();
        }
        let is_name_overridden = has_own("name");
        let mut arguments = match self.own_arguments {
            Some(own) => own.with_inherited(block_arguments),
            None => block_arguments.clone(),
        };
        let attribute = A::parse(&mut arguments);
        arguments.finish(A::PLACEMENT.attribute, errors);
        match Function::parse(self.item, &A::PLACEMENT) {
            Ok(mut function) => {
                function.impl_context = Some(ImplContext { is_name_overridden, ..context.clone() });
                attribute.check(&function, errors);
                if errors.is_empty() {
                    return attribute.expand(&function);
                }
            }
            Err(error) => errors.add(error),
        }
        TokenStream::new()
    }
}

/// Splits the block into items. An item ends at a semicolon or at braces. The braces of a constant, a type or a generic
/// argument do not end it.
fn split_items(items: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut found = Vec::new();
    let mut item: Vec<TokenTree> = Vec::new();
    let mut angles = AngleBrackets::default();
    for token in items {
        for token in flatten_items(token.into()) {
            let is_outside = angles.step(&token);
            let ends_with_braces = as_group(Some(&token), Delimiter::Brace).is_some();
            let is_end = is_punct(Some(&token), ';')
                || (ends_with_braces && is_outside && !is_constant(&item));
            item.push(token);
            if is_end {
                angles = AngleBrackets::default();
                found.push(std::mem::take(&mut item));
            }
        }
    }
    if !item.is_empty() {
        found.push(item);
    }
    found
}

/// Returns true if the item is a constant or a type, whose tokens may contain braces before the end.
fn is_constant(item: &[TokenTree]) -> bool {
    has_keyword(item, "const") || has_keyword(item, "type")
}

/// Returns true if the item is of the kind that `word` introduces.
fn has_keyword(item: &[TokenTree], word: &str) -> bool {
    let item = &item[attributes_len(item, AttributeStyle::Outer)..];
    keyword(item).is_some_and(|position| is_word(item.get(position), word))
}

/// Removes this attribute from the item and returns its arguments.
fn take_attribute<A: Attribute>(item: Vec<TokenTree>) -> (Option<TokenStream>, Vec<TokenTree>) {
    let end = attributes_len(&item, AttributeStyle::Outer);
    let position = (0..end)
        .step_by(2)
        .find(|&position| attribute_tokens(item.get(position + 1)).is_some_and(is_named::<A>));
    let Some(position) = position else { return (None, item) };
    let mut item = item;
    let attribute: Vec<TokenTree> = item.drain(position..position + 2).collect();
    let arguments = attribute_tokens(attribute.get(1)).and_then(|attribute| {
        as_group(attribute.last(), Delimiter::Parenthesis).map(Group::stream)
    });
    (Some(arguments.unwrap_or_default()), item)
}

/// Returns true if the last segment of the attribute's path is the name of this attribute.
fn is_named<A: Attribute>(attribute: Vec<TokenTree>) -> bool {
    let path = attribute
        .into_iter()
        .take_while(|token| matches!(token, TokenTree::Ident(_)) || is_punct(Some(token), ':'));
    is_word(path.last().as_ref(), A::PLACEMENT.attribute)
}

/// Reads the tokens before the items of the block. The name of the type is the last segment of its path.
fn impl_context(before: &[TokenTree]) -> ImplContext {
    let start = attributes_len(before, AttributeStyle::Outer);
    let (attributes, head) = before.split_at(start);
    let mut angles = AngleBrackets::default();
    let mut outside = flatten(head.iter().cloned());
    outside.retain(|token| angles.step(token));
    // Without angle brackets, the rest is `impl Type where ..` or `impl Trait for Type where ..`.
    let end = outside.iter().position(|token| is_word(Some(token), "where"));
    outside.truncate(end.unwrap_or(outside.len()));
    let start = outside
        .iter()
        .rposition(|token| is_word(Some(token), "for") || is_word(Some(token), "impl"));
    let path = &outside[start.map_or(0, |start| start + 1)..];
    let name = path.iter().rev().find(|token| matches!(token, TokenTree::Ident(_)));
    let type_name = match name {
        Some(name) => name.to_string().trim_start_matches("r#").to_owned(),
        None => path.iter().map(|token| token.to_token_stream().to_string()).collect(),
    };
    ImplContext { type_name, summary: summary(attributes), is_name_overridden: false }
}
