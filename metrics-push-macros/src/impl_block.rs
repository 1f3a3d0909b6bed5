//! Whole `impl` blocks: each method as if it were annotated itself, with its type in the name.
//!
//! A method's own attribute wins over the block's, argument by argument; `skip` leaves the method out.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};

use crate::Attribute;
use crate::args::Given;
use crate::errors::Errors;
use crate::function::{Function, Owner, keyword, summary};
use crate::tokens::{
    Angles, Style, as_group, attributes_len, is_punct, is_word, open_all, open_items, regroup,
};

pub(crate) fn is_impl(item: &TokenStream) -> bool {
    let tokens = open_items(item.clone());
    let item = &tokens[attributes_len(&tokens, Style::Outer)..];
    keyword(item).is_some_and(|position| is_word(item.get(position), "impl"))
}

/// The block with every method expanded; or all mistakes, and the block without our attributes.
pub(crate) fn expand<A: Attribute>(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let block_arguments = Given::read(arguments, &mut errors);
    let mut unchecked = block_arguments.clone();
    A::parse(&mut unchecked);
    unchecked.finish::<A>(&mut errors);

    let mut before = open_items(item.clone());
    let Some(TokenTree::Group(items)) = before.pop() else { return errors.beside(item) };
    let owner = owner(&before);
    let mut plain = TokenStream::new();
    let mut expanded = TokenStream::new();
    for item in split_items(items.stream()) {
        let (own, item) = take_attribute::<A>(item);
        plain.extend(item.iter().cloned());
        if !is_function(&item) {
            expanded.extend(item);
            continue;
        }
        let own_arguments = own.map(|own| Given::read(own, &mut errors));
        let method = Method { own: own_arguments, item: item.into_iter().collect() };
        expanded.extend(method.expand::<A>(&block_arguments, &owner, &mut errors));
    }
    let with_items = |tokens| {
        let items = regroup(&items, tokens);
        quote!(#(#before)* #items)
    };
    if errors.is_empty() { with_items(expanded) } else { errors.beside(with_items(plain)) }
}

/// A method and the arguments of its own attribute.
struct Method {
    own: Option<Given>,
    item: TokenStream,
}

impl Method {
    fn expand<A: Attribute>(
        self,
        block: &Given,
        owner: &Owner,
        errors: &mut Errors,
    ) -> TokenStream {
        let is_overridden = self.own.as_ref().is_some_and(|own| own.has("name"));
        if self.own.as_ref().is_some_and(|own| own.has("skip")) {
            return self.item;
        }
        let mut given = match self.own {
            Some(own) => own.or(block),
            None => block.clone(),
        };
        let attribute = A::parse(&mut given);
        given.finish::<A>(errors);
        match Function::parse::<A>(self.item) {
            Ok(mut function) => {
                function.owner = Some(Owner { is_overridden, ..owner.clone() });
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

/// The items of the block: each ends with a semicolon, or with braces unless it is a constant.
fn split_items(items: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut found = Vec::new();
    let mut item: Vec<TokenTree> = Vec::new();
    for token in items {
        let opened = open_items(token.into());
        for token in opened {
            let ends_with_braces = as_group(Some(&token), Delimiter::Brace).is_some();
            let is_end = is_punct(Some(&token), ';') || (ends_with_braces && !is_constant(&item));
            item.push(token);
            if is_end {
                found.push(std::mem::take(&mut item));
            }
        }
    }
    if !item.is_empty() {
        found.push(item);
    }
    found
}

/// Whether the item is a constant or a type, which may have braces before its end.
fn is_constant(item: &[TokenTree]) -> bool {
    let item = &item[attributes_len(item, Style::Outer)..];
    keyword(item).is_some_and(|position| {
        is_word(item.get(position), "const") || is_word(item.get(position), "type")
    })
}

fn is_function(item: &[TokenTree]) -> bool {
    let item = &item[attributes_len(item, Style::Outer)..];
    keyword(item).is_some_and(|position| is_word(item.get(position), "fn"))
}

/// The item without this attribute, and the attribute's arguments.
fn take_attribute<A: Attribute>(item: Vec<TokenTree>) -> (Option<TokenStream>, Vec<TokenTree>) {
    let end = attributes_len(&item, Style::Outer);
    let position = (0..end).step_by(2).find(|&position| {
        as_group(item.get(position + 1), Delimiter::Bracket).is_some_and(is_named::<A>)
    });
    let Some(position) = position else { return (None, item) };
    let mut item = item;
    let attribute: Vec<TokenTree> = item.drain(position..position + 2).collect();
    let arguments = as_group(attribute.get(1), Delimiter::Bracket).and_then(|attribute| {
        let last = attribute.stream().into_iter().last();
        as_group(last.as_ref(), Delimiter::Parenthesis).map(Group::stream)
    });
    (Some(arguments.unwrap_or_default()), item)
}

/// Whether the path of the attribute ends in this attribute's name.
fn is_named<A: Attribute>(attribute: &Group) -> bool {
    let path = attribute
        .stream()
        .into_iter()
        .take_while(|token| matches!(token, TokenTree::Ident(_)) || is_punct(Some(token), ':'));
    is_word(path.last().as_ref(), A::NAME)
}

/// The type's name: the last one of its path, without generics.
fn owner(before: &[TokenTree]) -> Owner {
    let start = attributes_len(before, Style::Outer);
    let (attributes, head) = before.split_at(start);
    let flat = open_all(head.iter().cloned().collect());
    let mut angles = Angles::default();
    let mut outside: Vec<TokenTree> = Vec::new();
    for token in flat {
        if angles.step(&token) {
            outside.push(token);
        }
    }
    // `impl`, the generics' place, then `Trait for Type` or `Type`, then `where`.
    let end = outside.iter().position(|token| is_word(Some(token), "where"));
    outside.truncate(end.unwrap_or(outside.len()));
    let start = outside
        .iter()
        .rposition(|token| is_word(Some(token), "for") || is_word(Some(token), "impl"));
    let of_type = &outside[start.map_or(0, |start| start + 1)..];
    let name = of_type.iter().rev().find(|token| matches!(token, TokenTree::Ident(_)));
    let name = match name {
        Some(name) => name.to_string().trim_start_matches("r#").to_owned(),
        None => of_type.iter().map(|token| token.to_token_stream().to_string()).collect(),
    };
    Owner { name, summary: summary(attributes), is_overridden: false }
}
