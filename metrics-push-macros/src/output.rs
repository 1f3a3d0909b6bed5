//! Return types: what kind of value a function gives back, and how its type is named where `impl Trait` can't be.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};

use crate::tokens::{Angles, is_punct, is_word, open_all, regroup};

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

/// A declared return type; empty if there is none.
#[derive(Clone, Copy)]
pub(crate) struct Output<'a>(&'a [TokenTree]);

impl<'a> Output<'a> {
    pub(crate) const fn of(tokens: &'a [TokenTree]) -> Self {
        Self(tokens)
    }

    fn tokens(self) -> TokenStream {
        self.0.iter().cloned().collect()
    }

    /// The kind of value, as far as it can be told from the text.
    pub(crate) fn returns(self) -> Returns {
        let flat = open_all(self.tokens());
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
    pub(crate) fn erased(self) -> TokenStream {
        match self.returns() {
            Returns::Unit => quote!(()),
            _ => erase_impl_trait(self.tokens()),
        }
    }

    /// The `T` of `impl Future<Output = T>`, which the compiler can't read off an erased type.
    pub(crate) fn of_future(self) -> Option<TokenStream> {
        let output = self.0;
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

    /// Whether the result is an `impl Trait`, of which callers and judges know no more than the trait.
    ///
    /// What `main` returns is judged all the same: its trait says that it is an exit status.
    pub(crate) fn is_opaque(self) -> bool {
        let output = open_all(self.tokens());
        is_word(output.first(), "impl")
            && !output.iter().any(|token| is_word(Some(token), "Termination"))
    }
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
    let [bounds @ .., inner, outer] = &output[start + 1..] else { return false };
    names == [Some("Pin"), Some("Box"), Some("")]
        && [inner, outer].iter().all(|token| is_punct(Some(token), '>'))
        && is_plain_future(bounds)
}
