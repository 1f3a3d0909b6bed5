//! `FutureTail`: the future at the end of a body, `async { .. }` or `Box::pin(async { .. })`.
//!
//! Other attributes look for this expression to find out that a function is asynchronous, so expansions retain it.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::quote;

use crate::tokens::{as_group, is_punct, is_word, regroup};

pub(crate) struct FutureTail {
    /// The statements before the expression.
    pub(crate) head: TokenStream,
    /// `Box::pin` and its parentheses, if the future is boxed.
    pin: Option<(TokenStream, Group)>,
    /// `async` or `async move`.
    keywords: TokenStream,
    pub(crate) block: Group,
}

impl FutureTail {
    /// Returns the future at the end of `body`, if the body ends with one.
    pub(crate) fn find(body: &Group) -> Option<Self> {
        let body: Vec<TokenTree> = body.stream().into_iter().collect();
        if let Some((head, keywords, block)) = split_async_block(&body) {
            return Self::new(head, None, keywords, block);
        }
        let (TokenTree::Group(parentheses), path) = body.split_last()? else { return None };
        let arguments: Vec<TokenTree> = parentheses.stream().into_iter().collect();
        let (before, keywords, block) = split_async_block(&arguments)?;
        let is_path =
            |token: &TokenTree| matches!(token, TokenTree::Ident(_)) || is_punct(Some(token), ':');
        let length = path.iter().rev().take_while(|token| is_path(token)).count();
        let (head, path) = path.split_at(path.len() - length);
        let is_box_pin = matches!(path, [.., first, _, _, last]
            if is_word(Some(first), "Box") && is_word(Some(last), "pin"));
        if !is_box_pin || !before.is_empty() {
            return None;
        }
        let pin = (path.iter().cloned().collect(), parentheses.clone());
        Self::new(head, Some(pin), keywords, block)
    }

    fn new(
        head: &[TokenTree],
        pin: Option<(TokenStream, Group)>,
        keywords: &[TokenTree],
        block: &Group,
    ) -> Option<Self> {
        let last = head.last();
        let is_complete =
            last.is_none() || is_punct(last, ';') || as_group(last, Delimiter::Brace).is_some();
        is_complete.then(|| Self {
            head: head.iter().cloned().collect(),
            pin,
            keywords: keywords.iter().cloned().collect(),
            block: block.clone(),
        })
    }

    /// Returns true if the statements before the expression may return another future.
    pub(crate) fn may_return_early(&self) -> bool {
        may_return(self.head.clone())
    }

    pub(crate) fn is_boxed(&self) -> bool {
        self.pin.is_some()
    }

    /// Returns the `async` block with other content.
    pub(crate) fn async_block(&self, content: TokenStream) -> TokenStream {
        let (keywords, block) = (&self.keywords, regroup(&self.block, content));
        quote!(#keywords #block)
    }

    /// Returns the expression with other content of its `async` block.
    pub(crate) fn expression(&self, content: TokenStream) -> TokenStream {
        self.pinned(self.async_block(content))
    }

    /// Returns the expression with other content of its `async` block, which owns what the content uses.
    pub(crate) fn moving_expression(&self, content: TokenStream) -> TokenStream {
        let block = regroup(&self.block, content);
        self.pinned(quote!(async move #block))
    }

    fn pinned(&self, future: TokenStream) -> TokenStream {
        match &self.pin {
            Some((path, parentheses)) => {
                let arguments = regroup(parentheses, future);
                quote!(#path #arguments)
            }
            None => future,
        }
    }
}

/// Splits the tokens of an expression that ends with an `async` block into what precedes it, its keywords and its
/// braces.
fn split_async_block(tokens: &[TokenTree]) -> Option<(&[TokenTree], &[TokenTree], &Group)> {
    let (last, before) = tokens.split_last()?;
    let block = as_group(Some(last), Delimiter::Brace)?;
    let keywords = match is_word(before.last(), "move") {
        true => 2,
        false => 1,
    };
    let start = before.len().checked_sub(keywords)?;
    is_word(before.get(start), "async").then(|| (&before[..start], &before[start..], block))
}

/// Returns true if the tokens contain a `return` or a macro call, which may contain one.
fn may_return(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => may_return(group.stream()),
        token => is_word(Some(&token), "return") || is_punct(Some(&token), '!'),
    })
}
