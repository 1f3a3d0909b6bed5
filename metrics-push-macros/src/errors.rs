//! `Errors`: collects the errors of one attribute, so that one compilation reports all of them.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::ToTokens;

/// The errors found so far, without duplicates.
#[derive(Default)]
pub(crate) struct Errors {
    list: Vec<syn::Error>,
    seen: HashSet<String>,
}

impl Errors {
    /// Adds an error that points at `location`.
    pub(crate) fn at(&mut self, location: impl ToTokens, message: impl std::fmt::Display) {
        self.add(syn::Error::new_spanned(location, message));
    }

    /// Adds an error unless the same message was already reported at the same location.
    ///
    /// The methods of an `impl` block share the arguments of its attribute, so each method repeats the
    /// errors in them.
    pub(crate) fn add(&mut self, error: syn::Error) {
        if self.seen.insert(format!("{:?}: {error}", error.span())) {
            self.list.push(error);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn into_inner(self) -> Vec<syn::Error> {
        self.list
    }

    /// Returns all errors as `compile_error!` calls, followed by `item`. Emitting the item avoids
    /// follow-up errors where it is used.
    pub(crate) fn with_item(self, item: TokenStream) -> TokenStream {
        let mut tokens: TokenStream = self.list.iter().map(syn::Error::to_compile_error).collect();
        tokens.extend(item);
        tokens
    }
}

/// Returns the message for an argument that the attribute does not support.
pub(crate) fn unknown_argument(attribute: &str, name: &str, supported: &[&str]) -> String {
    let nearest = supported.iter().map(|other| (edit_distance(name, other), other)).min();
    match nearest {
        Some((distance, nearest)) if distance <= 1 + name.len() / 4 => {
            format!("unknown argument `{name}` of `#[{attribute}]`; did you mean `{nearest}`?")
        }
        _ => {
            let supported = supported.join("`, `");
            format!("unknown argument `{name}` of `#[{attribute}]`; use one of `{supported}`")
        }
    }
}

/// Returns the optimal string alignment distance: the number of letters to insert, delete or replace, and of
/// neighbours to swap.
fn edit_distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut rows = vec![(0..=right.len()).collect::<Vec<usize>>()];
    for (i, from) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in right.iter().enumerate() {
            let changed = rows[i][j] + usize::from(from != to);
            let mut best = changed.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == right[j - 1] && left[i - 1] == *to {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

/// Returns the tokens as an error message quotes them, shortened if necessary.
pub(crate) fn excerpt(tokens: impl ToTokens) -> String {
    const MAX_CHARS: usize = 40;
    let text = tokens.to_token_stream().to_string().replace(" :: ", "::").replace("- ", "-");
    if text.chars().count() > MAX_CHARS {
        let start: String = text.chars().take(MAX_CHARS).collect();
        return format!("`{start}..`");
    }
    format!("`{text}`")
}

/// Returns a valid name that is similar to the text.
pub(crate) fn valid_name(name: &str) -> String {
    let valid: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    match valid.trim_matches('_') {
        "" => "jobs_total".to_owned(),
        rest if rest.starts_with(|first: char| first.is_ascii_digit()) => format!("_{rest}"),
        rest => rest.to_owned(),
    }
}
