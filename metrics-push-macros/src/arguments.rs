//! The arguments of an attribute: `name`, `name = value` and `name(list)`.
//!
//! [`Arguments`] reads them for all attributes and reports wrong types, missing commas, duplicates and
//! unknown names. It collects every error and does not stop at the first one.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Lit, LitInt, LitStr};

use crate::duration::{self, DurationValue};
use crate::errors::{Errors, excerpt, unknown_argument, valid_name};
use crate::expression::{ExpressionKind, expression_kind, expression_len};
use crate::tokens::{as_group, as_literal, first_word, is_path, is_punct};

/// The arguments of one attribute that were not taken yet. A method such as [`flag`](Self::flag) takes one
/// argument out of the list.
#[derive(Clone)]
pub(crate) struct Arguments {
    list: Vec<Argument>,
    /// The names that the attribute supports, in the order in which their arguments are taken.
    supported: Vec<&'static str>,
    errors: Vec<syn::Error>,
}

#[derive(Clone)]
struct Argument {
    name: Ident,
    form: Form,
}

#[derive(Clone)]
enum Form {
    Flag,
    Value(TokenStream),
    List(Group),
}

/// The value of an argument that takes a string.
pub(crate) enum StringValue {
    Literal(LitStr),
    /// A constant expression of type `&'static str`.
    Constant(TokenStream),
}

impl StringValue {
    /// Returns the text of a literal.
    pub(crate) fn literal(&self) -> Option<String> {
        match self {
            Self::Literal(literal) => Some(literal.value()),
            Self::Constant(_) => None,
        }
    }
}

impl ToTokens for StringValue {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Literal(literal) => literal.to_tokens(tokens),
            Self::Constant(constant) => constant.to_tokens(tokens),
        }
    }
}

/// An entry `name = value` in a list of labels.
pub(crate) struct Label {
    pub(crate) name: Ident,
    pub(crate) value: TokenStream,
}

impl Arguments {
    /// Reads the arguments and reports syntax errors.
    pub(crate) fn read(tokens: TokenStream, errors: &mut Errors) -> Self {
        Self {
            list: read_list(tokens, ListKind::Arguments, errors),
            supported: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Adds the arguments of the `impl` block that this method does not override.
    pub(crate) fn with_inherited(mut self, block: &Self) -> Self {
        /// Pairs of arguments. If a method has one of a pair, it inherits neither.
        const PAIRS: [[&str; 2]; 2] = [["name", "help"], ["ok_if", "error_if"]];
        let own: Vec<String> = self.list.iter().map(|argument| argument.name.to_string()).collect();
        let is_overridden = |name: &Ident| {
            own.iter().any(|own| {
                name == own
                    || PAIRS.iter().any(|pair| {
                        pair.contains(&own.as_str()) && pair.iter().any(|other| name == other)
                    })
            })
        };
        let inherited = block.list.iter().filter(|argument| !is_overridden(&argument.name));
        self.list.extend(inherited.cloned());
        self
    }

    /// Returns true if the argument is given and was not taken yet.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.list.iter().any(|argument| argument.name.unraw() == name)
    }

    /// Takes an argument without a value.
    pub(crate) fn flag(&mut self, name: &'static str) -> Option<Ident> {
        let argument = self.take(name)?;
        match argument.form {
            Form::Flag => Some(argument.name),
            _ => self.reject(&argument, "no value", &format!("write `{name}`")),
        }
    }

    /// Takes a string literal.
    pub(crate) fn literal(&mut self, name: &'static str, example: &str) -> Option<LitStr> {
        let argument = self.take(name)?;
        match literal(&argument) {
            Some(Lit::Str(literal)) => Some(literal),
            _ => self.reject(&argument, "a string literal", &for_example(example)),
        }
    }

    /// Takes a string literal or the path of a constant.
    pub(crate) fn string(&mut self, name: &'static str, example: &str) -> Option<StringValue> {
        let argument = self.take(name)?;
        match (literal(&argument), &argument.form) {
            (Some(Lit::Str(literal)), _) => Some(StringValue::Literal(literal)),
            (None, Form::Value(value)) if expression_kind(value).is_some() => {
                Some(StringValue::Constant(value.clone()))
            }
            _ => {
                let expected = "a string literal or the path of a constant";
                self.reject(&argument, expected, &for_example(example))
            }
        }
    }

    /// Takes an integer literal of at least one.
    pub(crate) fn positive_integer(&mut self, name: &'static str, example: &str) -> Option<LitInt> {
        let argument = self.take(name)?;
        match literal(&argument) {
            Some(Lit::Int(literal)) if literal.base10_parse::<usize>().is_ok_and(|n| n > 0) => {
                Some(literal)
            }
            _ => self.reject(&argument, "an integer of at least 1", &for_example(example)),
        }
    }

    /// Takes a duration such as `"1h30m"`, or a constant expression.
    pub(crate) fn duration(&mut self, name: &'static str, example: &str) -> Option<DurationValue> {
        let argument = self.take(name)?;
        match (literal(&argument), &argument.form) {
            (Some(Lit::Str(literal)), _) => match duration::parse_literal(&literal) {
                Ok(duration) => Some(DurationValue::Literal(literal, duration)),
                Err(error) => {
                    self.errors.push(error);
                    None
                }
            },
            (None, Form::Value(value)) if expression_kind(value).is_some() => {
                Some(DurationValue::Constant(value.clone()))
            }
            _ => {
                let expected = "a string such as \"1h30m\" or a constant of type `Duration`";
                self.reject(&argument, expected, &for_example(example))
            }
        }
    }

    /// Takes an expression.
    pub(crate) fn expression(&mut self, name: &'static str, example: &str) -> Option<TokenStream> {
        let argument = self.take(name)?;
        match &argument.form {
            Form::Value(value) if expression_kind(value).is_some() => Some(value.clone()),
            Form::Value(_) => self.reject(&argument, "an expression", &for_example(example)),
            _ => self.reject(&argument, "`=` and an expression", &for_example(example)),
        }
    }

    /// Takes a path or a closure.
    pub(crate) fn predicate(&mut self, name: &'static str, example: &str) -> Option<TokenStream> {
        let argument = self.take(name)?;
        match &argument.form {
            Form::Value(value) if is_predicate(value) => Some(value.clone()),
            _ => self.reject(&argument, "a path or a closure", &for_example(example)),
        }
    }

    /// Takes `name` or `name = expression`.
    pub(crate) fn flag_or_expression(
        &mut self,
        name: &'static str,
        example: &str,
    ) -> Option<Option<TokenStream>> {
        let argument = self.take(name)?;
        match &argument.form {
            Form::Flag => Some(None),
            Form::Value(value) if expression_kind(value).is_some() => Some(Some(value.clone())),
            Form::Value(_) | Form::List(_) => {
                let expected = "no value, or `=` and an expression";
                self.reject(&argument, expected, &for_example(example))
            }
        }
    }

    /// Takes an identifier.
    pub(crate) fn ident(&mut self, name: &'static str, example: &str) -> Option<Ident> {
        let argument = self.take(name)?;
        let ident = match &argument.form {
            Form::Value(value) => syn::parse2::<Ident>(value.clone()).ok(),
            _ => None,
        };
        ident.or_else(|| self.reject(&argument, "an identifier", &for_example(example)))
    }

    /// Takes one of `words` and returns its index and the name of the argument.
    pub(crate) fn word(&mut self, name: &'static str, words: &[&str]) -> Option<(usize, Ident)> {
        let argument = self.take(name)?;
        let index = match &argument.form {
            Form::Value(value) => words.iter().position(|word| value.to_string() == *word),
            _ => None,
        };
        let expected =
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
        let remedy = format!("write `{name} = {}`", words[0]);
        match index {
            Some(index) => Some((index, argument.name)),
            None => self.reject(&argument, &expected, &remedy),
        }
    }

    /// Takes a path that has the same meaning in every module.
    pub(crate) fn absolute_path(
        &mut self,
        name: &'static str,
        example: &str,
    ) -> Option<TokenStream> {
        let argument = self.take(name)?;
        let is_relative =
            |word: Ident| ["self", "super", "Self"].iter().any(|relative| word == relative);
        match &argument.form {
            Form::Value(value) if is_path(value) && !first_word(value).is_some_and(is_relative) => {
                Some(value.clone())
            }
            _ => self.reject(&argument, "an absolute path", &for_example(example)),
        }
    }

    /// Takes a list of labels in parentheses.
    pub(crate) fn labels(&mut self, name: &'static str, example: &str) -> Vec<Label> {
        let Some(argument) = self.take(name) else { return Vec::new() };
        let Form::List(list) = &argument.form else {
            let _: Option<()> =
                self.reject(&argument, "a list in parentheses", &for_example(example));
            return Vec::new();
        };
        let mut errors = Errors::default();
        let labels = read_list(list.stream(), ListKind::Labels, &mut errors);
        if labels.is_empty() && errors.is_empty() {
            let _: Option<()> = self.reject(&argument, "at least one label", &for_example(example));
        }
        self.errors.extend(errors.into_inner());
        labels.into_iter().filter_map(|label| self.label(label)).collect()
    }

    fn label(&mut self, argument: Argument) -> Option<Label> {
        match argument.form {
            Form::Value(value) if expression_kind(&value).is_some() => {
                Some(Label { name: argument.name, value })
            }
            Form::Value(value) => {
                let (name, found) = (argument.name.unraw(), excerpt(&value));
                let message = format!(
                    "invalid value of label `{name}`: expected an expression, found {found}; write for example `{name} = \"eu\"`"
                );
                self.errors.push(syn::Error::new_spanned(&value, message));
                None
            }
            Form::Flag | Form::List(_) => {
                let name = argument.name.unraw();
                let message = format!(
                    "missing value of label `{name}`; write `{name} = {name}` to use the variable `{name}`"
                );
                self.errors.push(syn::Error::new_spanned(&argument.name, message));
                None
            }
        }
    }

    /// Reports the collected errors. Then reports each argument that was not taken, which is a duplicate or
    /// unknown.
    pub(crate) fn finish(self, attribute: &str, errors: &mut Errors) {
        self.errors.into_iter().for_each(|error| errors.add(error));
        for argument in self.list {
            let name = argument.name.unraw().to_string();
            if self.supported.contains(&name.as_str()) {
                errors.at(
                    &argument.name,
                    format!("duplicate argument `{name}`; remove one of the two"),
                );
            } else {
                errors.at(&argument.name, unknown_argument(attribute, &name, &self.supported));
            }
        }
    }

    fn take(&mut self, name: &'static str) -> Option<Argument> {
        self.supported.push(name);
        let position = self.list.iter().position(|argument| argument.name.unraw() == name)?;
        Some(self.list.remove(position))
    }

    /// Reports an argument of the wrong form.
    fn reject<T>(&mut self, argument: &Argument, expected: &str, remedy: &str) -> Option<T> {
        let (location, found) = match &argument.form {
            Form::Flag => (argument.name.to_token_stream(), "no value".to_owned()),
            Form::Value(value) => (value.clone(), excerpt(value)),
            Form::List(list) => (list.to_token_stream(), excerpt(list)),
        };
        let name = argument.name.unraw();
        let message = format!("invalid `{name}`: expected {expected}, found {found}; {remedy}");
        self.errors.push(syn::Error::new_spanned(location, message));
        None
    }
}

fn for_example(text: &str) -> String {
    format!("write for example `{text}`")
}

fn literal(argument: &Argument) -> Option<Lit> {
    match &argument.form {
        Form::Value(value) => as_literal(value),
        _ => None,
    }
}

/// Returns true for a path or a closure, also if a call or a macro returns it.
fn is_predicate(value: &TokenStream) -> bool {
    let is_callable = |kind| matches!(kind, ExpressionKind::Closure | ExpressionKind::Operand);
    as_literal(value).is_none() && expression_kind(value).is_some_and(is_callable)
}

/// The elements of a list, for error messages.
#[derive(Clone, Copy)]
enum ListKind {
    Arguments,
    Labels,
}

impl ListKind {
    /// Returns the error for an element that does not start with a name.
    fn missing_name(self, found: &TokenTree) -> String {
        let text = excerpt(found);
        match (self, as_literal(&found.to_token_stream())) {
            (Self::Arguments, Some(Lit::Str(name))) => {
                format!("expected an argument, found {text}; write `name = {}`", name.token())
            }
            (Self::Arguments, _) => {
                format!("expected an argument, found {text}; write `name = value`")
            }
            (Self::Labels, Some(literal)) => {
                let name = match literal {
                    Lit::Str(name) => name.value(),
                    _ => found.to_string(),
                };
                format!(
                    "invalid label name {text}: expected letters, digits and underscores, and no digit at the start; write for example `{} = ..`",
                    valid_name(&name)
                )
            }
            (Self::Labels, None) => {
                format!("expected a label, found {text}; write `name = value`")
            }
        }
    }
}

fn read_list(tokens: TokenStream, kind: ListKind, errors: &mut Errors) -> Vec<Argument> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut rest = &tokens[..];
    let mut list = Vec::new();
    while let Some(first) = rest.first() {
        let TokenTree::Ident(name) = first else {
            errors.at(first, kind.missing_name(first));
            rest = after_comma(&rest[expression_len(rest).max(1)..], errors);
            continue;
        };
        let (form, length) = read_form(name, &rest[1..], errors);
        list.extend(form.map(|form| Argument { name: name.clone(), form }));
        rest = after_comma(&rest[1 + length..], errors);
    }
    list
}

/// Reads what follows the name of an argument. Returns the form and its number of tokens.
fn read_form(name: &Ident, rest: &[TokenTree], errors: &mut Errors) -> (Option<Form>, usize) {
    if is_punct(rest.first(), '=') {
        let length = expression_len(&rest[1..]);
        let value: TokenStream = rest[1..=length].iter().cloned().collect();
        if value.is_empty() {
            errors.at(name, format!("missing value of `{name}`; write it after the `=`"));
            return (None, 1);
        }
        return (Some(Form::Value(value)), 1 + length);
    }
    match as_group(rest.first(), Delimiter::Parenthesis) {
        Some(list) => (Some(Form::List(list.clone())), 1),
        None => (Some(Form::Flag), 0),
    }
}

/// Returns the tokens after a comma. Reports an error if the first token is not a comma.
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
