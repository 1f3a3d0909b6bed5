//! `DurationValue`: a duration such as `"1h30m"`, which is checked at compile time, or a constant.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::LitStr;

/// The value of an argument that takes a duration.
pub(crate) enum DurationValue {
    Literal(Duration),
    /// A constant expression of type `Duration`.
    Constant(TokenStream),
}

impl ToTokens for DurationValue {
    /// Emits an expression that is valid in a `const` context.
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(match self {
            Self::Literal(duration) if duration.subsec_millis() == 0 => {
                let seconds = duration.as_secs();
                quote!(::core::time::Duration::from_secs(#seconds))
            }
            Self::Literal(duration) => {
                let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                quote!(::core::time::Duration::from_millis(#milliseconds))
            }
            Self::Constant(expression) => expression.clone(),
        });
    }
}

/// Parses a literal such as `"24h"`, `"1h30m"` or `"500ms"`.
pub(crate) fn parse_literal(literal: &LitStr) -> syn::Result<Duration> {
    let text = literal.value();
    let reason = match parse(&text) {
        Some(Duration::ZERO) => "it must be longer than zero; write for example \"24h\"",
        Some(duration) => return Ok(duration),
        None => {
            "expected numbers with the units d, h, m, s or ms; write for example \"24h\", \"1h30m\" or \"500ms\""
        }
    };
    Err(syn::Error::new_spanned(literal, format!("invalid duration {text:?}: {reason}")))
}

fn parse(text: &str) -> Option<Duration> {
    let mut total = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let milliseconds = match &rest[..unit] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(milliseconds)?)?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then(|| Duration::from_millis(total))
}
