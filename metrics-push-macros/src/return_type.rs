//! `ReturnType`: the kind of value that a function returns, and its type where `impl Trait` is not allowed.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};

use crate::tokens::{
    AngleBrackets, as_group, contains_borrow, flatten, is_primitive, is_punct, is_word, regroup,
    split_at_commas,
};

/// The kind of value that a function returns, as far as the tokens show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReturnKind {
    Unit,
    Never,
    Value,
    /// `impl Future`.
    Future,
    /// `Pin<Box<dyn Future>>`, as `async_trait` writes it.
    BoxedFuture,
    /// `impl Fn`, also in a tuple. The compiler needs this type to infer the parameters of a returned closure.
    Function,
}

impl ReturnKind {
    /// Returns the kind of the type with these tokens.
    pub(crate) fn new(tokens: &[TokenTree]) -> Self {
        let flat = flatten(tokens.iter().cloned());
        match &flat[..] {
            [] => Self::Unit,
            [only] if is_punct(Some(only), '!') => Self::Never,
            [TokenTree::Group(group)] if group.stream().is_empty() => Self::Unit,
            [first, bounds @ ..] if is_word(Some(first), "impl") && is_plain_future(bounds) => {
                Self::Future
            }
            flat if is_boxed_future(flat) => Self::BoxedFuture,
            flat if is_function(flat) => Self::Function,
            _ => Self::Value,
        }
    }
}

/// A return type whose tokens show how its outcome is determined. The type aliases of the program do not matter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Recognised {
    /// Neither a `Result` nor an exit code.
    Value,
    /// A type with the name `Result` and two arguments, without an exit code.
    Result,
}

/// A declared return type. It has no tokens if none is declared.
#[derive(Clone, Copy)]
pub(crate) struct ReturnType<'a> {
    tokens: &'a [TokenTree],
    kind: ReturnKind,
}

impl<'a> ReturnType<'a> {
    pub(crate) fn new(tokens: &'a [TokenTree]) -> Self {
        Self::of_kind(tokens, ReturnKind::new(tokens))
    }

    /// Returns the type with these tokens, whose kind is known.
    pub(crate) const fn of_kind(tokens: &'a [TokenTree], kind: ReturnKind) -> Self {
        Self { tokens, kind }
    }

    fn flat(self) -> Vec<TokenTree> {
        flatten(self.tokens.iter().cloned())
    }

    pub(crate) const fn kind(self) -> ReturnKind {
        self.kind
    }

    /// Returns the type with each `impl Trait` replaced by `_`, or `()` if none is declared.
    pub(crate) fn erased(self) -> TokenStream {
        match self.kind {
            ReturnKind::Unit => quote!(()),
            _ => erase_impl_trait(self.tokens.iter().cloned()),
        }
    }

    /// Returns the `T` of `Future<Output = T>`. The compiler cannot infer it from an erased type.
    pub(crate) fn future_output(self) -> Option<Vec<TokenTree>> {
        future_output(self.tokens)
    }

    /// Returns how the outcome is determined if the tokens show it.
    pub(crate) fn recognised(self) -> Option<Recognised> {
        let tokens = self.flat();
        if is_builtin(&tokens) {
            return Some(Recognised::Value);
        }
        let arguments = tokens.iter().position(|token| is_punct(Some(token), '<'))?;
        let is_result = is_word(tokens[..arguments].last(), "Result");
        let arguments = tokens.get(arguments + 1..tokens.len() - 1)?;
        // The only argument of an alias may be the type of the error. Of two arguments, the second one may be the type of the
        // value.
        let is_exit_code = |token: &TokenTree| is_word(Some(token), "ExitCode");
        match &split_at_commas(arguments.iter().cloned().collect())[..] {
            [value, error] if is_result && is_builtin(value) && !error.iter().any(is_exit_code) => {
                Some(Recognised::Result)
            }
            _ => None,
        }
    }

    /// Returns false if the tokens show that the result is not a future.
    pub(crate) fn may_be_future(self) -> bool {
        self.kind != ReturnKind::Unit && self.recognised().is_none()
    }

    /// Returns true if the result may contain a borrow of a parameter.
    pub(crate) fn may_contain_borrow(self) -> bool {
        let tokens = self.flat();
        contains_borrow(&tokens) || tokens.iter().any(|token| is_word(Some(token), "Self"))
    }

    /// Returns true if the type is an `impl Trait` from which no outcome can be determined.
    ///
    /// An `impl Termination` is not opaque: the trait provides the exit code.
    pub(crate) fn is_opaque(self) -> bool {
        let tokens = self.flat();
        is_word(tokens.first(), "impl")
            && !tokens.iter().any(|token| is_word(Some(token), "Termination"))
    }
}

/// Returns true if the type is a primitive type, a reference, an array, a slice, a tuple or `()`.
fn is_builtin(tokens: &[TokenTree]) -> bool {
    match tokens {
        [TokenTree::Ident(word)] => is_primitive(word),
        // Parentheses around a single type are not a tuple.
        [TokenTree::Group(group)] if group.delimiter() == Delimiter::Parenthesis => {
            group.stream().is_empty() || split_at_commas(group.stream()).len() > 1
        }
        [TokenTree::Group(group)] => group.delimiter() == Delimiter::Bracket,
        tokens => is_punct(tokens.first(), '&'),
    }
}

fn future_output(tokens: &[TokenTree]) -> Option<Vec<TokenTree>> {
    let start = (0..tokens.len()).find(|&position| {
        is_word(tokens.get(position), "Future")
            && is_punct(tokens.get(position + 1), '<')
            && is_word(tokens.get(position + 2), "Output")
            && is_punct(tokens.get(position + 3), '=')
    });
    let Some(start) = start else {
        // The bounds may be in parentheses, or in the invisible group of a type that `macro_rules!` has matched.
        return tokens.iter().find_map(|token| match token {
            TokenTree::Group(group) => {
                future_output(&group.stream().into_iter().collect::<Vec<_>>())
            }
            _ => None,
        });
    };
    let mut angles = AngleBrackets::default();
    let rest = tokens[start + 4..].iter();
    let output = rest.take_while(|token| !ends_bounds(&mut angles, token));
    Some(output.cloned().collect())
}

fn erase_impl_trait(tokens: impl IntoIterator<Item = TokenTree>) -> TokenStream {
    let mut erased = TokenStream::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(word) if word == "impl" => {
                let mut angles = AngleBrackets::default();
                while tokens.next_if(|token| !ends_bounds(&mut angles, token)).is_some() {}
                erased.extend(quote!(_));
            }
            TokenTree::Group(group) => erased.extend(erase_in_group(&group)),
            token => erased.extend([token]),
        }
    }
    erased
}

/// Erases `impl Trait` in a group. `(impl Trait)` becomes `_`, because `(_)` has unused parentheses.
fn erase_in_group(group: &Group) -> TokenStream {
    let inner = erase_impl_trait(group.stream());
    let is_placeholder = inner.to_string() == "_";
    if is_placeholder && matches!(group.delimiter(), Delimiter::Parenthesis | Delimiter::None) {
        return inner;
    }
    regroup(group, inner).into_token_stream()
}

/// Returns true if the token ends the bounds of an `impl Trait`.
fn ends_bounds(angles: &mut AngleBrackets, token: &TokenTree) -> bool {
    angles.is_closed_by(token)
        || (angles.step(token) && (is_punct(Some(token), ',') || is_punct(Some(token), ';')))
}

/// Returns true if the type is an `impl Fn` or a tuple that contains one.
fn is_function(tokens: &[TokenTree]) -> bool {
    const FUNCTION_TRAITS: [&str; 6] =
        ["Fn", "FnMut", "FnOnce", "AsyncFn", "AsyncFnMut", "AsyncFnOnce"];
    if let [TokenTree::Group(tuple)] = tokens {
        return split_at_commas(tuple.stream()).iter().any(|element| is_function(element));
    }
    let is_trait = |token| FUNCTION_TRAITS.iter().any(|name| is_word(Some(token), name));
    is_word(tokens.first(), "impl") && tokens.iter().any(is_trait)
}

/// Returns true if the bounds are `Future` and only marker traits that a wrapper of the future also implements.
fn is_plain_future(bounds: &[TokenTree]) -> bool {
    let mut angles = AngleBrackets::default();
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

/// Returns true if the type is `Pin<Box<dyn Future>>`. The paths of `Pin` and `Box` may be qualified, and the trait object
/// may be in parentheses.
fn is_boxed_future(tokens: &[TokenTree]) -> bool {
    let is_object = |token| {
        is_word(Some(token), "dyn") || as_group(Some(token), Delimiter::Parenthesis).is_some()
    };
    let Some(start) = tokens.iter().position(is_object) else { return false };
    let (paths, object) = tokens.split_at(start);
    let Some(object) = without_end_of_arguments(object).and_then(without_end_of_arguments) else {
        return false;
    };
    let paths: String = paths.iter().map(ToString::to_string).collect();
    let names: Vec<_> = paths.split('<').map(|path| path.rsplit(':').next()).collect();
    let object = match object {
        [TokenTree::Group(parentheses)] => flatten(parentheses.stream()),
        object => object.to_vec(),
    };
    let [first, bounds @ ..] = &object[..] else { return false };
    names == [Some("Pin"), Some("Box"), Some("")]
        && is_word(Some(first), "dyn")
        && is_plain_future(bounds)
}

/// Removes the closing `>` of generic arguments and a trailing comma before it.
fn without_end_of_arguments(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    let (end, arguments) = tokens.split_last()?;
    let arguments = match arguments.split_last() {
        Some((comma, arguments)) if is_punct(Some(comma), ',') => arguments,
        _ => arguments,
    };
    is_punct(Some(end), '>').then_some(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn return_type_is_recognised_only_if_no_alias_can_hide_an_outcome() {
        let recognised = |text: &str| {
            let tokens: Vec<TokenTree> = text.parse::<TokenStream>().unwrap().into_iter().collect();
            ReturnType::new(&tokens).recognised()
        };
        for text in ["()", "u64", "&'static str", "[u8; 4]", "(u8, Result<(), E>)"] {
            assert_eq!(recognised(text), Some(Recognised::Value), "{text}");
        }
        for text in ["Result<u64, E>", "::std::result::Result<(), E>", "Result<&T, Box<dyn Error>>"]
        {
            assert_eq!(recognised(text), Some(Recognised::Result), "{text}");
        }
        for text in [
            "T",
            "(Result<u8, E>)",
            "Result",
            "Result<u64>",
            "Result<ExitCode, E>",
            "Result<u8, std::process::ExitCode>",
            "Option<u8>",
            "fmt::Result",
            "!",
        ] {
            assert_eq!(recognised(text), None, "{text}");
        }
    }
}
