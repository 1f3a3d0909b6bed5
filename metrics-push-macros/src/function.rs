//! The annotated function: its signature skimmed for what expansions need, its body left as tokens.
//!
//! What is emitted is what the user wrote. Attributes, visibility and signature are never rebuilt, so
//! nothing about them can be lost; a half-typed body is no concern of ours.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::Lit;
use syn::ext::IdentExt;

use crate::Attribute;
use crate::args::{as_literal, generated};
use crate::output::Output;
use crate::parameters::{self, Binding};
use crate::tokens::{
    Angles, Style, as_group, attributes_len, is_punct, is_word, open_items, regroup,
};

/// A function with a body.
pub(crate) struct Function {
    /// Everything before the parameters: attributes, visibility, qualifiers, name, generics.
    before: Vec<TokenTree>,
    parameters: Group,
    /// Everything between the parameters and the body.
    after: Vec<TokenTree>,
    body: Group,
    attributes: usize,
    name: Ident,
    asyncness: Asyncness,
    /// The type it belongs to, when its whole `impl` block is annotated.
    pub(crate) owner: Option<Owner>,
}

/// What a method takes from its annotated `impl` block.
#[derive(Clone)]
pub(crate) struct Owner {
    /// The type, without its generics.
    pub(crate) name: String,
    /// The first paragraph of the block's documentation.
    pub(crate) summary: Option<String>,
    /// The method has a metric name of its own.
    pub(crate) is_overridden: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asyncness {
    Sync,
    Async,
}

impl Function {
    pub(crate) fn parse<A: Attribute>(item: TokenStream) -> syn::Result<Self> {
        let tokens = open_items(item);
        let attributes = attributes_len(&tokens, Style::Outer);
        let keyword = keyword(&tokens[attributes..]);
        let start = match keyword {
            Some(position) if is_word(tokens.get(attributes + position), "fn") => {
                attributes + position
            }
            _ => return Err(misplaced::<A>(&tokens[attributes..])),
        };
        let qualifiers = &tokens[attributes..start];
        if let Some(constness) = qualifiers.iter().find(|token| is_word(Some(token), "const")) {
            return Err(const_fn::<A>(constness));
        }
        let Some(TokenTree::Ident(name)) = tokens.get(start + 1).cloned() else {
            return Err(misplaced::<A>(&tokens[start..]));
        };
        let Some(split) = parameters_position(&tokens, start + 2) else {
            return Err(misplaced::<A>(&tokens[start..]));
        };
        let is_async = qualifiers.iter().any(|token| is_word(Some(token), "async"));
        let asyncness = if is_async { Asyncness::Async } else { Asyncness::Sync };
        let mut before = tokens;
        let mut after = before.split_off(split + 1);
        match (before.pop(), after.pop()) {
            (Some(TokenTree::Group(parameters)), Some(TokenTree::Group(body)))
                if body.delimiter() == Delimiter::Brace =>
            {
                let owner = None;
                Ok(Self { before, parameters, after, body, attributes, name, asyncness, owner })
            }
            _ => Err(bodiless::<A>(&name)),
        }
    }

    /// The name without the `r#` of a raw identifier.
    pub(crate) fn bare_name(&self) -> String {
        self.name.unraw().to_string()
    }

    /// What the `function` label says.
    pub(crate) fn label(&self) -> String {
        match &self.owner {
            Some(owner) => format!("{}::{}", owner.name, self.bare_name()),
            None => self.bare_name(),
        }
    }

    pub(crate) fn name(&self) -> &Ident {
        &self.name
    }

    pub(crate) fn asyncness(&self) -> Asyncness {
        self.asyncness
    }

    /// Whether this is `fn main()`. Methods and functions with parameters are something else.
    pub(crate) fn is_main(&self) -> bool {
        self.name == "main" && self.parameters.stream().is_empty()
    }

    /// Whether callers see their own place in a panic of this function. A closure would take it away.
    pub(crate) fn is_tracking_caller(&self) -> bool {
        self.before[..self.attributes].iter().any(|token| {
            as_group(Some(token), Delimiter::Bracket)
                .is_some_and(|group| group.stream().to_string() == "track_caller")
        })
    }

    /// The first paragraph of the doc comment.
    pub(crate) fn summary(&self) -> Option<String> {
        summary(&self.before[..self.attributes])
    }

    /// What it returns, as declared.
    pub(crate) fn output(&self) -> Output<'_> {
        Output::of(self.output_tokens())
    }

    fn output_tokens(&self) -> &[TokenTree] {
        if !(is_punct(self.after.first(), '-') && is_punct(self.after.get(1), '>')) {
            return &[];
        }
        let mut angles = Angles::default();
        let end = self
            .after
            .iter()
            .skip(2)
            .position(|token| angles.step(token) && is_word(Some(token), "where"));
        &self.after[2..end.map_or(self.after.len(), |end| end + 2)]
    }

    /// The attributes at the start of the body, which have to stay there.
    fn inner_attributes(&self) -> TokenStream {
        let tokens: Vec<TokenTree> = self.body.stream().into_iter().collect();
        let end = attributes_len(&tokens, Style::Inner);
        tokens.into_iter().take(end).collect()
    }

    /// The user's block, in its own place, without inner attributes.
    pub(crate) fn block(&self) -> Group {
        let tokens: Vec<TokenTree> = self.body.stream().into_iter().collect();
        let start = attributes_len(&tokens, Style::Inner);
        regroup(&self.body, tokens.into_iter().skip(start).collect())
    }

    /// The same block where it is the last expression of another: the empty statement keeps lints from telling the
    /// user that its braces are unnecessary.
    pub(crate) fn inner_block(&self) -> Group {
        let block = self.block();
        let tokens = block.stream();
        regroup(&block, quote_spanned!(generated()=> ; #tokens))
    }

    /// The function with another body.
    pub(crate) fn with_body(&self, body: &TokenStream) -> TokenStream {
        self.emit(&self.parameters, body)
    }

    /// The function with another body that begins by taking over the parameters (see [`Binding`]).
    pub(crate) fn with_rebound_body(&self, body: &TokenStream) -> TokenStream {
        self.emit(&parameters::rebound(&self.parameters), body)
    }

    fn emit(&self, parameters: &Group, body: &TokenStream) -> TokenStream {
        let inner = self.inner_attributes();
        let body = regroup(&self.body, quote!(#inner #body));
        let (before, after) = (&self.before, &self.after);
        quote!(#(#before)* #parameters #(#after)* #body)
    }

    /// The variables that the parameters bind, in order; `self` is none of them.
    pub(crate) fn bindings(&self) -> Vec<Binding> {
        parameters::bindings(&self.parameters)
    }

    /// Whether `self` is taken by value or by a smart pointer, and mentioned in the body.
    pub(crate) fn moves_self(&self) -> bool {
        parameters::take_self(&self.parameters) && mentions_self(self.body.stream())
    }
}

/// The position of `fn`, or of the word that says what else this is.
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

/// The position of the parameters: the first parentheses outside the generics.
fn parameters_position(tokens: &[TokenTree], start: usize) -> Option<usize> {
    let mut angles = Angles::default();
    let found = tokens.iter().skip(start).position(|token| {
        angles.step(token) && as_group(Some(token), Delimiter::Parenthesis).is_some()
    });
    found.map(|position| start + position)
}

fn mentions_self(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word == "self",
        TokenTree::Group(group) => mentions_self(group.stream()),
        _ => false,
    })
}

/// The first paragraph of a doc comment as one line; nothing if it is no prose.
pub(crate) fn summary(attributes: &[TokenTree]) -> Option<String> {
    let docs: Vec<String> = attributes.iter().filter_map(doc_text).collect();
    let lines = docs.iter().flat_map(|doc| doc.split('\n'));
    let lines = lines.map(|line| line.trim().trim_start_matches(['*', '#']).trim());
    let paragraph: Vec<&str> =
        lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()).collect();
    let is_prose = paragraph.first().is_some_and(|line| !line.starts_with("```"));
    is_prose.then(|| paragraph.join(" "))
}

/// The text of `[doc = ".."]`. What only rustc can compute, such as `include_str!`, is left out.
fn doc_text(attribute: &TokenTree) -> Option<String> {
    let group = as_group(Some(attribute), Delimiter::Bracket)?;
    let mut tokens = group.stream().into_iter();
    let named = is_word(tokens.next().as_ref(), "doc") && is_punct(tokens.next().as_ref(), '=');
    match as_literal(&tokens.collect()) {
        Some(Lit::Str(text)) if named => Some(text.value()),
        _ => None,
    }
}

fn misplaced<A: Attribute>(item: &[TokenTree]) -> syn::Error {
    let (attribute, place) = (A::NAME, A::PLACE);
    let found = match keyword(item).and_then(|position| item.get(position)) {
        Some(TokenTree::Ident(word)) => format!(", found `{word}`"),
        _ => String::new(),
    };
    let item: TokenStream = item.iter().take(1).cloned().collect();
    syn::Error::new_spanned(item, format!("`#[{attribute}]` belongs on {place}{found}"))
}

fn const_fn<A: Attribute>(constness: &TokenTree) -> syn::Error {
    let attribute = A::NAME;
    let message = format!(
        "`#[{attribute}]` measures at run time, which a `const fn` can't; remove the attribute or the `const`"
    );
    syn::Error::new_spanned(constness, message)
}

fn bodiless<A: Attribute>(name: &Ident) -> syn::Error {
    let attribute = A::NAME;
    let message = format!(
        "`{name}` has no body for `#[{attribute}]` to measure; annotate the functions that implement it"
    );
    syn::Error::new_spanned(name, message)
}
