//! `Function`: an annotated function, with the parts of its signature that expansions need and its body as
//! tokens.
//!
//! Attributes, visibility and signature are emitted as the user wrote them. They are never rebuilt, so no
//! part of them can be lost. The body is not parsed and may be incomplete.

use std::ops::Range;

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::Lit;
use syn::ext::IdentExt;

use crate::future_tail::FutureTail;
use crate::parameters::{Moved, Parameters, Returned};
use crate::return_type::{ReturnKind, ReturnType};
use crate::tokens::{
    AngleBrackets, AttributeStyle, as_group, as_literal, attribute_tokens, attributes_len,
    empty_statement_first, generated, is_punct, is_word, regroup,
};

/// The items that an attribute supports, for error messages.
pub(crate) struct Placement {
    /// The name of the attribute.
    pub(crate) attribute: &'static str,
    /// The items, for example "a function".
    pub(crate) items: &'static str,
}

/// A function with a body.
pub(crate) struct Function {
    /// The tokens before the parameters: attributes, visibility, qualifiers, name, generics.
    before: Vec<TokenTree>,
    parameters: Parameters,
    /// The tokens between the parameters and the body.
    after: Vec<TokenTree>,
    /// The position of the return type in `after`.
    return_type: Range<usize>,
    return_kind: ReturnKind,
    /// They are valid only at the start of the body.
    inner_attributes: TokenStream,
    /// The body without its inner attributes.
    block: Group,
    /// The number of tokens of the attributes at the start of `before`.
    attributes: usize,
    name: Ident,
    asyncness: Asyncness,
    /// Present if the attribute is on the `impl` block of this method.
    pub(crate) impl_context: Option<ImplContext>,
}

/// The annotated `impl` block of a method.
#[derive(Clone)]
pub(crate) struct ImplContext {
    /// The name of the type, without generics.
    pub(crate) type_name: String,
    /// The first paragraph of the documentation of the block.
    pub(crate) summary: Option<String>,
    /// True if the attribute of the method, not of the block, names the metric.
    pub(crate) is_name_overridden: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asyncness {
    Sync,
    Async,
}

impl Function {
    /// Splits the tokens of a function, which [`flatten_items`](crate::tokens::flatten_items) returns, into its parts.
    pub(crate) fn parse(tokens: Vec<TokenTree>, placement: &Placement) -> syn::Result<Self> {
        let attributes = attributes_len(&tokens, AttributeStyle::Outer);
        let keyword = keyword(&tokens[attributes..]);
        let start = match keyword {
            Some(position) if is_word(tokens.get(attributes + position), "fn") => {
                attributes + position
            }
            _ => return Err(unsupported_item(&tokens[attributes..], placement)),
        };
        let qualifiers = &tokens[attributes..start];
        if let Some(constness) = qualifiers.iter().find(|token| is_word(Some(token), "const")) {
            return Err(const_fn(constness, placement));
        }
        let Some(TokenTree::Ident(name)) = tokens.get(start + 1).cloned() else {
            return Err(unsupported_item(&tokens[start..], placement));
        };
        let Some(split) = parameters_position(&tokens, start + 2) else {
            return Err(unsupported_item(&tokens[start..], placement));
        };
        let is_async = qualifiers.iter().any(|token| is_word(Some(token), "async"));
        let asyncness = if is_async { Asyncness::Async } else { Asyncness::Sync };
        let mut before = tokens;
        let mut after = before.split_off(split + 1);
        match (before.pop(), after.pop()) {
            (Some(TokenTree::Group(parameters)), Some(TokenTree::Group(body)))
                if body.delimiter() == Delimiter::Brace =>
            {
                let (inner_attributes, block) = split_inner_attributes(body);
                let return_type = return_type_position(&after);
                Ok(Self {
                    before,
                    parameters: Parameters::new(parameters, is_async.then_some(&block)),
                    return_kind: ReturnKind::new(&after[return_type.clone()]),
                    return_type,
                    after,
                    inner_attributes,
                    block,
                    attributes,
                    name,
                    asyncness,
                    impl_context: None,
                })
            }
            _ => Err(missing_body(&name, placement)),
        }
    }

    /// Returns the name without the `r#` of a raw identifier.
    pub(crate) fn bare_name(&self) -> String {
        self.name.unraw().to_string()
    }

    /// Returns the value of the `function` label.
    pub(crate) fn label(&self) -> String {
        match &self.impl_context {
            Some(context) => format!("{}::{}", context.type_name, self.bare_name()),
            None => self.bare_name(),
        }
    }

    pub(crate) fn asyncness(&self) -> Asyncness {
        self.asyncness
    }

    /// Returns true for `fn main()`. A `main` with parameters is an ordinary function or method.
    pub(crate) fn is_main(&self) -> bool {
        self.name == "main" && self.parameters.is_empty()
    }

    /// Returns true if the function is `#[track_caller]`. A closure around the body would hide the caller.
    pub(crate) fn is_track_caller(&self) -> bool {
        self.before[..self.attributes].iter().any(|token| {
            as_group(Some(token), Delimiter::Bracket)
                .is_some_and(|group| group.stream().to_string() == "track_caller")
        })
    }

    /// Returns the first paragraph of the doc comment.
    pub(crate) fn summary(&self) -> Option<String> {
        summary(&self.before[..self.attributes])
    }

    pub(crate) fn return_type(&self) -> ReturnType<'_> {
        ReturnType::of_kind(&self.after[self.return_type.clone()], self.return_kind)
    }

    /// Returns the body for use as the last expression of another block.
    pub(crate) fn inner_block(&self) -> Group {
        empty_statement_first(&self.block)
    }

    /// Returns the future at the end of the body.
    pub(crate) fn future_tail(&self) -> Option<FutureTail> {
        FutureTail::find(&self.block)
    }

    /// Returns the function with `body` instead of the user's body.
    pub(crate) fn with_body(&self, body: &TokenStream) -> TokenStream {
        self.emit(&self.parameters, body)
    }

    /// Returns the function with `body`, which contains [`moved_block`](Self::moved_block).
    pub(crate) fn with_moved_parameters(&self, moved: Moved, body: &TokenStream) -> TokenStream {
        self.emit(&self.parameters.without_binding_modifiers(moved), body)
    }

    fn emit(&self, parameters: &impl ToTokens, body: &TokenStream) -> TokenStream {
        let inner = &self.inner_attributes;
        let body = regroup(&self.block, quote!(#inner #body));
        let (before, after) = (&self.before, &self.after);
        quote!(#(#before)* #parameters #(#after)* #body)
    }

    /// Returns the body as a block that owns the parameters. `start` precedes the body.
    ///
    /// The arm of the `match` drops the temporary values of the body's last expression before the parameters, as a
    /// function does.
    pub(crate) fn moved_block(&self, moved: Moved, start: &TokenStream) -> Group {
        let bindings = self.parameters.bindings(moved);
        let body = match bindings.is_empty() {
            true if start.is_empty() => return self.block.clone(),
            true => self.inner_block().to_token_stream(),
            false => {
                let inner = self.inner_block();
                quote_spanned!(generated()=> match () { () => #inner })
            }
        };
        regroup(&self.block, quote_spanned!(generated()=> #start #(#bindings)* #body))
    }

    /// Returns the parameters that a closure with the body must own.
    pub(crate) fn borrows(&self) -> Moved {
        let returned = match self.return_type().may_contain_borrow() {
            true => Returned::Borrowed,
            false => Returned::Owned,
        };
        Moved::Borrows(returned)
    }

    /// Returns `self` if it moves and the body uses it.
    pub(crate) fn moved_self(&self, moved: Moved) -> Option<Ident> {
        self.parameters.moved_self(moved).filter(|_| contains_self(self.block.stream()))
    }
}

/// Returns the position of the return type in the tokens after the parameters.
fn return_type_position(after: &[TokenTree]) -> Range<usize> {
    if !(is_punct(after.first(), '-') && is_punct(after.get(1), '>')) {
        return 0..0;
    }
    let mut angles = AngleBrackets::default();
    let mut tokens = after.iter().skip(2);
    let length = tokens.position(|token| angles.step(token) && is_word(Some(token), "where"));
    2..length.map_or(after.len(), |length| 2 + length)
}

/// Returns the position of `fn`, or of the token that identifies another kind of item.
pub(crate) fn keyword(tokens: &[TokenTree]) -> Option<usize> {
    tokens.iter().enumerate().position(|(position, token)| match token {
        TokenTree::Ident(word) => match word.to_string().as_str() {
            "pub" | "default" | "async" | "unsafe" | "safe" | "extern" | "crate" => false,
            "const" => !["fn", "async", "unsafe", "extern"]
                .iter()
                .any(|next| is_word(tokens.get(position + 1), next)),
            _ => true,
        },
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(_) => true,
        TokenTree::Literal(_) => false,
    })
}

/// Returns the position of the parameters: the first parentheses outside the generics.
fn parameters_position(tokens: &[TokenTree], start: usize) -> Option<usize> {
    let mut angles = AngleBrackets::default();
    let found = tokens.iter().skip(start).position(|token| {
        angles.step(token) && as_group(Some(token), Delimiter::Parenthesis).is_some()
    });
    found.map(|position| start + position)
}

/// Splits a body into its inner attributes and the rest.
fn split_inner_attributes(body: Group) -> (TokenStream, Group) {
    let mut attributes: Vec<TokenTree> = body.stream().into_iter().collect();
    let rest = attributes.split_off(attributes_len(&attributes, AttributeStyle::Inner));
    if attributes.is_empty() {
        return (TokenStream::new(), body);
    }
    let block = regroup(&body, rest.into_iter().collect());
    (attributes.into_iter().collect(), block)
}

fn contains_self(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word == "self",
        TokenTree::Group(group) => contains_self(group.stream()),
        _ => false,
    })
}

/// Returns the first paragraph of a doc comment as one line, or `None` if it is a code block.
pub(crate) fn summary(attributes: &[TokenTree]) -> Option<String> {
    let docs: Vec<String> = attributes.iter().filter_map(doc_text).collect();
    let lines = docs.iter().flat_map(|doc| doc.split('\n'));
    let lines = lines.map(|line| line.trim().trim_start_matches(['*', '#']).trim());
    let paragraph: Vec<&str> =
        lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()).collect();
    let is_prose = paragraph.first().is_some_and(|line| !line.starts_with("```"));
    is_prose.then(|| paragraph.join(" "))
}

/// Returns the text of `[doc = ".."]`. Macros such as `include_str!` are not evaluated.
fn doc_text(attribute: &TokenTree) -> Option<String> {
    let tokens = attribute_tokens(Some(attribute))?;
    let named = is_word(tokens.first(), "doc") && is_punct(tokens.get(1), '=');
    match as_literal(&tokens.into_iter().skip(2).collect()) {
        Some(Lit::Str(text)) if named => Some(text.value()),
        _ => None,
    }
}

fn unsupported_item(item: &[TokenTree], placement: &Placement) -> syn::Error {
    let Placement { attribute, items } = placement;
    let found = match keyword(item).and_then(|position| item.get(position)) {
        Some(TokenTree::Ident(word)) => format!("on `{word}`"),
        _ => "here".to_owned(),
    };
    let location: TokenStream = item.iter().take(1).cloned().collect();
    let message = format!("`#[{attribute}]` is not supported {found}; use it on {items}");
    syn::Error::new_spanned(location, message)
}

fn const_fn(constness: &TokenTree, placement: &Placement) -> syn::Error {
    let attribute = placement.attribute;
    let message = format!(
        "`#[{attribute}]` is not supported on a `const fn`, which can't record metrics; remove the attribute or the `const`"
    );
    syn::Error::new_spanned(constness, message)
}

fn missing_body(name: &Ident, placement: &Placement) -> syn::Error {
    let attribute = placement.attribute;
    let message = format!(
        "`#[{attribute}]` is not supported on a function without a body; use it on the implementations of `{name}`"
    );
    syn::Error::new_spanned(name, message)
}
