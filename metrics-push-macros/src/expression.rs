//! Finds the end of an expression in the arguments of an attribute, and checks its syntax.
//!
//! The check alternates between operands and operators. It does not parse types, patterns and blocks: the compiler
//! does, and reports errors at their location.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::tokens::{
    AngleBrackets, as_group, flatten, is_joint, is_path_separator, is_punct, is_word,
};

/// The kind of an expression that is given as an argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ExpressionKind {
    /// `|result| ..`.
    Closure,
    /// A path, a call, a literal or another expression without operators.
    Operand,
    /// An expression with operators or keywords.
    Operation,
}

/// Returns the number of tokens in the expression at the start of `tokens`. The expression ends at a comma or
/// before the next `name =`.
///
/// `<` is an angle bracket after `::`, at the start, and between the bars of a closure. Elsewhere, it is the
/// less-than operator.
pub(crate) fn expression_len(tokens: &[TokenTree]) -> usize {
    let mut angles = AngleBrackets::default();
    let mut in_closure_head = false;
    for (position, token) in tokens.iter().enumerate() {
        let before = position.checked_sub(1).and_then(|before| tokens.get(before));
        let in_type = in_closure_head
            || !angles.is_outside()
            || before.is_none()
            || is_punct(before, ':')
            || !is_punct(Some(token), '<');
        let outside = if in_type { angles.step(token) } else { angles.is_outside() };
        if is_punct(Some(token), '|') && outside {
            let opens = before.is_none() || is_word(before, "move");
            in_closure_head = opens || (in_closure_head && is_punct(tokens.get(position + 1), '-'));
        } else if as_group(Some(token), Delimiter::Brace).is_some() {
            in_closure_head = false;
        } else if outside && !in_closure_head && ends_expression(position, tokens) {
            return position;
        }
    }
    tokens.len()
}

fn ends_expression(position: usize, tokens: &[TokenTree]) -> bool {
    let next = tokens.get(position + 1);
    let starts_argument = position > 0
        && matches!(tokens[position], TokenTree::Ident(_))
        && is_punct(next, '=')
        && !next.is_some_and(|next| is_joint(next, '='));
    is_punct(tokens.get(position), ',') || starts_argument
}

/// Returns the kind of the expression, or `None` if the tokens are not an expression.
pub(crate) fn expression_kind(value: &TokenStream) -> Option<ExpressionKind> {
    let tokens = flatten(value.clone());
    Reader { tokens: &tokens, kind: ExpressionKind::Operand }.read()
}

/// Reads an expression from left to right.
struct Reader<'a> {
    /// The tokens that follow.
    tokens: &'a [TokenTree],
    kind: ExpressionKind,
}

impl Reader<'_> {
    fn read(mut self) -> Option<ExpressionKind> {
        self.skip_word("static");
        self.skip_word("async");
        self.skip_word("move");
        if is_punct(self.tokens.first(), '|') {
            self.closure_head()?;
            self.kind = ExpressionKind::Closure;
        }
        loop {
            if self.operand()? == Rest::Unchecked {
                return Some(self.kind);
            }
            match self.postfix()? {
                Rest::Unchecked => return Some(self.kind),
                Rest::Checked if self.tokens.is_empty() => return Some(self.kind),
                Rest::Checked => self.operator()?,
            }
        }
    }

    /// Reads a path, a literal or a group, with the operators before it.
    fn operand(&mut self) -> Option<Rest> {
        /// Keywords that start an expression with blocks, types or patterns.
        const KEYWORDS: [&str; 16] = [
            "async", "await", "break", "const", "continue", "for", "if", "let", "loop", "match",
            "move", "return", "static", "unsafe", "while", "yield",
        ];
        match self.tokens.first()? {
            TokenTree::Ident(word) if word == "mut" => {
                self.skip(1);
                self.operand()
            }
            TokenTree::Ident(word) if KEYWORDS.iter().any(|keyword| word == keyword) => {
                self.note_operator();
                (self.tokens.len() > 1).then_some(Rest::Unchecked)
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) | TokenTree::Group(_) => {
                self.skip(1);
                Some(Rest::Checked)
            }
            TokenTree::Punct(punct) => match punct.as_char() {
                '&' | '*' | '-' | '!' => {
                    self.note_operator();
                    self.skip(1);
                    self.operand()
                }
                ':' if is_path_separator(self.tokens) => {
                    self.skip(2);
                    self.operand()
                }
                '<' => {
                    self.angle_brackets()?;
                    is_path_separator(self.tokens).then_some(Rest::Checked)
                }
                // A closure in an operand, an attribute, a range without start or a label.
                '|' | '#' | '.' | '\'' => {
                    self.note_operator();
                    (self.tokens.len() > 1).then_some(Rest::Unchecked)
                }
                _ => None,
            },
        }
    }

    /// Reads what follows an operand: further segments of a path, calls, indexes, fields, methods and `?`.
    fn postfix(&mut self) -> Option<Rest> {
        loop {
            match self.tokens {
                [TokenTree::Group(_), ..] => self.skip(1),
                [TokenTree::Punct(punct), ..] if punct.as_char() == '?' => self.skip(1),
                [TokenTree::Punct(punct), TokenTree::Group(_), ..] if punct.as_char() == '!' => {
                    self.skip(2);
                }
                [TokenTree::Punct(punct), next, ..] if punct.as_char() == '.' => match next {
                    TokenTree::Ident(_) | TokenTree::Literal(_) => self.skip(2),
                    // A range may have no end.
                    next if is_punct(Some(next), '.') => {
                        self.note_operator();
                        return Some(Rest::Unchecked);
                    }
                    _ => return None,
                },
                _ if is_path_separator(self.tokens) => {
                    self.skip(2);
                    match self.tokens.first()? {
                        TokenTree::Ident(_) => self.skip(1),
                        token if is_punct(Some(token), '<') => self.angle_brackets()?,
                        _ => return None,
                    }
                }
                [token, ..] if is_word(Some(token), "as") => {
                    self.note_operator();
                    return (self.tokens.len() > 1).then_some(Rest::Unchecked);
                }
                _ => return Some(Rest::Checked),
            }
        }
    }

    /// Reads an operator between two operands.
    fn operator(&mut self) -> Option<()> {
        const OPERATORS: &str = "+-*/%^&|<>=!";
        self.note_operator();
        let is_operator = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if OPERATORS.contains(punct.as_char()));
        let first = self.tokens.first().filter(|token| is_operator(token))?;
        let mut length = 1;
        let mut last = first;
        while let Some(next) = self.tokens.get(length)
            && is_operator(next)
            && matches!(last, TokenTree::Punct(punct) if punct.spacing() == proc_macro2::Spacing::Joint)
        {
            last = next;
            length += 1;
        }
        let is_arrow = length == 2 && is_punct(Some(first), '=') && is_punct(Some(last), '>');
        self.skip(length);
        (!is_arrow).then_some(())
    }

    fn closure_head(&mut self) -> Option<()> {
        let mut angles = AngleBrackets::default();
        let end = self
            .tokens
            .iter()
            .skip(1)
            .position(|token| angles.step(token) && is_punct(Some(token), '|'))?;
        self.skip(end + 2);
        if !(is_punct(self.tokens.first(), '-') && is_punct(self.tokens.get(1), '>')) {
            return Some(());
        }
        // A closure with a return type has a block.
        let block = self
            .tokens
            .iter()
            .position(|token| as_group(Some(token), Delimiter::Brace).is_some())?;
        self.skip(block);
        Some(())
    }

    fn angle_brackets(&mut self) -> Option<()> {
        let mut angles = AngleBrackets::default();
        let end = self.tokens.iter().position(|token| {
            angles.step(token);
            angles.is_outside()
        })?;
        self.skip(end + 1);
        Some(())
    }

    fn skip_word(&mut self, word: &str) {
        let is_before_closure =
            is_punct(self.tokens.get(1), '|') || is_word(self.tokens.get(1), "move");
        if is_word(self.tokens.first(), word) && is_before_closure {
            self.skip(1);
        }
    }

    fn skip(&mut self, length: usize) {
        self.tokens = &self.tokens[length..];
    }

    fn note_operator(&mut self) {
        if self.kind == ExpressionKind::Operand {
            self.kind = ExpressionKind::Operation;
        }
    }
}

/// Whether the rest of the expression is checked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Checked,
    Unchecked,
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    fn kind(text: &str) -> Option<ExpressionKind> {
        expression_kind(&TokenStream::from_str(text).expect("valid tokens"))
    }

    #[test]
    fn closures_and_operands_are_recognised() {
        for text in [
            "|x| x > 1",
            "|| true",
            "move |(a, b): &(u8, Vec<u8>)| a == b",
            "|x: &u8| -> bool { *x > 1 }",
            "|x| match x { _ => true }",
        ] {
            assert_eq!(kind(text), Some(ExpressionKind::Closure), "{text}");
        }
        for text in [
            "Option::is_some",
            "::a::b",
            "<T as Trait>::check",
            "Vec::<u8>::new",
            "f(1)(2)",
            "a.b.c()[0]?",
            "list.0",
            "\"text\"",
            "1",
            "format!(\"{a}\")",
            "{ 1 }",
            "(a + b)",
            "r#type",
            "S { a: 1 }.b",
            "a.await",
            "vec![1]",
        ] {
            assert_eq!(kind(text), Some(ExpressionKind::Operand), "{text}");
        }
    }

    #[test]
    fn operations_are_recognised() {
        for text in [
            "a + b * -c",
            "!a && b",
            "&mut x",
            "*x",
            "a as u8",
            "if a { b } else { c }",
            "match a { _ => 1 }",
            "0..3",
            "..",
            "a..",
            "unsafe { f() }",
            "a == -1",
            "a<b",
            "a < b",
            "& u8 | x",
            "-1.5",
            "a != b",
            "|x| x",
            "a || b",
        ] {
            let expected = if text.starts_with('|') {
                ExpressionKind::Closure
            } else {
                ExpressionKind::Operation
            };
            assert_eq!(kind(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn incomplete_expressions_are_rejected() {
        for text in [
            "", "a b", "a +", "&", "+ a", "a ? b", "1 2", "a.", "a::", "::", "a: b", "a;", "|x",
            "|x|", "a => b", "@", "a as", "a . + b", "f() g()", "<T", "a @ b",
        ] {
            assert_eq!(kind(text), None, "{text}");
        }
    }
}
