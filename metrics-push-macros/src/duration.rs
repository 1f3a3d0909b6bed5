//! `DurationValue`: a duration such as `"1h30m"`, which is checked at compile time, or a constant.
//!
//! The grammar is that of `metrics_push::parse_duration`, which environment variables and the command use. A test
//! compares both.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::LitStr;

/// The value of an argument that takes a duration.
pub(crate) enum DurationValue {
    Literal(LitStr, Duration),
    /// A constant expression of type `Duration`.
    Constant(TokenStream),
}

impl DurationValue {
    /// Returns the tokens that the attribute contains.
    pub(crate) fn written(&self) -> TokenStream {
        match self {
            Self::Literal(literal, _) => literal.to_token_stream(),
            Self::Constant(expression) => expression.clone(),
        }
    }
}

impl ToTokens for DurationValue {
    /// Emits an expression that is valid in a `const` context.
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(match self {
            Self::Literal(_, duration) => {
                let (seconds, nanoseconds) = (duration.as_secs(), duration.subsec_nanos());
                match nanoseconds {
                    0 => quote!(::core::time::Duration::from_secs(#seconds)),
                    _ => quote!(::core::time::Duration::new(#seconds, #nanoseconds)),
                }
            }
            Self::Constant(expression) => expression.clone(),
        });
    }
}

/// Parses a literal such as `"24h"`, `"1h30m"`, `"1.5h"` or `"500ms"`.
pub(crate) fn parse_literal(literal: &LitStr) -> syn::Result<Duration> {
    let text = literal.value();
    let reason = match parse(text.trim()) {
        Some(Duration::ZERO) => "it must be longer than zero; write for example \"24h\"",
        Some(duration) => return Ok(duration),
        None => {
            "expected numbers with the units d, h, m, s or ms; write for example \"24h\", \"1h30m\" or \"500ms\""
        }
    };
    Err(syn::Error::new_spanned(literal, format!("invalid duration {text:?}: {reason}")))
}

fn parse(text: &str) -> Option<Duration> {
    let seconds = match text.parse() {
        Ok(seconds) => seconds,
        Err(_) => sum_of_parts(text)?,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

/// Returns the sum of numbers with units, in seconds.
fn sum_of_parts(mut rest: &str) -> Option<f64> {
    let mut total = 0.0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        // A negative part would reduce the sum.
        let number = number.trim().parse().ok().filter(|number: &f64| number.is_sign_positive())?;
        total += number * seconds_per(unit)?;
        rest = after;
    }
    Some(total)
}

fn seconds_per(unit: &str) -> Option<f64> {
    Some(match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    })
}
