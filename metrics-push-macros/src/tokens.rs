//! Walking raw tokens: where a type, an expression or an attribute ends.
//!
//! Types and expressions are never parsed, only skimmed: what the user wrote reaches rustc as it is,
//! half-typed or not, and `syn` can be built without its grammar.

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

/// Whether `token` is this punctuation character.
pub(crate) fn is_punct(token: Option<&TokenTree>, character: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}

/// Whether `token` is this word.
pub(crate) fn is_word(token: Option<&TokenTree>, word: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if ident == word)
}

/// Whether `token` is a punctuation character glued to the next one, as the first half of `::` is.
fn is_joint(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct)
        if punct.as_char() == character && punct.spacing() == Spacing::Joint)
}

/// The group behind `token`, if it has this delimiter.
pub(crate) fn as_group(token: Option<&TokenTree>, delimiter: Delimiter) -> Option<&Group> {
    match token {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group),
        _ => None,
    }
}

/// The same tokens in a group of the same kind and place.
pub(crate) fn regroup(original: &Group, tokens: TokenStream) -> Group {
    let mut group = Group::new(original.delimiter(), tokens);
    group.set_span(original.span());
    group
}

/// Opens the invisible groups that `macro_rules!` leaves around a body, a block or a whole item.
///
/// Those around types and expressions stay: they hold together what belongs together.
pub(crate) fn open_items(tokens: TokenStream) -> Vec<TokenTree> {
    let mut opened = Vec::new();
    for token in tokens {
        match &token {
            TokenTree::Group(group)
                if group.delimiter() == Delimiter::None
                    && ends_like_an_item(group.stream().into_iter().last().as_ref()) =>
            {
                opened.extend(open_items(group.stream()));
            }
            _ => opened.push(token),
        }
    }
    opened
}

fn ends_like_an_item(last: Option<&TokenTree>) -> bool {
    match last {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::None => {
            ends_like_an_item(group.stream().into_iter().last().as_ref())
        }
        last => as_group(last, Delimiter::Brace).is_some() || is_punct(last, ';'),
    }
}

/// Opens every invisible group, for looking at tokens that are not emitted.
pub(crate) fn open_all(tokens: TokenStream) -> Vec<TokenTree> {
    let mut opened = Vec::new();
    for token in tokens {
        match &token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
                opened.extend(open_all(group.stream()));
            }
            _ => opened.push(token),
        }
    }
    opened
}

/// How many of the first tokens are attributes, outer or inner as `inner` says.
pub(crate) fn attributes_len(tokens: &[TokenTree], style: Style) -> usize {
    let length = match style {
        Style::Outer => 2,
        Style::Inner => 3,
    };
    let mut end = 0;
    while is_punct(tokens.get(end), '#')
        && (style == Style::Outer || is_punct(tokens.get(end + 1), '!'))
        && as_group(tokens.get(end + length - 1), Delimiter::Bracket).is_some()
    {
        end += length;
    }
    end
}

/// `#[..]` or `#![..]`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Outer,
    Inner,
}

/// Follows the angle brackets of types, of which tokens know nothing.
#[derive(Default)]
pub(crate) struct Angles {
    depth: usize,
    in_arrow: bool,
}

impl Angles {
    /// Takes one token in; true if it lies outside all angle brackets.
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

    /// Whether `token` closes a bracket that was open before the first token.
    pub(crate) fn is_closed_by(&self, token: &TokenTree) -> bool {
        self.depth == 0 && !self.in_arrow && is_punct(Some(token), '>')
    }

    fn is_outside(&self) -> bool {
        self.depth == 0
    }
}

/// Splits types, parameters or bounds at their commas.
pub(crate) fn split_at_commas(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut parts = vec![Vec::new()];
    let mut angles = Angles::default();
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

/// The length of the expression that `tokens` begin with: up to a comma, or to the next `name =`.
///
/// Angle brackets count after `::`, at the start, and between the bars of a closure.
pub(crate) fn expression_len(tokens: &[TokenTree]) -> usize {
    let mut angles = Angles::default();
    let mut in_closure_head = false;
    for (position, token) in tokens.iter().enumerate() {
        let before = position.checked_sub(1).and_then(|before| tokens.get(before));
        let in_type = in_closure_head
            || !angles.is_outside()
            || before.is_none()
            || is_punct(before, ':')
            || !is_punct(Some(token), '<');
        let outside = if in_type { angles.step(token) } else { angles.is_outside() };
        if is_punct(Some(token), '|') && outside {
            let opens = before.is_none() || is_word(before, "move");
            in_closure_head = opens || (in_closure_head && is_punct(tokens.get(position + 1), '-'));
        } else if as_group(Some(token), Delimiter::Brace).is_some() {
            in_closure_head = false;
        } else if outside && !in_closure_head && ends_expression(position, tokens) {
            return position;
        }
    }
    tokens.len()
}

fn ends_expression(position: usize, tokens: &[TokenTree]) -> bool {
    let next = tokens.get(position + 1);
    let starts_argument = position > 0
        && matches!(tokens[position], TokenTree::Ident(_))
        && is_punct(next, '=')
        && !next.is_some_and(|next| is_joint(next, '='));
    is_punct(tokens.get(position), ',') || starts_argument
}
