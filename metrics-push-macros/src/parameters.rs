//! `Binding`: a variable that a parameter binds, and its move into an `async` block.
//!
//! Patterns are searched for names and not parsed. If a variable is not recognised, the block captures it
//! only if the body uses it.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};

use crate::tokens::{
    AttributeStyle, as_group, attributes_len, generated, is_punct, is_word, regroup,
    split_at_commas,
};

/// Returns the variables that the parameters bind, in order and without `self`.
pub(crate) fn bindings(parameters: &Group) -> Vec<Binding> {
    let parameters = split_at_commas(parameters.stream());
    parameters.iter().flat_map(|parameter| Parameter::new(parameter).bindings()).collect()
}

/// Returns true if the first parameter is `self`, `mut self` or `self` with a type, and not a reference such as
/// `&self`.
pub(crate) fn takes_self_by_value(parameters: &Group) -> bool {
    let parameters = split_at_commas(parameters.stream());
    let Some(first) = parameters.first() else { return false };
    let receiver = &first[attributes_len(first, AttributeStyle::Outer)..];
    is_word(receiver.first(), "self")
        || (is_word(receiver.first(), "mut") && is_word(receiver.get(1), "self"))
}

/// A variable that moves into an `async` block even if the body does not use it.
///
/// The parameters of an `async fn` behave in the same way, so the order in which they are dropped does not
/// change.
pub(crate) struct Binding {
    attributes: TokenStream,
    mutability: Option<TokenTree>,
    name: Ident,
}

impl ToTokens for Binding {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { attributes, mutability, name } = self;
        tokens.extend(quote_spanned! {generated()=>
            #attributes #[allow(unknown_lints, clippy::shadow_same)] let #mutability #name = #name;
        });
    }
}

/// The parts of one parameter. `rest` starts with the colon before the type.
struct Parameter<'a> {
    attributes: &'a [TokenTree],
    pattern: &'a [TokenTree],
    rest: &'a [TokenTree],
}

impl<'a> Parameter<'a> {
    fn new(tokens: &'a [TokenTree]) -> Self {
        let start = attributes_len(tokens, AttributeStyle::Outer);
        let (attributes, tokens) = tokens.split_at(start);
        let colon = (0..tokens.len()).find(|&position| {
            is_punct(tokens.get(position), ':')
                && !is_punct(tokens.get(position + 1), ':')
                && !(position > 0 && is_punct(tokens.get(position - 1), ':'))
        });
        let (pattern, rest) = tokens.split_at(colon.unwrap_or(0));
        Self { attributes, pattern, rest }
    }

    fn bindings(&self) -> Vec<Binding> {
        let mut bindings = Vec::new();
        collect_bindings(self.pattern, self.attributes, &mut bindings);
        bindings
    }
}

fn collect_bindings(pattern: &[TokenTree], attributes: &[TokenTree], found: &mut Vec<Binding>) {
    for (position, token) in pattern.iter().enumerate() {
        match token {
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                collect_bindings(&inner, attributes, found);
            }
            TokenTree::Ident(name) if is_binding(pattern, position, name) => {
                let mutability = position
                    .checked_sub(1)
                    .filter(|&before| is_binding_mut(pattern, before))
                    .map(|before| pattern[before].clone());
                let attributes = attributes.iter().cloned().collect();
                found.push(Binding { attributes, mutability, name: name.clone() });
            }
            _ => {}
        }
    }
}

/// Returns true if the word binds a variable. Returns false for a capitalised name, which may be a constant.
fn is_binding(pattern: &[TokenTree], position: usize, name: &Ident) -> bool {
    let text = name.to_string();
    let is_keyword =
        matches!(text.as_str(), "_" | "mut" | "ref" | "self" | "true" | "false" | "const");
    let next = pattern.get(position + 1);
    let is_part_of_path_or_type = is_punct(next, ':')
        || is_punct(next, '!')
        || as_group(next, Delimiter::Parenthesis).is_some()
        || as_group(next, Delimiter::Brace).is_some()
        || is_punct(next, '<')
        || (position > 0
            && is_punct(pattern.get(position - 1), ':')
            && is_path_end(pattern, position));
    !is_keyword && !is_part_of_path_or_type && !text.starts_with(char::is_uppercase)
}

fn is_path_end(pattern: &[TokenTree], position: usize) -> bool {
    position > 1 && is_punct(pattern.get(position - 2), ':')
}

/// Returns true if the `mut` belongs to a binding and not to `&mut`, `ref mut` or `mut self`.
fn is_binding_mut(pattern: &[TokenTree], position: usize) -> bool {
    let before = position.checked_sub(1).and_then(|before| pattern.get(before));
    is_word(pattern.get(position), "mut")
        && !is_punct(before, '&')
        && !is_word(before, "ref")
        && !is_word(pattern.get(position + 1), "self")
}

/// Returns the parameters without `mut` and attributes, which are part of the [`Binding`]s. `cfg` attributes
/// remain.
pub(crate) fn without_binding_modifiers(parameters: &Group) -> Group {
    let mut tokens = TokenStream::new();
    for parameter in split_at_commas(parameters.stream()) {
        let parts = Parameter::new(&parameter);
        let attributes = match parts.bindings().is_empty() {
            true => parts.attributes.iter().cloned().collect(),
            false => only_cfg(parts.attributes),
        };
        let pattern = without_mut(parts.pattern);
        let rest = parts.rest;
        tokens.extend(quote!(#attributes #pattern #(#rest)*,));
    }
    regroup(parameters, tokens)
}

fn only_cfg(attributes: &[TokenTree]) -> TokenStream {
    let pairs = attributes.chunks(2).filter(|pair| {
        as_group(pair.get(1), Delimiter::Bracket).is_some_and(|group| {
            let first = group.stream().into_iter().next();
            is_word(first.as_ref(), "cfg") || is_word(first.as_ref(), "cfg_attr")
        })
    });
    pairs.flatten().cloned().collect()
}

fn without_mut(pattern: &[TokenTree]) -> TokenStream {
    let positions = (0..pattern.len()).filter(|&position| !is_binding_mut(pattern, position));
    positions
        .map(|position| match &pattern[position] {
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                TokenTree::Group(regroup(group, without_mut(&inner)))
            }
            token => token.clone(),
        })
        .collect()
}
