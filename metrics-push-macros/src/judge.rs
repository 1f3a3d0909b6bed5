//! `Judge`: how the outcome of a call is determined from its result.

use proc_macro2::TokenStream;
use quote::quote_spanned;

use crate::arguments::Arguments;
use crate::errors::Errors;
use crate::tokens::generated;

/// The arguments `ok_if` and `error_if`.
pub(crate) struct Predicates {
    ok_if: Option<TokenStream>,
    error_if: Option<TokenStream>,
}

impl Predicates {
    pub(crate) fn parse(arguments: &mut Arguments) -> Self {
        Self {
            ok_if: arguments.predicate("ok_if", "ok_if = |result| result.is_ok()"),
            error_if: arguments.predicate("error_if", "error_if = |result| result.is_err()"),
        }
    }

    pub(crate) fn check(&self, errors: &mut Errors) {
        if let (Some(_), Some(error_if)) = (&self.ok_if, &self.error_if) {
            errors.at(error_if, "`error_if` can't be combined with `ok_if`; remove one of the two");
        }
    }

    pub(crate) fn judge(&self) -> Judge<'_> {
        match (&self.ok_if, &self.error_if) {
            (Some(ok_if), _) => Judge::OkIf(ok_if),
            (None, Some(error_if)) => Judge::ErrorIf(error_if),
            (None, None) => Judge::Type,
        }
    }
}

/// The source of the outcome of a call that returned.
#[derive(Clone, Copy)]
pub(crate) enum Judge<'a> {
    /// The type of the result.
    Type,
    OkIf(&'a TokenStream),
    ErrorIf(&'a TokenStream),
    /// The result is not inspected.
    None,
}

impl<'a> Judge<'a> {
    /// Returns the name and the value of the argument if there is a predicate.
    pub(crate) fn predicate(self) -> Option<(&'static str, &'a TokenStream)> {
        match self {
            Self::OkIf(predicate) => Some(("ok_if", predicate)),
            Self::ErrorIf(predicate) => Some(("error_if", predicate)),
            Self::Type | Self::None => None,
        }
    }

    /// Returns the expression that computes the outcome of `result`, a reference.
    pub(crate) fn outcome(self, runtime: &TokenStream, result: &TokenStream) -> TokenStream {
        let span = generated();
        match self {
            Self::Type => quote_spanned!(span=> #runtime::judge(#result).outcome()),
            Self::OkIf(ok) => quote_spanned!(span=> #runtime::ok_if(#result, #ok)),
            Self::ErrorIf(error) => quote_spanned!(span=> #runtime::error_if(#result, #error)),
            Self::None => quote_spanned!(span=> #runtime::unjudged(#result)),
        }
    }

    /// Returns a closure that computes the outcome of the output of a future.
    ///
    /// `result_type` is given where the compiler cannot infer the type from the body.
    pub(crate) fn closure(
        self,
        runtime: &TokenStream,
        result_type: Option<TokenStream>,
    ) -> TokenStream {
        let span = generated();
        let annotation = result_type.map(|result_type| quote_spanned!(span=> : &#result_type));
        let outcome = self.outcome(runtime, &quote_spanned!(span=> result));
        quote_spanned!(span=> |result #annotation| #outcome)
    }
}
