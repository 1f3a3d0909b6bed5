//! The annotated function: its signature skimmed for what expansions need, its body left as tokens.
//!
//! What is emitted is what the user wrote. Attributes, visibility and signature are never rebuilt, so
//! nothing about them can be lost; a half-typed body is no concern of ours.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::Lit;
use syn::ext::IdentExt;

use crate::Attribute;
use crate::args::{as_literal, generated};
use crate::tokens::{
    Angles, Style, as_group, attributes_len, is_punct, is_word, open_all, open_items, regroup,
    split_at_commas,
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

/// What a function gives back, as far as it can be told from the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Returns {
    Unit,
    Never,
    Value,
    /// `impl Future`.
    Future,
    /// `Pin<Box<dyn Future>>`, as `async_trait` writes it.
    BoxedFuture,
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

    pub(crate) fn returns(&self) -> Returns {
        let output = self.output();
        let flat = open_all(output.iter().cloned().collect());
        match flat.first() {
            None => Returns::Unit,
            Some(_) if flat.len() == 1 && is_punct(flat.first(), '!') => Returns::Never,
            Some(TokenTree::Group(group)) if flat.len() == 1 && group.stream().is_empty() => {
                Returns::Unit
            }
            Some(first) if is_word(Some(first), "impl") && is_plain_future(&flat[1..]) => {
                Returns::Future
            }
            Some(_) if is_boxed_future(&flat) => Returns::BoxedFuture,
            Some(_) => Returns::Value,
        }
    }

    /// The declared return type, each `impl Trait` replaced by `_`; `()` if nothing is declared.
    pub(crate) fn erased_output(&self) -> TokenStream {
        match self.returns() {
            Returns::Unit => quote!(()),
            _ => erase_impl_trait(self.output().iter().cloned().collect()),
        }
    }

    /// The `T` of `impl Future<Output = T>`, which the compiler can't read off an erased type.
    pub(crate) fn future_output(&self) -> Option<TokenStream> {
        let output = self.output();
        let start = (0..output.len()).find(|&position| {
            is_word(output.get(position), "Future")
                && is_punct(output.get(position + 1), '<')
                && is_word(output.get(position + 2), "Output")
                && is_punct(output.get(position + 3), '=')
        })?;
        let mut angles = Angles::default();
        let rest = output[start + 4..].iter();
        let of_type = rest.take_while(|token| !ends_bounds(&mut angles, token));
        Some(erase_impl_trait(of_type.cloned().collect()))
    }

    fn output(&self) -> &[TokenTree] {
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

    /// The function with another body.
    pub(crate) fn with_body(&self, body: &TokenStream) -> TokenStream {
        self.emit(&self.parameters, body)
    }

    /// The function with another body that begins by taking over the parameters (see [`Binding`]).
    pub(crate) fn with_rebound_body(&self, body: &TokenStream) -> TokenStream {
        self.emit(&rebound(&self.parameters), body)
    }

    fn emit(&self, parameters: &Group, body: &TokenStream) -> TokenStream {
        let inner = self.inner_attributes();
        let body = regroup(&self.body, quote!(#inner #body));
        let (before, after) = (&self.before, &self.after);
        quote!(#(#before)* #parameters #(#after)* #body)
    }

    /// The variables that the parameters bind, in order; `self` is none of them.
    pub(crate) fn bindings(&self) -> Vec<Binding> {
        let parameters = split_at_commas(self.parameters.stream());
        parameters.iter().flat_map(|parameter| Parameter::of(parameter).bindings()).collect()
    }

    /// Whether `self` is taken by value or by a smart pointer, and mentioned in the body.
    pub(crate) fn moves_self(&self) -> bool {
        let parameters = split_at_commas(self.parameters.stream());
        let Some(first) = parameters.first() else { return false };
        let receiver = &first[attributes_len(first, Style::Outer)..];
        let by_value = is_word(receiver.first(), "self")
            || (is_word(receiver.first(), "mut") && is_word(receiver.get(1), "self"));
        by_value && mentions_self(self.body.stream())
    }
}

/// A variable that an `async` block takes over, as the compiler's own `async fn` does: it is dropped
/// with the body, in the order of declaration, whether the body mentions it or not.
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

/// One parameter, cut where its parts meet.
struct Parameter<'a> {
    attributes: &'a [TokenTree],
    pattern: &'a [TokenTree],
    rest: &'a [TokenTree],
}

impl<'a> Parameter<'a> {
    fn of(tokens: &'a [TokenTree]) -> Self {
        let start = attributes_len(tokens, Style::Outer);
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

/// Whether the word is a variable. A name in capitals may be a constant, and is left where it is.
fn is_binding(pattern: &[TokenTree], position: usize, name: &Ident) -> bool {
    let text = name.to_string();
    let keyword =
        matches!(text.as_str(), "_" | "mut" | "ref" | "self" | "true" | "false" | "const");
    let next = pattern.get(position + 1);
    let part_of_more = is_punct(next, ':')
        || is_punct(next, '!')
        || as_group(next, Delimiter::Parenthesis).is_some()
        || as_group(next, Delimiter::Brace).is_some()
        || is_punct(next, '<')
        || (position > 0
            && is_punct(pattern.get(position - 1), ':')
            && is_path_end(pattern, position));
    !keyword && !part_of_more && !text.starts_with(char::is_uppercase)
}

fn is_path_end(pattern: &[TokenTree], position: usize) -> bool {
    position > 1 && is_punct(pattern.get(position - 2), ':')
}

/// Whether this `mut` makes a variable mutable, and is not part of `&mut` or `ref mut`.
fn is_binding_mut(pattern: &[TokenTree], position: usize) -> bool {
    let before = position.checked_sub(1).and_then(|before| pattern.get(before));
    is_word(pattern.get(position), "mut")
        && !is_punct(before, '&')
        && !is_word(before, "ref")
        && !is_word(pattern.get(position + 1), "self")
}

/// The parameters without what moves to the new variables: `mut`, and attributes other than `cfg`.
fn rebound(parameters: &Group) -> Group {
    let mut tokens = TokenStream::new();
    for parameter in split_at_commas(parameters.stream()) {
        let parts = Parameter::of(&parameter);
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
    let kept = (0..pattern.len()).filter(|&position| !is_binding_mut(pattern, position));
    kept.map(|position| match &pattern[position] {
        TokenTree::Group(group) => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            TokenTree::Group(regroup(group, without_mut(&inner)))
        }
        token => token.clone(),
    })
    .collect()
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

fn erase_impl_trait(output: TokenStream) -> TokenStream {
    let mut erased = TokenStream::new();
    let mut tokens = output.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(word) if word == "impl" => {
                let mut angles = Angles::default();
                while tokens.next_if(|token| !ends_bounds(&mut angles, token)).is_some() {}
                erased.extend(quote!(_));
            }
            TokenTree::Group(group) => erased.extend(erase_in_group(&group)),
            token => erased.extend([token]),
        }
    }
    erased
}

/// `(impl Trait)` loses its parentheses: there is nothing left for them to hold together.
fn erase_in_group(group: &Group) -> TokenStream {
    let inner = erase_impl_trait(group.stream());
    let is_hole = inner.to_string() == "_";
    if is_hole && matches!(group.delimiter(), Delimiter::Parenthesis | Delimiter::None) {
        return inner;
    }
    regroup(group, inner).into_token_stream()
}

fn ends_bounds(angles: &mut Angles, token: &TokenTree) -> bool {
    angles.is_closed_by(token)
        || (angles.step(token) && (is_punct(Some(token), ',') || is_punct(Some(token), ';')))
}

/// Whether these bounds are `Future` and markers that a wrapper around a future has as well.
fn is_plain_future(bounds: &[TokenTree]) -> bool {
    let mut angles = Angles::default();
    let mut is_future = false;
    for (position, token) in bounds.iter().enumerate() {
        let TokenTree::Ident(word) = token else {
            angles.step(token);
            continue;
        };
        let is_lifetime = position > 0 && is_punct(bounds.get(position - 1), '\'');
        if !angles.step(token) || is_lifetime || is_punct(bounds.get(position + 1), ':') {
            continue;
        }
        match word.to_string().as_str() {
            "Future" => is_future = true,
            "Send" | "Sync" | "Unpin" | "Sized" | "Captures" | "use" => {}
            _ => return false,
        }
    }
    is_future
}

/// Whether this is `Pin<Box<dyn Future..>>`, by whatever path.
fn is_boxed_future(output: &[TokenTree]) -> bool {
    let Some(start) = output.iter().position(|token| is_word(Some(token), "dyn")) else {
        return false;
    };
    let paths: String = output[..start].iter().map(ToString::to_string).collect();
    let names: Vec<_> = paths.split('<').map(|path| path.rsplit(':').next()).collect();
    let end = output.len() - 2;
    names == [Some("Pin"), Some("Box"), Some("")]
        && output[end..].iter().all(|token| is_punct(Some(token), '>'))
        && is_plain_future(&output[start + 1..end])
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
