//! `Judge`: how the outcome of a call is determined from its result.

use proc_macro2::TokenStream;
use quote::quote_spanned;

use crate::arguments::Arguments;
use crate::errors::Errors;
use crate::return_type::{Recognised, ReturnType};
use crate::tokens::generated;

/// The arguments `ok_if`, `error_if` and, for a run, `skip_if`.
pub(crate) struct Predicates {
    ok_if: Option<TokenStream>,
    error_if: Option<TokenStream>,
    skip_if: Option<TokenStream>,
}

impl Predicates {
    pub(crate) fn parse(arguments: &mut Arguments) -> Self {
        Self {
            ok_if: arguments.predicate("ok_if", "ok_if = |result| result.is_ok()"),
            error_if: arguments.predicate("error_if", "error_if = |result| result.is_err()"),
            skip_if: None,
        }
    }

    pub(crate) fn parse_for_run(arguments: &mut Arguments) -> Self {
        let predicates = Self::parse(arguments);
        let skip_if = arguments.predicate("skip_if", "skip_if = |result| result.is_none()");
        Self { skip_if, ..predicates }
    }

    pub(crate) fn check(&self, errors: &mut Errors) {
        if let (Some(_), Some(error_if)) = (&self.ok_if, &self.error_if) {
            errors.at(error_if, "`error_if` can't be combined with `ok_if`; remove one of the two");
        }
    }

    pub(crate) fn judge(&self) -> Judge<'_> {
        let source = match (&self.ok_if, &self.error_if) {
            (Some(ok_if), _) => Source::OkIf(ok_if),
            (None, Some(error_if)) => Source::ErrorIf(error_if),
            (None, None) => Source::Type,
        };
        Judge { source, skip_if: self.skip_if.as_ref() }
    }
}

/// How the outcome of a call that returned is determined.
#[derive(Clone, Copy)]
pub(crate) struct Judge<'a> {
    pub(crate) source: Source<'a>,
    /// Decides first whether the call is skipped.
    skip_if: Option<&'a TokenStream>,
}

/// The source of the outcome of a call that is not skipped.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// The type of the result.
    Type,
    OkIf(&'a TokenStream),
    ErrorIf(&'a TokenStream),
    /// The result is not inspected.
    None,
}

impl<'a> Judge<'a> {
    /// Inspects the type of the result.
    pub(crate) const BY_TYPE: Self = Self { source: Source::Type, skip_if: None };
    /// Does not inspect the result.
    pub(crate) const NONE: Self = Self { source: Source::None, skip_if: None };

    /// Does not inspect the type of the result.
    pub(crate) fn without_type(self) -> Self {
        match self.source {
            Source::Type => Self { source: Source::None, ..self },
            _ => self,
        }
    }

    /// Returns the name and the value of each argument that is a predicate.
    pub(crate) fn predicates(self) -> impl Iterator<Item = (&'static str, &'a TokenStream)> {
        let source = match self.source {
            Source::OkIf(predicate) => Some(("ok_if", predicate)),
            Source::ErrorIf(predicate) => Some(("error_if", predicate)),
            Source::Type | Source::None => None,
        };
        source.into_iter().chain(self.skip_if.map(|predicate| ("skip_if", predicate)))
    }

    /// Returns the statements that report the outcome of a call and return its result. `ended` is the call, which may
    /// borrow a local variable.
    pub(crate) fn finish(self, runtime: &TokenStream, ended: &TokenStream) -> TokenStream {
        let finish = self.finish_local(runtime);
        quote_spanned!(generated()=> let mut ended = #ended; #finish)
    }

    /// As [`finish`](Self::finish), for a counted or timed call. The expression borrows no local variable: before edition
    /// 2024, a temporary value of the last expression outlives the local variables. A local variable for the call would
    /// cost compile time, most of all in an `async fn`.
    pub(crate) fn finish_temporary(
        self,
        runtime: &TokenStream,
        ended: &TokenStream,
        result: ReturnType<'_>,
    ) -> TokenStream {
        let span = generated();
        match (self.source, self.skip_if) {
            (Source::Type, None) => match result.recognised() {
                Some(Recognised::Value) => quote_spanned!(span=> #ended.finish_value()),
                Some(Recognised::Result) => quote_spanned!(span=> #ended.finish_result()),
                None => quote_spanned!(span=> #ended.finish()),
            },
            _ => self.finish(runtime, ended),
        }
    }

    /// Returns a closure that ends the call of a future.
    ///
    /// `result_type` is given where the compiler cannot infer the type from the body.
    pub(crate) fn closure(
        self,
        runtime: &TokenStream,
        result_type: Option<TokenStream>,
    ) -> TokenStream {
        let span = generated();
        let annotation = result_type
            .map(|result_type| quote_spanned!(span=> : #runtime::Ended<_, #result_type>));
        let finish = self.finish_local(runtime);
        quote_spanned!(span=> |mut ended #annotation| { #finish })
    }

    /// Returns the statements that report the outcome of the call in the variable `ended` and return its result.
    fn finish_local(self, runtime: &TokenStream) -> TokenStream {
        let span = generated();
        let finish = match self.source {
            Source::Type => quote_spanned!(span=> ended.finish()),
            Source::OkIf(is_ok) => {
                finish_as(&quote_spanned!(span=> #runtime::ok_if(ended.result(), #is_ok)))
            }
            Source::ErrorIf(is_error) => {
                finish_as(&quote_spanned!(span=> #runtime::error_if(ended.result(), #is_error)))
            }
            Source::None => finish_as(&quote_spanned!(span=> #runtime::unjudged())),
        };
        match self.skip_if {
            Some(skip) => quote_spanned! {span=>
                match #runtime::skip_if(ended.result(), #skip) {
                    ::core::option::Option::Some(outcome) => ended.finish_as(outcome),
                    ::core::option::Option::None => { #finish }
                }
            },
            None => finish,
        }
    }
}

/// Returns the statements that end a call with an outcome.
fn finish_as(outcome: &TokenStream) -> TokenStream {
    quote_spanned!(generated()=> let outcome = #outcome; ended.finish_as(outcome))
}
