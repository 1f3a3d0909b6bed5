//! `Secrets`: removes the secrets of a request from the text of its response.
//!
//! Debugging proxies and error pages repeat the headers of a request, and messages contain an excerpt of the response.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue};

const REPLACEMENT: &str = "…";
/// A shorter secret is replaced only between characters that are not letters or digits, because it is part of many words.
const MIN_UNBOUNDED_LEN: usize = 4;

/// The secrets of a request. Their encodings are computed only for a response that is not a success.
#[derive(Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Returns the secrets in the headers of a request and in the URL of the proxy.
    pub(super) fn new(headers: &HeaderMap, proxy: Option<&Url>) -> Self {
        let mut secrets = Self::default();
        headers.values().filter(|value| value.is_sensitive()).for_each(|value| {
            secrets.add_header(value);
        });
        if let Some(password) = proxy.and_then(Url::password) {
            secrets.add(&percent_decode_str(password).decode_utf8_lossy());
        }
        secrets
    }

    fn add_header(&mut self, value: &HeaderValue) {
        let Ok(value) = value.to_str() else { return };
        self.add(value);
        // The value of `Authorization` has a scheme before the token, or before the user and password in base64.
        let Some((_, token)) = value.split_once(' ') else { return };
        self.add(token);
        let pair = STANDARD.decode(token).ok().and_then(|pair| String::from_utf8(pair).ok());
        if let Some((_, password)) = pair.as_deref().and_then(|pair| pair.split_once(':')) {
            self.add(password);
        }
    }

    fn add(&mut self, secret: &str) {
        if !secret.is_empty() {
            self.0.push(secret.to_owned());
        }
    }

    /// Replaces the secrets in a text, in upper or lower case, also if they are in base64, hexadecimal, percent-encoded, or
    /// escaped for JSON or HTML.
    pub(super) fn redact(&self, text: String) -> String {
        if self.0.is_empty() {
            return text;
        }
        let encodings = Encodings::new(&self.0);
        let plain = encodings.replace_in(text);
        plain.split_inclusive(char::is_whitespace).map(|word| encodings.redact_word(word)).collect()
    }
}

/// Texts that must not be displayed: secrets and their encodings, in lower case, longest first.
struct Encodings(Vec<String>);

impl Encodings {
    /// A proxy that encodes headers, which may contain base64, encodes base64 twice.
    fn new(secrets: &[String]) -> Self {
        let mut texts = Vec::new();
        for secret in secrets {
            texts.push(secret.to_ascii_lowercase());
            if secret.len() >= MIN_UNBOUNDED_LEN {
                texts.push(secret.bytes().map(|byte| format!("{byte:02x}")).collect());
                let once: Vec<_> = base64_parts(secret).collect();
                let twice = once.iter().flat_map(|encoded| base64_parts(encoded));
                texts.extend(
                    twice.chain(once.iter().cloned()).map(|text| text.to_ascii_lowercase()),
                );
            }
        }
        texts.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
        Self(texts)
    }

    fn replace_in(&self, text: String) -> String {
        self.0.iter().fold(text, |text, secret| {
            let lower = text.to_ascii_lowercase();
            if occurrences(&lower, secret).next().is_none() {
                return text;
            }
            let mut replaced = String::with_capacity(text.len());
            let mut copied = 0;
            for start in occurrences(&lower, secret) {
                replaced.extend([&text[copied..start], REPLACEMENT]);
                copied = start + secret.len();
            }
            replaced + &text[copied..]
        })
    }

    fn is_in(&self, text: &str) -> bool {
        let lower = text.to_ascii_lowercase();
        self.0.iter().any(|secret| occurrences(&lower, secret).next().is_some())
    }

    /// Replaces a word that contains a secret when it is decoded.
    fn redact_word<'a>(&self, word: &'a str) -> &'a str {
        let decoded = percent_decode_str(&word.replace('+', " ")).decode_utf8_lossy().into_owned();
        let is_secret = [unescape(word), unescape(&decoded), decoded]
            .iter()
            .any(|decoded| decoded != word && self.is_in(decoded));
        match word.chars().next_back().filter(|last| last.is_whitespace()) {
            _ if !is_secret => word,
            None => REPLACEMENT,
            Some(_) => "… ",
        }
    }
}

/// Returns the positions of a secret in a text. A short secret counts only as a whole word.
fn occurrences(text: &str, secret: &str) -> impl Iterator<Item = usize> {
    let is_letter = |neighbour: Option<char>| neighbour.is_some_and(char::is_alphanumeric);
    text.match_indices(secret).map(|(start, _)| start).filter(move |start| {
        secret.len() >= MIN_UNBOUNDED_LEN
            || !(is_letter(text[..*start].chars().next_back())
                || is_letter(text[start + secret.len()..].chars().next()))
    })
}

/// Returns the parts of base64 text, with or without padding and in both alphabets, that encode `secret` in a longer text.
fn base64_parts(secret: &str) -> impl Iterator<Item = String> {
    let parts = (0..3).map(|offset| base64_inside(secret, offset));
    parts.flat_map(|part| [part.replace('+', "-").replace('/', "_"), part])
}

/// Returns the base64 text that every encoding of a longer text contains, if `secret` starts at a position of that text
/// whose remainder by 3 is `offset`.
fn base64_inside(secret: &str, offset: usize) -> String {
    let aligned = [&b"\0\0"[..offset], secret.as_bytes()].concat();
    // Each character encodes 6 bits. The first and last characters also depend on the neighbours of the secret.
    let complete = aligned.len() * 8 / 6;
    let first = (offset * 8).div_ceil(6);
    STANDARD_NO_PAD.encode(aligned)[first..complete].to_owned()
}

/// Replaces the escape sequences that JSON and HTML use for printable characters.
fn unescape(text: &str) -> String {
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    let text =
        unescape_numbers(text, "\\u", 16, |digits| digits.char_indices().nth(4).map(|it| it.0));
    let text = unescape_numbers(&text, "&#x", 16, |digits| digits.find(';'));
    let text = unescape_numbers(&text, "&#X", 16, |digits| digits.find(';'));
    let text = unescape_numbers(&text, "&#", 10, |digits| digits.find(';'));
    named.iter().fold(text.replace('\\', ""), |text, (name, plain)| text.replace(name, plain))
}

/// Replaces each character that is written as a number after `prefix`. `end` finds the end of the digits.
fn unescape_numbers(
    text: &str,
    prefix: &str,
    radix: u32,
    end: impl Fn(&str) -> Option<usize>,
) -> String {
    let mut parts = text.split(prefix);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // The end is at the semicolon of HTML, or at the first character after the four digits of JSON.
        let end = end(part).or_else(|| (part.len() == 4).then_some(4));
        let number = end.and_then(|end| u32::from_str_radix(&part[..end], radix).ok());
        match (end, number.and_then(char::from_u32)) {
            (Some(end), Some(character)) => {
                plain.push(character);
                plain.push_str(part[end..].strip_prefix(';').unwrap_or(&part[end..]));
            }
            _ => plain = plain + prefix + part,
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::http::credentials::{Auth, Secret, SecretSource};

    const PASSWORD: &str = "hunter2/+&\"Zq9";

    fn secrets() -> Secrets {
        let mut headers = HeaderMap::new();
        let password = SecretSource::Value(Secret::new(PASSWORD));
        Auth::Basic { user: "batch".into(), password }.authorize(&mut headers, "Bearer").unwrap();
        let mut key = HeaderValue::from_static("orgkey5-Lm3");
        key.set_sensitive(true);
        headers.insert("x-key", key);
        headers.insert("x-public", HeaderValue::from_static("public-value"));
        Secrets::new(&headers, Some(&Url::parse("http://user:proxy%2Fword@proxy").unwrap()))
    }

    #[test]
    fn secrets_are_replaced_in_every_encoding() {
        let pair = format!("batch:{PASSWORD}");
        for echo in [
            PASSWORD.to_owned(),
            format!("password={PASSWORD};"),
            format!("Authorization: Basic {}", STANDARD.encode(&pair)),
            STANDARD.encode(format!("Authorization: Basic {}", STANDARD.encode(&pair))),
            STANDARD.encode(format!("x-key: orgkey5-Lm3 {PASSWORD}")),
            STANDARD.encode(format!("?{PASSWORD}")).replace('+', "-").replace('/', "_"),
            "hunter2%2F%2B%26%22Zq9".to_owned(),
            "url=hunter2%2f%2B&%22Zq9&x=1".to_owned(),
            r#"{"password":"hunter2\/+\u0026\"Zq9"}"#.to_owned(),
            "<td>hunter2/+&amp;&quot;Zq9</td>".to_owned(),
            "<td>hunter2&#x2F;&#43;&#38;&#X22;Zq9</td>".to_owned(),
            r#""hunter2\u002f\u002B\u0026\u0022Zq9""#.to_owned(),
            r"\u0068unter2/+&\u0022Zq9".to_owned(),
            "X-Key: orgkey5-Lm3".to_owned(),
            "PASSWORD=HUNTER2/+&\"ZQ9".to_owned(),
            "url=HUNTER2%2F%2B%26%22ZQ9".to_owned(),
            "hunter2/+&\"Zq9".bytes().map(|byte| format!("%{byte:02X}")).collect(),
            pair.bytes().map(|byte| format!("{byte:02x}")).collect(),
            format!("0x{}", pair.bytes().map(|byte| format!("{byte:02X}")).collect::<String>()),
            STANDARD_NO_PAD.encode(&pair),
            URL_SAFE_NO_PAD.encode(format!("password: {pair}")),
            STANDARD.encode(STANDARD.encode(&pair)),
            STANDARD.encode(STANDARD.encode(format!("password={pair}"))),
            URL_SAFE_NO_PAD.encode(STANDARD_NO_PAD.encode(format!("x-key: orgkey5-Lm3 {pair}"))),
            "proxy/word".to_owned(),
            "http://user:proxy%2Fword@proxy".to_owned(),
        ] {
            let text = secrets().redact(format!("bad request: {echo} (end)"));
            for secret in [PASSWORD, "hunter2", "Zq9", "orgkey5", "proxy/w", "proxy%2Fw"] {
                assert!(!text.to_lowercase().contains(&secret.to_lowercase()), "{echo}: {text}");
            }
            assert!(!text.contains(&echo), "{echo}: {text}");
            assert!(text.starts_with("bad request: ") && text.contains('…'), "{echo}: {text}");
        }
    }

    #[test]
    fn other_text_is_unchanged() {
        for text in
            ["", "text format parsing error in line 1: 100% wrong\nx=%zz +1", "public-value"]
        {
            assert_eq!(secrets().redact(text.to_owned()), text);
        }
    }

    #[test]
    fn short_secret_is_replaced_as_a_whole_word() {
        let mut secrets = Secrets::default();
        secrets.add("ab");
        assert_eq!(secrets.redact("ab: cab ab1 (ab)".into()), "…: cab ab1 (…)");
    }
}
