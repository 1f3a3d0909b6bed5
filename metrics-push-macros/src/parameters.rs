//! `Parameters`: the parameters of a function, and the variables that they move into a closure or an `async` block.
//!
//! Patterns and types are searched for names and not parsed. If a variable is not recognised, the block captures it
//! as any other block does.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};

use crate::tokens::{
    AttributeStyle, as_group, attribute_tokens, attributes_len, contains_borrow, flatten,
    generated, is_joint, is_path_separator, is_primitive, is_punct, is_word, regroup,
    split_at_commas,
};

/// Which parameters move into the block that contains the body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    /// Every parameter that has a destructor, is mutable or is redefined by the body, for an `async` block that owns its
    /// captures. The block captures the others without help, and each further variable costs compile time and memory of
    /// the future. A parameter `x` counts as redefined by `let x = x;`, which `clippy::redundant_locals` does not report
    /// if `x` is captured.
    IntoAsync,
    /// The parameters that contain a mutable borrow which the body may return or extend. A closure would borrow their
    /// variables, and the borrow would end with the closure.
    ///
    /// The closure captures the others as their use requires, so that `clippy::needless_pass_by_value` still finds
    /// them.
    Borrows(Returned),
}

/// Whether the type of the result may contain a borrow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Returned {
    Borrowed,
    Owned,
}

/// The parenthesised parameters of a function.
pub(crate) struct Parameters {
    group: Group,
    list: Vec<Parameter>,
}

impl Parameters {
    /// `async_body` is the body of an `async fn`. In other functions, a redefinition does not matter.
    pub(crate) fn new(group: Group, async_body: Option<&Group>) -> Self {
        let redefined = async_body.map_or_else(Vec::new, |body| redefined(body.stream()));
        let parameters = split_at_commas(group.stream()).into_iter();
        let list = parameters.map(|tokens| Parameter::new(tokens, &redefined)).collect();
        Self { group, list }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the variables that move, in order and without `self`.
    pub(crate) fn bindings(&self, moved: Moved) -> Vec<Binding> {
        let moves = Moves::new(&self.list, moved);
        let moving = self.list.iter().filter(|parameter| moves.contains(parameter));
        moving.flat_map(Parameter::bindings).collect()
    }

    /// Returns the `self` of the receiver if it moves. An `async` block captures references without help.
    pub(crate) fn moved_self(&self, moved: Moved) -> Option<Ident> {
        let moves = Moves::new(&self.list, moved);
        let receiver = self.list.iter().find_map(|parameter| {
            let receiver = parameter.receiver().filter(|_| moves.contains(parameter));
            receiver.filter(|_| moved != Moved::IntoAsync || parameter.has_destructor)
        });
        receiver.cloned()
    }

    /// Returns the parameters without the `mut` and the attributes of those that move, which are part of their
    /// [`Binding`]s. `cfg` attributes remain.
    pub(crate) fn without_binding_modifiers(&self, moved: Moved) -> Group {
        let moves = Moves::new(&self.list, moved);
        if !self.list.iter().any(|parameter| moves.contains(parameter)) {
            return self.group.clone();
        }
        let mut tokens = TokenStream::new();
        for parameter in &self.list {
            let Parameter { attributes, pattern, rest, .. } = parameter;
            if parameter.bindings().is_empty() || !moves.contains(parameter) {
                tokens.extend(quote!(#(#attributes)* #(#pattern)* #(#rest)*,));
                continue;
            }
            let (attributes, pattern) = (only_cfg(attributes), without_mut(pattern));
            tokens.extend(quote!(#attributes #pattern #(#rest)*,));
        }
        regroup(&self.group, tokens)
    }
}

impl ToTokens for Parameters {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.group.to_tokens(tokens);
    }
}

/// The decision which parameters move.
struct Moves {
    moved: Moved,
    /// True if a value with a destructor moves. Then all of them move, so that they are dropped in the order of the
    /// original function.
    has_destructor: bool,
}

impl Moves {
    fn new(parameters: &[Parameter], moved: Moved) -> Self {
        let mut moves = Self { moved, has_destructor: false };
        moves.has_destructor = parameters
            .iter()
            .any(|parameter| moves.contains(parameter) && parameter.has_destructor);
        moves
    }

    fn contains(&self, parameter: &Parameter) -> bool {
        if self.has_destructor && parameter.has_destructor {
            return true;
        }
        match self.moved {
            Moved::IntoAsync => {
                parameter.has_destructor || parameter.is_mutable() || parameter.is_redefined
            }
            Moved::Borrows(returned) => {
                parameter.is_mutable_reference()
                    || (parameter.may_contain_borrow()
                        && (returned == Returned::Borrowed || parameter.is_mutable()))
            }
        }
    }
}

/// A variable that moves into a block, even if the body does not use it.
pub(crate) struct Binding {
    attributes: TokenStream,
    mutability: Option<TokenTree>,
    name: Ident,
}

impl ToTokens for Binding {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { attributes, mutability, name } = self;
        let underscore = name.to_string().starts_with('_').then(|| {
            quote_spanned! {generated()=>
                , clippy::used_underscore_binding, clippy::no_effect_underscore_binding
            }
        });
        tokens.extend(quote_spanned! {generated()=>
            #attributes #[allow(unknown_lints, clippy::shadow_same #underscore)]
            let #mutability #name = #name;
        });
    }
}

/// The parts of one parameter. `rest` starts with the colon before the type. A receiver without a type has only a
/// `rest`.
struct Parameter {
    attributes: Vec<TokenTree>,
    pattern: Vec<TokenTree>,
    rest: Vec<TokenTree>,
    is_redefined: bool,
    has_destructor: bool,
}

impl Parameter {
    fn new(mut tokens: Vec<TokenTree>, redefined: &[Ident]) -> Self {
        let start = attributes_len(&tokens, AttributeStyle::Outer);
        let mut pattern = tokens.split_off(start);
        let colon = (0..pattern.len()).find(|&position| {
            let before = position.checked_sub(1).and_then(|before| pattern.get(before));
            is_punct(pattern.get(position), ':')
                && !is_path_separator(&pattern[position..])
                && !before.is_some_and(|before| is_joint(before, ':'))
        });
        let rest = pattern.split_off(colon.unwrap_or(0));
        let is_redefined = redefined.iter().any(|name| is_word(pattern.first(), &name.to_string()));
        let mut parameter =
            Self { attributes: tokens, pattern, rest, is_redefined, has_destructor: false };
        parameter.has_destructor = has_destructor(&parameter.type_tokens());
        parameter
    }

    fn bindings(&self) -> Vec<Binding> {
        let mut bindings = Vec::new();
        collect_bindings(&self.pattern, &self.attributes, &mut bindings);
        bindings
    }

    /// Returns the `self` of a receiver.
    fn receiver(&self) -> Option<&Ident> {
        let tokens = if self.pattern.is_empty() { &self.rest } else { &self.pattern };
        match tokens.last() {
            Some(TokenTree::Ident(word)) if word == "self" => Some(word),
            _ => None,
        }
    }

    /// Returns true if the parameter binds a variable that the body can change.
    fn is_mutable(&self) -> bool {
        is_word(self.rest.first(), "mut") || contains_binding_mut(&self.pattern)
    }

    /// Returns the type, or the receiver if it has no type.
    fn type_tokens(&self) -> Vec<TokenTree> {
        let tokens = match self.pattern.is_empty() {
            true => &self.rest[..],
            false => &self.rest[1..],
        };
        flatten(tokens.iter().cloned())
    }

    fn is_mutable_reference(&self) -> bool {
        let tokens = self.type_tokens();
        let mutability = if is_punct(tokens.get(1), '\'') { 3 } else { 1 };
        is_punct(tokens.first(), '&') && is_word(tokens.get(mutability), "mut")
    }

    /// Returns true if the value may contain a mutable borrow. The value of an `impl Trait` can only be used through
    /// the trait.
    fn may_contain_borrow(&self) -> bool {
        let tokens = self.type_tokens();
        let is_reference_or_opaque =
            is_punct(tokens.first(), '&') || is_word(tokens.first(), "impl");
        let is_self = |token| is_word(Some(token), "self") || is_word(Some(token), "Self");
        !is_reference_or_opaque && (contains_borrow(&tokens) || tokens.iter().any(is_self))
    }
}

/// Returns true if dropping a value of this type may run code.
fn has_destructor(type_tokens: &[TokenTree]) -> bool {
    match type_tokens.first() {
        Some(TokenTree::Ident(word)) => !is_primitive(word),
        first => !is_punct(first, '&') && !is_punct(first, '*'),
    }
}

/// Returns the variables that the body redefines with a statement `let x = x;`.
fn redefined(body: TokenStream) -> Vec<Ident> {
    let tokens: Vec<TokenTree> = body.into_iter().collect();
    let statements = tokens.windows(5).filter_map(|tokens| match tokens {
        // Words are compared last, because each comparison allocates.
        [binding, TokenTree::Ident(name), equals, TokenTree::Ident(value), end]
            if is_punct(Some(equals), '=')
                && is_punct(Some(end), ';')
                && is_word(Some(binding), "let")
                && name == value =>
        {
            Some(name.clone())
        }
        _ => None,
    });
    let mut names: Vec<Ident> = statements.collect();
    for token in &tokens {
        if let TokenTree::Group(group) = token {
            names.extend(redefined(group.stream()));
        }
    }
    names
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

fn contains_binding_mut(pattern: &[TokenTree]) -> bool {
    pattern.iter().enumerate().any(|(position, token)| match token {
        TokenTree::Group(group) => {
            contains_binding_mut(&group.stream().into_iter().collect::<Vec<_>>())
        }
        _ => {
            is_word(Some(token), "mut")
                && !is_punct(position.checked_sub(1).and_then(|before| pattern.get(before)), '&')
        }
    })
}

fn only_cfg(attributes: &[TokenTree]) -> TokenStream {
    let pairs = attributes.chunks(2).filter(|pair| {
        attribute_tokens(pair.get(1)).is_some_and(|tokens| {
            is_word(tokens.first(), "cfg") || is_word(tokens.first(), "cfg_attr")
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
