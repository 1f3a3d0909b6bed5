//! The mistakes in one attribute: collected, each said once, reported all together.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::ToTokens;

use crate::Attribute;

/// The mistakes found so far, each said once.
#[derive(Default)]
pub(crate) struct Errors {
    found: Vec<syn::Error>,
    said: HashSet<String>,
}

impl Errors {
    pub(crate) fn at(&mut self, place: impl ToTokens, message: impl std::fmt::Display) {
        self.add(syn::Error::new_spanned(place, message));
    }

    /// A method inherits the mistakes of its `impl` block's attribute: they are one mistake.
    pub(crate) fn add(&mut self, error: syn::Error) {
        if self.said.insert(format!("{:?}: {error}", error.span())) {
            self.found.push(error);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(crate) fn into_inner(self) -> Vec<syn::Error> {
        self.found
    }

    /// The mistakes, and the item as the user wrote it.
    pub(crate) fn beside(self, item: TokenStream) -> TokenStream {
        let mut tokens: TokenStream = self.found.iter().map(syn::Error::to_compile_error).collect();
        tokens.extend(item);
        tokens
    }
}

/// What is said of an argument that the attribute doesn't have.
pub(crate) fn unknown<A: Attribute>(name: &str, known: &[&str]) -> String {
    let attribute = A::NAME;
    let nearest = known.iter().map(|known| (distance(name, known), known)).min();
    match nearest {
        Some((distance, nearest)) if distance <= 1 + name.len() / 4 => {
            format!("`#[{attribute}]` has no argument `{name}`; did you mean `{nearest}`?")
        }
        _ => {
            let known = known.join("`, `");
            format!("`#[{attribute}]` has no argument `{name}`; it takes `{known}`")
        }
    }
}

/// How many letters must be changed, added, dropped or swapped with their neighbour.
fn distance(left: &str, right: &str) -> usize {
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

/// The user's tokens as a message quotes them.
pub(crate) fn excerpt(tokens: impl ToTokens) -> String {
    const LONGEST: usize = 40;
    let text = tokens.to_token_stream().to_string().replace(" :: ", "::").replace("- ", "-");
    if text.chars().count() > LONGEST {
        let start: String = text.chars().take(LONGEST).collect();
        return format!("`{start}..`");
    }
    format!("`{text}`")
}
