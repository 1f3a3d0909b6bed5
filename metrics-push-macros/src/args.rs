//! Keyed arguments: `name`, `name = value` and `name(list)`, read once for all attributes.
//!
//! The reader knows duplicates, unknown names (with the nearest known one), missing commas and wrong
//! types. It collects every mistake and never stops at the first. Values stay tokens: rustc reads the
//! expressions and reports what is wrong with them where they stand.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Lit, LitInt, LitStr};

use crate::errors::{Errors, excerpt, unknown};
use crate::tokens::{as_group, expression_len, is_punct, open_all};
use crate::{Attribute, names};

/// The arguments of one attribute, as they were given.
#[derive(Clone)]
pub(crate) struct Given {
    entries: Vec<Entry>,
    asked: Vec<&'static str>,
    wrong: Vec<syn::Error>,
}

#[derive(Clone)]
struct Entry {
    name: Ident,
    form: Form,
}

#[derive(Clone)]
enum Form {
    Bare,
    Value(TokenStream),
    List(Group),
}

/// A string that may also be known only to rustc.
pub(crate) enum Text {
    Literal(LitStr),
    Constant(TokenStream),
}

impl ToTokens for Text {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Literal(literal) => literal.to_tokens(tokens),
            Self::Constant(constant) => constant.to_tokens(tokens),
        }
    }
}

/// A `name = value` of a list.
pub(crate) struct Pair {
    pub(crate) name: Ident,
    pub(crate) value: TokenStream,
}

impl Given {
    pub(crate) fn read(arguments: TokenStream, errors: &mut Errors) -> Self {
        Self { entries: read_entries(arguments, errors), asked: Vec::new(), wrong: Vec::new() }
    }

    /// These arguments, and those of `block` that they don't replace.
    pub(crate) fn or(mut self, block: &Self) -> Self {
        /// Arguments that mean something only together.
        const TOGETHER: [[&str; 2]; 2] = [["name", "help"], ["ok_if", "error_if"]];
        let own: Vec<String> = self.entries.iter().map(|entry| entry.name.to_string()).collect();
        let replaced = |name: &Ident| {
            own.iter().any(|own| {
                name == own
                    || TOGETHER.iter().any(|pair| {
                        pair.contains(&own.as_str()) && pair.iter().any(|other| name == other)
                    })
            })
        };
        self.entries.extend(block.entries.iter().filter(|entry| !replaced(&entry.name)).cloned());
        self
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name.unraw() == name)
    }

    /// A word that is there or not.
    pub(crate) fn flag(&mut self, name: &'static str) -> Option<Ident> {
        let entry = self.take(name)?;
        match entry.form {
            Form::Bare => Some(entry.name),
            _ => self.wrong(&entry, name, "stands alone"),
        }
    }

    /// A string literal.
    pub(crate) fn literal(&mut self, name: &'static str, example: &str) -> Option<LitStr> {
        let entry = self.take(name)?;
        match literal(&entry) {
            Some(Lit::Str(literal)) => Some(literal),
            _ => self.wrong(&entry, example, "is a string literal"),
        }
    }

    /// A string literal, or the path of a constant.
    pub(crate) fn text(&mut self, name: &'static str, example: &str) -> Option<Text> {
        let entry = self.take(name)?;
        match (literal(&entry), &entry.form) {
            (Some(Lit::Str(literal)), _) => Some(Text::Literal(literal)),
            (None, Form::Value(value)) => Some(Text::Constant(value.clone())),
            _ => self.wrong(&entry, example, "is a string literal or the path of a constant"),
        }
    }

    /// A whole number of at least one.
    pub(crate) fn count(&mut self, name: &'static str, example: &str) -> Option<LitInt> {
        let entry = self.take(name)?;
        match literal(&entry) {
            Some(Lit::Int(literal)) if literal.base10_parse::<usize>().is_ok_and(|n| n > 0) => {
                Some(literal)
            }
            _ => self.wrong(&entry, example, "is a whole number of at least one"),
        }
    }

    /// A duration such as `"1h30m"`, or a constant expression. Either way an expression.
    pub(crate) fn duration(&mut self, name: &'static str, example: &str) -> Option<Duration> {
        let entry = self.take(name)?;
        match (literal(&entry), &entry.form) {
            (Some(Lit::Str(literal)), _) => match names::duration(&literal) {
                Ok(length) => Some(Duration::Literal(length)),
                Err(error) => {
                    self.wrong.push(error);
                    None
                }
            },
            (None, Form::Value(value)) => Some(Duration::Constant(value.clone())),
            _ => self.wrong(
                &entry,
                example,
                "is a string such as \"1h30m\" or a constant `Duration`",
            ),
        }
    }

    /// Any expression.
    pub(crate) fn expression(&mut self, name: &'static str, example: &str) -> Option<TokenStream> {
        let entry = self.take(name)?;
        match entry.form {
            Form::Value(value) => Some(value),
            _ => self.wrong(&entry, example, "takes an expression"),
        }
    }

    /// `name`, or `name = expression`.
    pub(crate) fn optional(
        &mut self,
        name: &'static str,
        example: &str,
    ) -> Option<Option<TokenStream>> {
        let entry = self.take(name)?;
        match entry.form {
            Form::Bare => Some(None),
            Form::Value(value) => Some(Some(value)),
            Form::List(_) => self.wrong(&entry, example, "stands alone or takes an expression"),
        }
    }

    /// One identifier.
    pub(crate) fn ident(&mut self, name: &'static str, example: &str) -> Option<Ident> {
        let entry = self.take(name)?;
        let ident = match &entry.form {
            Form::Value(value) => syn::parse2::<Ident>(value.clone()).ok(),
            _ => None,
        };
        ident.or_else(|| self.wrong(&entry, example, "is an identifier"))
    }

    /// One of a few words: its place among them.
    pub(crate) fn word(&mut self, name: &'static str, words: &[&str]) -> Option<usize> {
        let entry = self.take(name)?;
        let chosen = match &entry.form {
            Form::Value(value) => words.iter().position(|word| value.to_string() == *word),
            _ => None,
        };
        let expected =
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
        let example = format!("{name} = {}", words[0]);
        chosen.or_else(|| self.wrong(&entry, &example, &format!("is {expected}")))
    }

    /// The path of a module that is reachable from everywhere.
    pub(crate) fn path(&mut self, name: &'static str, example: &str) -> Option<TokenStream> {
        let entry = self.take(name)?;
        match &entry.form {
            Form::Value(value) if is_path(value) => match first_word(value) {
                Some(word) if word == "self" || word == "super" || word == "Self" => {
                    let expected = "means the same in every module, so it can't be relative";
                    self.wrong(&entry, example, expected)
                }
                _ => Some(value.clone()),
            },
            _ => self.wrong(&entry, example, "is a path"),
        }
    }

    /// A list of `name = value`.
    pub(crate) fn pairs(&mut self, name: &'static str, example: &str) -> Vec<Pair> {
        let Some(entry) = self.take(name) else { return Vec::new() };
        let Form::List(list) = &entry.form else {
            let _: Option<()> = self.wrong(&entry, example, "takes a list in parentheses");
            return Vec::new();
        };
        let mut errors = Errors::default();
        let entries = read_entries(list.stream(), &mut errors);
        self.wrong.extend(errors.into_inner());
        if entries.is_empty() && self.wrong.is_empty() {
            let _: Option<()> = self.wrong(&entry, example, "needs at least one label");
        }
        entries.into_iter().filter_map(|pair| self.pair(pair)).collect()
    }

    fn pair(&mut self, entry: Entry) -> Option<Pair> {
        match entry.form {
            Form::Value(value) => Some(Pair { name: entry.name, value }),
            Form::Bare | Form::List(_) => {
                let name = entry.name.unraw();
                let message = format!(
                    "label `{name}` has no value; write `{name} = {name}` to export a variable of that name"
                );
                self.wrong.push(syn::Error::new_spanned(&entry.name, message));
                None
            }
        }
    }

    /// Reports what was not taken: duplicates and unknown names.
    pub(crate) fn finish<A: Attribute>(self, errors: &mut Errors) {
        self.wrong.into_iter().for_each(|error| errors.add(error));
        for entry in self.entries {
            let name = entry.name.unraw().to_string();
            if self.asked.contains(&name.as_str()) {
                errors.at(&entry.name, format!("`{name}` is given twice; keep one of the two"));
            } else {
                errors.at(&entry.name, unknown::<A>(&name, &self.asked));
            }
        }
    }

    fn take(&mut self, name: &'static str) -> Option<Entry> {
        self.asked.push(name);
        let position = self.entries.iter().position(|entry| entry.name.unraw() == name)?;
        Some(self.entries.remove(position))
    }

    fn wrong<T>(&mut self, entry: &Entry, example: &str, expected: &str) -> Option<T> {
        let (place, found) = match &entry.form {
            Form::Bare => (entry.name.to_token_stream(), "nothing".to_owned()),
            Form::Value(value) => (value.clone(), excerpt(value)),
            Form::List(list) => (list.to_token_stream(), excerpt(list)),
        };
        let name = entry.name.unraw();
        let message = format!("`{name}` {expected}, found {found}; write `{example}`");
        self.wrong.push(syn::Error::new_spanned(place, message));
        None
    }
}

/// A length of time known now or only to rustc.
pub(crate) enum Duration {
    Literal(std::time::Duration),
    Constant(TokenStream),
}

fn read_entries(arguments: TokenStream, errors: &mut Errors) -> Vec<Entry> {
    let tokens: Vec<TokenTree> = arguments.into_iter().collect();
    let mut rest = &tokens[..];
    let mut entries = Vec::new();
    while let Some(first) = rest.first() {
        let TokenTree::Ident(name) = first else {
            errors.at(
                first,
                format!("expected an argument such as `name = ..`, found {}", excerpt(first)),
            );
            rest = after_comma(&rest[expression_len(rest).max(1)..], errors);
            continue;
        };
        let (form, length) = read_form(name, &rest[1..], errors);
        entries.extend(form.map(|form| Entry { name: name.clone(), form }));
        rest = after_comma(&rest[1 + length..], errors);
    }
    entries
}

fn read_form(name: &Ident, rest: &[TokenTree], errors: &mut Errors) -> (Option<Form>, usize) {
    if is_punct(rest.first(), '=') {
        let length = expression_len(&rest[1..]);
        let value: TokenStream = rest[1..=length].iter().cloned().collect();
        if value.is_empty() {
            errors.at(name, format!("`{name}` has no value; write it after the `=`"));
            return (None, 1);
        }
        return (Some(Form::Value(value)), 1 + length);
    }
    match as_group(rest.first(), Delimiter::Parenthesis) {
        Some(list) => (Some(Form::List(list.clone())), 1),
        None => (Some(Form::Bare), 0),
    }
}

fn after_comma<'a>(rest: &'a [TokenTree], errors: &mut Errors) -> &'a [TokenTree] {
    match rest.first() {
        Some(token) if is_punct(Some(token), ',') => &rest[1..],
        Some(token) => {
            errors.at(token, format!("expected `,` before {}", excerpt(token)));
            match token {
                TokenTree::Ident(_) => rest,
                _ => &rest[(1 + expression_len(&rest[1..])).min(rest.len())..],
            }
        }
        None => rest,
    }
}

fn literal(entry: &Entry) -> Option<Lit> {
    match &entry.form {
        Form::Value(value) => as_literal(value),
        _ => None,
    }
}

/// The literal that `value` consists of, if it is one.
pub(crate) fn as_literal(value: &TokenStream) -> Option<Lit> {
    syn::parse2(open_all(value.clone()).into_iter().collect()).ok()
}

fn is_path(value: &TokenStream) -> bool {
    let tokens = open_all(value.clone());
    let ends_in_name = matches!(tokens.last(), Some(TokenTree::Ident(_)));
    ends_in_name
        && tokens
            .iter()
            .all(|token| matches!(token, TokenTree::Ident(_)) || is_punct(Some(token), ':'))
}

fn first_word(value: &TokenStream) -> Option<Ident> {
    match open_all(value.clone()).into_iter().next() {
        Some(TokenTree::Ident(word)) => Some(word),
        _ => None,
    }
}

/// `&(expression)`, in the expression's place: there rustc reports what the expression lacks.
pub(crate) fn borrowed(expression: &TokenStream) -> TokenStream {
    let span = generated().located_at(expression.span());
    quote_spanned!(span=> &(#expression))
}

/// The place of generated tokens: locals that no user code can see or be seen by.
pub(crate) fn generated() -> Span {
    Span::mixed_site()
}
