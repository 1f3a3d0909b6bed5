//! Functions for raw tokens. They find the end of an item or a type, and create spans.
//!
//! Types and expressions are not parsed. The compiler receives them unchanged, even if they are incomplete, and
//! `syn` is compiled without its feature `full`.

use proc_macro2::{Delimiter, Group, Ident, Spacing, Span, TokenStream, TokenTree};
use quote::quote_spanned;
use syn::Lit;
use syn::spanned::Spanned as _;

/// The span of generated tokens. User code cannot refer to a local with this span.
pub(crate) fn generated() -> Span {
    Span::mixed_site()
}

/// Returns `&(expression)` with the location of `expression`, so that type errors point at it.
pub(crate) fn borrowed(expression: &TokenStream) -> TokenStream {
    let span = generated().located_at(expression.span());
    quote_spanned!(span=> &(#expression))
}

/// Returns the literal if `value` is a single literal.
pub(crate) fn as_literal(value: &TokenStream) -> Option<Lit> {
    syn::parse2(flatten(value.clone()).into_iter().collect()).ok()
}

/// Returns true if `token` is this punctuation character.
pub(crate) fn is_punct(token: Option<&TokenTree>, character: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}

/// Returns true if `token` is this word.
pub(crate) fn is_word(token: Option<&TokenTree>, word: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if ident == word)
}

/// Returns true if the word is the name of a primitive type.
pub(crate) fn is_primitive(word: &Ident) -> bool {
    const PRIMITIVE_TYPES: [&str; 17] = [
        "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "str", "u8",
        "u16", "u32", "u64", "u128", "usize",
    ];
    // Each comparison of an `Ident` with a text would allocate.
    PRIMITIVE_TYPES.contains(&word.to_string().as_str())
}

/// Returns true if `token` is this character and is joined to the next one, like the first `:` of `::`.
pub(crate) fn is_joint(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct)
        if punct.as_char() == character && punct.spacing() == Spacing::Joint)
}

/// Returns the group if `token` is a group with this delimiter.
pub(crate) fn as_group(token: Option<&TokenTree>, delimiter: Delimiter) -> Option<&Group> {
    match token {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group),
        _ => None,
    }
}

/// Replaces the content of a group and retains its delimiter and span.
pub(crate) fn regroup(original: &Group, tokens: TokenStream) -> Group {
    let mut group = Group::new(original.delimiter(), tokens);
    group.set_span(original.span());
    group
}

/// Returns a block for use as the last expression of another block. The empty statement prevents lints about
/// unnecessary braces.
pub(crate) fn empty_statement_first(block: &Group) -> Group {
    let tokens = block.stream();
    regroup(block, quote_spanned!(generated()=> ; #tokens))
}

/// Removes the invisible groups that `macro_rules!` puts around bodies, blocks and items.
///
/// The groups around types and expressions stay, because they determine precedence.
pub(crate) fn flatten_items(tokens: TokenStream) -> Vec<TokenTree> {
    let mut flat = Vec::new();
    for token in tokens {
        match &token {
            TokenTree::Group(group)
                if group.delimiter() == Delimiter::None
                    && ends_item(group.stream().into_iter().last().as_ref()) =>
            {
                flat.extend(flatten_items(group.stream()));
            }
            _ => flat.push(token),
        }
    }
    flat
}

fn ends_item(last: Option<&TokenTree>) -> bool {
    match last {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::None => {
            ends_item(group.stream().into_iter().last().as_ref())
        }
        last => as_group(last, Delimiter::Brace).is_some() || is_punct(last, ';'),
    }
}

/// Removes every invisible group. The result is not emitted, because it may have another precedence.
pub(crate) fn flatten(tokens: impl IntoIterator<Item = TokenTree>) -> Vec<TokenTree> {
    let mut flat = Vec::new();
    for token in tokens {
        match &token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
                flat.extend(flatten(group.stream()));
            }
            _ => flat.push(token),
        }
    }
    flat
}

/// Returns true if the type contains a reference or a lifetime.
pub(crate) fn contains_borrow(type_tokens: &[TokenTree]) -> bool {
    type_tokens.iter().any(|token| match token {
        TokenTree::Group(group) => contains_borrow(&group.stream().into_iter().collect::<Vec<_>>()),
        token => is_punct(Some(token), '&') || is_punct(Some(token), '\''),
    })
}

/// Whether an attribute is `#[..]` or `#![..]`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttributeStyle {
    Outer,
    Inner,
}

/// Returns the number of tokens in the attributes of this style at the start of `tokens`.
pub(crate) fn attributes_len(tokens: &[TokenTree], style: AttributeStyle) -> usize {
    let length = match style {
        AttributeStyle::Outer => 2,
        AttributeStyle::Inner => 3,
    };
    let mut end = 0;
    while is_punct(tokens.get(end), '#')
        && (style == AttributeStyle::Outer || is_punct(tokens.get(end + 1), '!'))
        && as_group(tokens.get(end + length - 1), Delimiter::Bracket).is_some()
    {
        end += length;
    }
    end
}

/// Returns the tokens in the brackets of an attribute. `macro_rules!` puts an attribute that it has matched into an invisible
/// group.
pub(crate) fn attribute_tokens(brackets: Option<&TokenTree>) -> Option<Vec<TokenTree>> {
    as_group(brackets, Delimiter::Bracket).map(|brackets| flatten(brackets.stream()))
}

/// Tracks the nesting of angle brackets, which do not form token groups.
#[derive(Default)]
pub(crate) struct AngleBrackets {
    depth: usize,
    in_arrow: bool,
}

impl AngleBrackets {
    /// Processes the next token. Returns true if the token is outside all angle brackets.
    pub(crate) fn step(&mut self, token: &TokenTree) -> bool {
        let after_dash =
            std::mem::replace(&mut self.in_arrow, is_joint(token, '-') || is_joint(token, '='));
        if is_punct(Some(token), '<') {
            self.depth += 1;
            return false;
        }
        if is_punct(Some(token), '>') && !after_dash && self.depth > 0 {
            self.depth -= 1;
            return false;
        }
        self.depth == 0
    }

    /// Returns true if `token` closes a bracket that was opened before tracking started.
    pub(crate) fn is_closed_by(&self, token: &TokenTree) -> bool {
        self.depth == 0 && !self.in_arrow && is_punct(Some(token), '>')
    }

    pub(crate) fn is_outside(&self) -> bool {
        self.depth == 0
    }
}

/// Splits types, parameters or bounds at their commas.
pub(crate) fn split_at_commas(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut parts = vec![Vec::new()];
    let mut angles = AngleBrackets::default();
    for token in tokens {
        if angles.step(&token) && is_punct(Some(&token), ',') {
            parts.push(Vec::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(token);
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Returns true if `value` is a path without generic arguments.
pub(crate) fn is_path(value: &TokenStream) -> bool {
    let tokens = flatten(value.clone());
    let mut rest = &tokens[..];
    if is_path_separator(rest) {
        rest = &rest[2..];
    }
    while let [TokenTree::Ident(_), after @ ..] = rest {
        match after {
            [] => return true,
            _ if is_path_separator(after) => rest = &after[2..],
            _ => return false,
        }
    }
    false
}

/// Returns true if the tokens start with `::`.
pub(crate) fn is_path_separator(tokens: &[TokenTree]) -> bool {
    tokens.first().is_some_and(|token| is_joint(token, ':')) && is_punct(tokens.get(1), ':')
}

/// Returns the first token if it is a word.
pub(crate) fn first_word(value: &TokenStream) -> Option<Ident> {
    match flatten(value.clone()).into_iter().next() {
        Some(TokenTree::Ident(word)) => Some(word),
        _ => None,
    }
}
