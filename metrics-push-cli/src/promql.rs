//! Splits PromQL expressions into tokens.
//!
//! Each character belongs to one token, so that an expression can be rewritten without changing the rest of its text. Every
//! text can be split: a string, matchers or a range without an end extend to the end of the text.

/// What a token is, as far as a rewritten expression depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A name, a keyword, a number or a duration.
    Word,
    /// Label matchers, with their braces.
    Matchers,
    /// The range of a range vector or of a subquery, with its brackets.
    Range,
    /// White space and comments.
    Space,
    /// A string, an operator, a parenthesis or a comma.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind,
    pub(crate) text: &'a str,
}

pub(crate) fn tokens(expression: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let (kind, length) = match first {
            '{' => (TokenKind::Matchers, enclosed_length(rest, '}')),
            '[' => (TokenKind::Range, enclosed_length(rest, ']')),
            '#' => (TokenKind::Space, rest.find('\n').unwrap_or(rest.len())),
            '"' | '\'' | '`' => (TokenKind::Other, string_length(rest)),
            first if first.is_whitespace() => {
                (TokenKind::Space, length_while(rest, char::is_whitespace))
            }
            first if is_word(first) => (TokenKind::Word, length_while(rest, is_word)),
            first => (TokenKind::Other, first.len_utf8()),
        };
        let (text, after) = rest.split_at(length);
        found.push(Token { kind, text });
        rest = after;
    }
    found
}

/// The names, keywords, numbers and durations of an expression. Strings, matchers and comments contain no names.
pub(crate) fn words(expression: &str) -> impl Iterator<Item = &str> {
    let words = tokens(expression).into_iter().filter(|token| token.kind == TokenKind::Word);
    words.map(|token| token.text)
}

/// Replaces a name.
pub(crate) fn rename(expression: &str, from: &str, to: &str) -> String {
    let text =
        |token: Token| if token.text == from { to.to_owned() } else { token.text.to_owned() };
    tokens(expression).into_iter().map(text).collect()
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | ':' | '.')
}

fn length_while(text: &str, is_part: impl Fn(char) -> bool) -> usize {
    text.find(|character| !is_part(character)).unwrap_or(text.len())
}

/// The length of a text from its opening bracket to the closing one. A bracket inside a string does not close it.
fn enclosed_length(text: &str, closing: char) -> usize {
    let mut length = 1;
    while let Some(character) = text[length..].chars().next() {
        length += match character {
            '"' | '\'' | '`' => string_length(&text[length..]),
            other => other.len_utf8(),
        };
        if character == closing {
            break;
        }
    }
    length
}

/// The length of the string literal at the start of a text. Only a backtick does not allow escapes.
fn string_length(text: &str) -> usize {
    let quote = text.chars().next();
    let mut is_escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if is_escaped {
            is_escaped = false;
        } else if Some(character) == quote {
            return at + 1;
        } else {
            is_escaped = character == '\\' && quote != Some('`');
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(expression: &str) -> Vec<(TokenKind, &str)> {
        tokens(expression).into_iter().map(|token| (token.kind, token.text)).collect()
    }

    #[test]
    fn expression_is_split_into_tokens() {
        use TokenKind::{Matchers, Other, Range, Space, Word};

        let expression = "rate(a:b{c=\"}\\\"\"}[5m:1m]) >= 0.5 # d\nor e offset 1d";
        assert_eq!(
            kinds(expression),
            [
                (Word, "rate"),
                (Other, "("),
                (Word, "a:b"),
                (Matchers, "{c=\"}\\\"\"}"),
                (Range, "[5m:1m]"),
                (Other, ")"),
                (Space, " "),
                (Other, ">"),
                (Other, "="),
                (Space, " "),
                (Word, "0.5"),
                (Space, " "),
                (Space, "# d"),
                (Space, "\n"),
                (Word, "or"),
                (Space, " "),
                (Word, "e"),
                (Space, " "),
                (Word, "offset"),
                (Space, " "),
                (Word, "1d"),
            ]
        );
    }

    #[test]
    fn strings_end_at_their_own_quote() {
        for string in ["'a\"}'", r#""a\"'""#, r"`a\`", "\"é\\\\\""] {
            assert_eq!(kinds(string), [(TokenKind::Other, string)]);
            let matchers = format!("{{a={string}}}");
            assert_eq!(kinds(&matchers), [(TokenKind::Matchers, &*matchers)]);
        }
    }

    #[test]
    fn text_without_an_end_is_one_token() {
        for text in ["{a=\"b}", "[5m", "\"a\\", "`a", "{", "#é"] {
            assert_eq!(tokens(text).len(), 1, "{text}");
        }
        assert!(tokens("").is_empty());
    }

    #[test]
    fn tokens_are_the_whole_expression() {
        let text = "é(\u{a0}a{b='€'} % [1d] ^ -\t`x` @ 5";
        let joined: String = tokens(text).into_iter().map(|token| token.text).collect();
        assert_eq!(joined, text);
    }

    #[test]
    fn names_in_strings_and_matchers_are_not_renamed() {
        let expression = "up + up:min{job=\"up\", up=\"1\"} # up\nor up";
        assert_eq!(
            rename(expression, "up", "down"),
            "down + up:min{job=\"up\", up=\"1\"} # up\nor down"
        );
        assert_eq!(words(expression).collect::<Vec<_>>(), ["up", "up:min", "or", "up"]);
    }
}
